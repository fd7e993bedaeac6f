// machine_rows.cc: CPUs, kernel features, resource limits.
#include <base/cgroup.h>
#include <base/memory.h>
#include <base/system.h>
#include <cli/machine_rows.h>
#include <pool/words.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cerrno>
#include <optional>

namespace pyhost::cli {
namespace {

// Workers cost the host about ten descriptors each; below this a large pool runs out.
constexpr rlim_t kFewDescriptors = 1024;
constexpr rlim_t kFewProcesses = 256;

Row feature(const std::string& name, bool works, const std::string& need) {
  if (works) return {"kernel", Row::State::ok, name, ""};
  return {"kernel", Row::State::missing, name + " does not work",
          need + "; in a container, look at its seccomp profile"};
}

std::string shown(rlim_t limit) {
  return limit == RLIM_INFINITY ? "unlimited" : std::to_string(limit);
}

Row limit_row(int resource, const std::string& name, rlim_t few, const std::string& letter) {
  rlimit limit{};
  ::getrlimit(static_cast<__rlimit_resource>(resource), &limit);
  Row row{"limits", Row::State::ok, name + ": " + shown(limit.rlim_cur), ""};
  if (limit.rlim_cur < few) {
    row.state = Row::State::note;
    row.what += " (hard limit " + shown(limit.rlim_max) + ")";
    row.remedy = "raise it with `ulimit -" + letter + "` before starting a large pool";
  }
  return row;
}

}  // namespace

std::vector<Row> cpu_rows() {
  cpu_set_t set;
  CPU_ZERO(&set);
  const int affinity = ::sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 0;
  const long online = ::sysconf(_SC_NPROCESSORS_ONLN);
  std::string from =
      "affinity " + std::to_string(affinity) + " of " + std::to_string(online) + " CPUs";
  const Result<std::string> mounts = base::read_file("/proc/self/mountinfo");
  const Result<std::string> groups = base::read_file("/proc/self/cgroup");
  std::optional<int> quota;
  if (mounts && groups) quota = base::cgroup_cpus(*mounts, *groups);
  from += quota ? ", cgroup quota " + std::to_string(*quota) : ", no cgroup quota";
  return {{"cpus", Row::State::ok,
           "default worker count " + std::to_string(base::usable_cpus()) + " (" + from + ")", ""}};
}

std::vector<Row> memory_rows() {
  const Result<std::string> mounts = base::read_file("/proc/self/mountinfo");
  const Result<std::string> groups = base::read_file("/proc/self/cgroup");
  std::optional<std::uint64_t> limit;
  if (mounts && groups) limit = base::cgroup_memory(*mounts, *groups);
  const std::uint64_t usable = base::usable_memory();
  return {
      {"memory", Row::State::ok,
       pool::bytes_text(usable) + " usable (" +
           (limit ? "cgroup limit " + pool::bytes_text(*limit) : std::string("no cgroup limit")) +
           "); calls under way may take " + pool::bytes_text(usable / 4) +
           " of shared memory per pool",
       ""}};
}

std::vector<Row> kernel_rows() {
  utsname name{};
  ::uname(&name);
  std::vector<Row> rows = {{"kernel", Row::State::ok,
                            std::string(name.sysname) + " " + name.release + " " + name.machine,
                            ""}};
  const auto memory = base::create_memory("pyhost-doctor", 4096);
  rows.push_back(feature("memfd_create", memory.ok() && base::commit(memory->get(), 0, 4096).ok(),
                         "shared memory needs Linux 3.17 and a kernel with tmpfs"));
  rows.push_back(feature("pidfd_open", base::open_pidfd(::getpid()).ok(),
                         "noticing the end of workers needs Linux 5.3"));
  // The last possible range is empty in practice; only the answer counts.
  const bool close_range = ::syscall(SYS_close_range, ~0U, ~0U, 0) == 0 || errno != ENOSYS;
  rows.push_back(
      feature("close_range", close_range, "keeping descriptors private needs Linux 5.9"));
  return rows;
}

std::vector<Row> limit_rows() {
  return {limit_row(RLIMIT_NOFILE, "open files", kFewDescriptors, "n"),
          limit_row(RLIMIT_NPROC, "processes", kFewProcesses, "u")};
}

}  // namespace pyhost::cli
