// pool_settings.cc: checks the values and fills them in.
#include <base/system.h>
#include <cli/pool_settings.h>
#include <cli/text.h>
#include <cli/workers.h>

#include <nlohmann/json.hpp>

namespace pyhost::cli {
namespace {

const std::vector<std::string> kImages = {"auto", "libpython", "executable"};
const std::vector<std::string> kStarts = {"auto", "zygote", "fork", "spawn"};

// Each `--preload` may name several modules, separated by commas.
std::vector<std::string> preload_list(const OptionValues& options) {
  std::vector<std::string> modules;
  for (const std::string& list : options.all("preload")) {
    for (std::size_t at = 0; at <= list.size();) {
      const std::size_t comma = std::min(list.find(',', at), list.size());
      if (comma > at) modules.push_back(list.substr(at, comma - at));
      at = comma + 1;
    }
  }
  return modules;
}

Result<PoolOptions> common(const OptionValues& options) {
  PoolOptions pool;
  if (auto checked = check_choice(options, "image", kImages); !checked) return checked.error();
  if (auto checked = check_choice(options, "start", kStarts); !checked) return checked.error();
  pool.image = options.get("image").value_or("");
  pool.start = options.get("start").value_or("");
  pool.python = options.get("python").value_or("");
  pool.preload = preload_list(options);
  if (const auto workers = options.get("workers")) {
    Result<int> count = parse_workers(*workers, base::usable_cpus());
    if (!count) return count.error();
    pool.workers = *count;
  }
  if (const auto timeout = options.get("timeout")) {
    Result<std::chrono::nanoseconds> limit = parse_duration("timeout", *timeout);
    if (!limit) return limit.error();
    pool.timeout = *limit;
  }
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
  pool->script = target.script;
  pool->module = target.module;
  return pool;
}

Result<std::string> pool_defaults_json(const OptionValues& options) {
  Result<PoolOptions> pool = common(options);
  if (!pool) return pool.error();
  nlohmann::json defaults = {{"workers", nullptr}, {"start", nullptr}, {"timeout", nullptr}};
  if (pool->workers.max > 0) defaults["workers"] = pool->workers.max;
  if (!pool->start.empty()) defaults["start"] = pool->start;
  if (pool->timeout) defaults["timeout"] = std::chrono::duration<double>(*pool->timeout).count();
  if (!pool->preload.empty()) defaults["preload"] = pool->preload;
  return defaults.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace pyhost::cli
