// launch.h: bringing up a zygote, and the watcher that keeps it from outliving the host.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

#include <pyhost/result.h>

#include <base/clock.h>
#include <base/fd.h>
#include <process/python.h>

namespace pyhost::process {

// A zygote that has been started; it waits for `load` on the control socket.
struct Started {
  base::UniqueFd control;  // our end
  base::UniqueFd watcher;  // pidfd of the zygote's parent, our direct child
  pid_t watcher_pid = -1;
};

// How zygotes come to be: `launch` with fixed arguments for C++ hosts, a snapshot of the calling
// interpreter for `fork`. Called on the supervisor thread.
using StartZygote = std::function<Result<Started>()>;

// Spawns the launcher, which becomes the watcher, and below it the interpreter image. The child
// inherits no descriptor but its end of the control socket and 0, 1, 2; its process group is its
// own, so that a terminal's Ctrl-C reaches the host alone.
// `flags`: of the interpreter's command line.
Result<Started> launch(const Python& python, const ImageChoice& image, const RuntimeFiles& files,
                       const std::vector<std::string>& flags = {});

// The watcher's whole life, C++ only: adopts every orphan below it (PR_SET_CHILD_SUBREAPER), waits
// for `zygote`, reports its end on `control`, then kills and reaps whatever is left. Does the same
// at once when the host (behind `host_pidfd`) is gone. Never returns. A caller whose zygote may
// fork at once becomes a subreaper before it forks it: an orphan that is older is not adopted.
[[noreturn]] void watch(pid_t zygote, base::UniqueFd host_pidfd, base::UniqueFd control);

// Ends a started zygote with everything below it and reaps the watcher: asks first, kills at
// `deadline`.
void shut_down(Started& started, base::Deadline deadline);

}  // namespace pyhost::process
