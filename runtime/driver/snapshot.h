// snapshot.h: start method `fork`: a zygote that is a copy of this Python process.
#pragma once

#include <process/launch.h>
#include <pyhost/result.h>

namespace pyhost::driver {

// Forks the watcher, which forks the zygote: a copy of the calling interpreter as it is now, with
// the at-fork hooks of Python and of the user. Error `startup`: the machine has no room for more
// processes. Requires: the GIL, which others have while one of them is importing.
Result<process::Started> take_snapshot();

// Hands out `first`, then takes new snapshots (the zygote died) on whichever thread asks.
process::StartZygote snapshots(process::Started first);

}  // namespace pyhost::driver
