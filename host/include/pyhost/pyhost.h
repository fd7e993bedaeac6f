// pyhost.h: everything an application needs. Start at pool.h.
#pragma once

#include <pyhost/error.h>
#include <pyhost/future.h>
#include <pyhost/map.h>
#include <pyhost/options.h>
#include <pyhost/pool.h>
#include <pyhost/result.h>
#include <pyhost/stacks.h>
#include <pyhost/value.h>
