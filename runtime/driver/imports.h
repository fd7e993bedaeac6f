// imports.h: imports under way, of which a copy of this process would have half a module.
#pragma once

namespace pyhost::driver {

// Waits until no other thread is importing, but for a second at most: a thread may run a whole
// program within an import. Requires: the GIL, which others have meanwhile.
void await_imports();

// In a copy: nobody is to wait for imports of threads that are not here. What they had begun is
// found as it is, as in a circular import.
void forget_imports();

}  // namespace pyhost::driver
