#include <Python.h>
#include <driver/records.h>
#include <driver/setup.h>
#include <driver/snapshot.h>
#include <driver/streams.h>
#include <driver/unlocked.h>
#include <process/launch.h>
#include <process/python.h>
#include <unistd.h>

#include <string_view>
#include <utility>

namespace pyhost::driver {
namespace {

using Engine = pool::Engine;

// Straight to the descriptors, as a worker forked by the standard library would print; the draining
// thread has no GIL, and sys.stdout may belong to a thread that holds it.
void print_output(int, pool::Stream stream, std::string_view lines) {
  if (stream == pool::Stream::err && lines.find('\x1e') != std::string_view::npos) {
    print(STDERR_FILENO, take_records(lines, true));
    return;
  }
  print(stream == pool::Stream::out ? STDOUT_FILENO : STDERR_FILENO, lines);
}

void print_notice(std::string_view line) {
  std::string text = "pyhost: ";
  text.append(line).append("\n");
  print(STDERR_FILENO, text);
}

pool::Options common_options(Wanted& wanted) {
  pool::Options options;
  options.workers = wanted.workers;
  if (wanted.limits) options.limits = *wanted.limits;
  options.memory = wanted.memory;
  options.concurrency = wanted.concurrency;
  options.threads = wanted.threads;
  options.max_tasks_per_worker = wanted.max_tasks_per_worker;
  options.max_worker_age = wanted.max_worker_age;
  options.max_worker_memory = wanted.max_worker_memory;
  if (wanted.idle_time) options.idle_time = *wanted.idle_time;
  options.own_arrays = wanted.own_arrays;
  options.initializer = wanted.initializer;
  options.on_crash = wanted.on_crash;
  options.load.preload = wanted.preload;
  options.load.inheritance = wanted.inheritance;
  options.inherited = std::move(wanted.inherited);
  options.first_identity = wanted.first_identity;
  options.on_output = print_output;
  if (wanted.as_printed) options.lines = pool::Lines::as_printed;
  options.on_notice = print_notice;
  return options;
}

Result<process::Image> image_named(std::string_view name) {
  for (const process::Image image :
       {process::Image::automatic, process::Image::libpython, process::Image::executable}) {
    if (process::image_name(image) == name) return image;
  }
  return Error(Code::startup, "unknown image `" + std::string(name) +
                                  "`; expected `auto`, `libpython` or `executable`");
}

Result<std::shared_ptr<Engine>> start_launched(Wanted& wanted) {
  Result<process::Python> python = process::find_python(wanted.python);
  if (!python.ok()) return std::move(python).error();
  Result<process::Image> image = image_named(wanted.image);
  if (!image.ok()) return std::move(image).error();
  Result<process::ImageChoice> choice = process::choose_image(*python, *image);
  if (!choice.ok()) return std::move(choice).error();
  Result<process::RuntimeFiles> files = process::find_runtime_files(*python);
  if (!files.ok()) return std::move(files).error();

  pool::Options options = common_options(wanted);
  options.load.sys_path = wanted.sys_path;
  options.load.argv = wanted.argv;
  options.load.folder = wanted.folder;
  options.load.packages = files->packages;
  options.load.core = files->core;
  options.zygote_per_worker = wanted.start == "spawn";
  options.start_zygote = [python = *python, choice = *choice, files = *files,
                          flags = wanted.flags] {
    return process::launch(python, choice, files, flags);
  };
  return Engine::start(std::move(options));
}

Result<std::shared_ptr<Engine>> start_forked(Wanted& wanted) {
  Result<process::Started> first = take_snapshot();
  if (!first.ok()) return std::move(first).error();
  pool::Options options = common_options(wanted);
  options.start_zygote = snapshots(std::move(*first));
  options.zygote_is_copy = true;
  return without_gil([&] { return Engine::start(std::move(options)); });
}

}  // namespace

Result<std::shared_ptr<Engine>> start_engine(Wanted wanted) {
  occupy_closed_streams();
  if (wanted.start != "fork") flush_streams();  // a snapshot does so itself, lest copies do
  if (wanted.start == "fork") return start_forked(wanted);
  return without_gil([&] { return start_launched(wanted); });
}

}  // namespace pyhost::driver
