// pool_settings.cc: checks the values and fills them in.
#include <base/system.h>
#include <cli/adopt.h>
#include <cli/limits.h>
#include <cli/pool_settings.h>
#include <cli/text.h>
#include <cli/workers.h>

#include <nlohmann/json.hpp>

namespace pyhost::cli {
namespace {

const std::vector<std::string> kImages = {"auto", "libpython", "executable"};
const std::vector<std::string> kStarts = {"auto", "zygote", "fork", "spawn"};

Result<PoolOptions> common(const OptionValues& options) {
  PoolOptions pool;
  if (auto checked = check_choice(options, "image", kImages); !checked) return checked.error();
  if (auto checked = check_choice(options, "start", kStarts); !checked) return checked.error();
  pool.image = options.get("image").value_or("");
  pool.start = options.get("start").value_or("");
  pool.python = options.get("python").value_or("");
  pool.preload = split_lists(options.all("preload"));
  if (const auto workers = options.get("workers")) {
    Result<WorkerCount> count = parse_workers(*workers, base::usable_cpus());
    if (!count) return count.error();
    pool.workers = *count;
  }
  if (auto read = read_limits(options, pool); !read) return read.error();
  return pool;
}

}  // namespace

Result<PoolOptions> pool_options(const OptionValues& options, const Target& target) {
  Result<PoolOptions> pool = common(options);
  if (!pool) return pool;
  if (pool->start == "fork") {
    return Error(
        Code::startup,
        "`--start fork` is only for `pyhost run`: it copies the running Python script, and "
        "here there is none; use zygote or spawn");
  }
  pool->initializer = options.get("init").value_or("");
  if (options.has("init") && !is_dotted_name(pool->initializer)) {
    return Error(Code::startup, "`--init " + pool->initializer +
                                    "` is no name of a function; write the name of one of the "
                                    "target's script or module, which takes no arguments");
  }
  pool->script = target.script;
  pool->module = target.module;
  return pool;
}

Result<std::string> pool_defaults_json(const OptionValues& options) {
  Result<PoolOptions> pool = common(options);
  if (!pool) return pool.error();
  Result<std::vector<std::string>> adopt = parse_adopt(options.all("adopt"));
  if (!adopt) return adopt.error();
  nlohmann::json defaults = {{"workers", nullptr}, {"start", nullptr}, {"timeout", nullptr}};
  const auto seconds = [&](const char* name, const std::optional<std::chrono::nanoseconds>& time) {
    if (time) defaults[name] = std::chrono::duration<double>(*time).count();
  };
  const auto given = [&](const char* name, const char* option, auto value) {
    if (options.has(option)) defaults[name] = value;
  };
  if (pool->workers.max > 0) {
    defaults["workers"] = pool->workers.max;
    if (pool->workers.min != pool->workers.max) defaults["min_workers"] = pool->workers.min;
  }
  if (!pool->start.empty()) defaults["start"] = pool->start;
  if (!pool->preload.empty()) defaults["preload"] = pool->preload;
  seconds("timeout", pool->timeout);
  seconds("cpu", pool->cpu);
  seconds("grace", pool->grace);
  seconds("max_worker_age", pool->max_worker_age);
  if (options.has("idle")) seconds("idle_time", pool->idle_time);
  given("adopt", "adopt", *adopt);
  given("verbose", "verbose", true);
  given("retries", "retries", pool->retries);
  given("retry_on", "retry-on", pool->retry_on);
  given("memory", "memory", pool->memory);
  given("concurrency", "concurrency", pool->concurrency);
  given("threads_per_worker", "threads-per-worker", pool->threads_per_worker);
  given("max_tasks_per_worker", "max-tasks-per-worker", pool->max_tasks_per_worker);
  given("max_worker_memory", "max-worker-memory", pool->max_worker_memory);
  return defaults.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace pyhost::cli
