// export.h: marks what libpyhost.so offers; everything else is hidden.
#pragma once

#define PYHOST_EXPORT __attribute__((visibility("default")))
