#include <pool/setup.h>

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>
#include <utility>
#include <vector>

#include <base/system.h>
#include <process/python.h>
#include <wire/frames.h>

namespace pyhost::pool {
namespace {

using process::Image;

Result<Image> parse_image(const std::string& name) {
  if (name.empty() || name == "auto") return Image::automatic;
  if (name == "libpython") return Image::libpython;
  if (name == "executable") return Image::executable;
  return Error(Code::startup,
               "unknown image `" + name + "`; use `auto`, `libpython` or `executable`");
}

// Whether each worker gets an interpreter of its own instead of a fork of the zygote.
Result<bool> parse_start(const std::string& name) {
  if (name.empty() || name == "auto" || name == "zygote") return false;
  if (name == "spawn") return true;
  if (name == "fork") {
    return Error(Code::startup,
                 "start method `fork` copies the calling Python process, and this host is not one; "
                 "use `zygote` or `spawn`");
  }
  return Error(Code::startup,
               "unknown start method `" + name + "`; use `auto`, `zygote` or `spawn`");
}

// Until somebody asks for the lines, workers print where the host's own stderr goes.
void print_to_stderr(int, Stream, std::string_view lines) {
  base::write_all(STDERR_FILENO, lines);
}

}  // namespace

Result<Options> prepare(const PoolOptions& wanted, std::vector<std::string> functions) {
  const auto image = parse_image(wanted.image);
  if (!image.ok()) return image.error();
  const auto spawn = parse_start(wanted.start);
  if (!spawn.ok()) return spawn.error();
  if (!wanted.script.empty() && access(wanted.script.c_str(), R_OK) != 0 && errno == EACCES) {
    return base::system_error(Code::startup, "reading script `" + wanted.script + "`", EACCES);
  }
  auto python = process::find_python(wanted.python);
  if (!python.ok()) return std::move(python).error();
  auto choice = process::choose_image(*python, *image);
  if (!choice.ok()) return std::move(choice).error();
  auto files = process::find_runtime_files(*python);
  if (!files.ok()) return std::move(files).error();

  Options options;
  options.workers = wanted.workers;
  options.limits = {.timeout = wanted.timeout,
                    .cpu = wanted.cpu,
                    .retries = wanted.retries,
                    .retry_on = wanted.retry_on,
                    .grace = wanted.grace};
  options.memory = wanted.memory;
  options.concurrency = static_cast<std::uint32_t>(std::max(1, wanted.concurrency));
  options.threads = wanted.threads_per_worker;
  options.max_tasks_per_worker = wanted.max_tasks_per_worker;
  options.max_worker_age = wanted.max_worker_age;
  options.max_worker_memory = wanted.max_worker_memory;
  options.idle_time = wanted.idle_time;
  if (!wanted.initializer.empty()) {
    Initializer first{.definition = wanted.initializer, .name = wanted.initializer};
    wire::append_frame(first.payload, "[]");  // no arguments
    options.initializer = std::move(first);
  }
  options.on_crash = wanted.on_crash;
  options.zygote_per_worker = *spawn;
  options.load.script = wanted.script;
  options.load.module = wanted.module;
  options.load.functions = std::move(functions);
  options.load.preload = wanted.preload;
  options.load.packages = files->packages;
  options.load.core = files->core;
  options.on_output = print_to_stderr;
  options.start_zygote = [python = std::move(*python), choice = std::move(*choice),
                          files = std::move(*files)] {
    return process::launch(python, choice, files);
  };
  return options;
}

}  // namespace pyhost::pool
