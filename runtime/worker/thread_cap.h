// thread_cap.h: how many threads numerical libraries start in a worker.
#pragma once

namespace pyhost::worker {

// Sets the variables that BLAS and OpenMP libraries read when they are loaded, in `os.environ`,
// except where the user set them. 0: leaves them alone.
//
// Requires: the GIL. Errors are dropped: libraries with too many threads are slow, not wrong.
void cap_threads_of_imports(int threads);

// The same for libraries that are loaded already: they are called. Those for which the environment
// says something else keep it.
//
// Requires: one thread, as just after a fork.
void cap_threads_of_loaded(int threads);

}  // namespace pyhost::worker
