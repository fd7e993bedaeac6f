// load_plan.cc: the plan as the zygote reads it.
#include <process/load_plan.h>

#include <nlohmann/json.hpp>

namespace pyhost::process {

std::string to_json(const LoadPlan& plan) {
  nlohmann::json json = nlohmann::json::object();
  const auto put = [&](const char* name, const auto& member) {
    if (!member.empty()) json[name] = member;
  };
  put("script", plan.script);
  put("module", plan.module);
  put("functions", plan.functions);
  put("preload", plan.preload);
  put("sys_path", plan.sys_path);
  put("argv", plan.argv);
  put("folder", plan.folder);
  put("inheritance", plan.inheritance);
  if (plan.threads > 0) json["threads"] = plan.threads;
  put("packages", plan.packages);
  put("core", plan.core);
  // A file name that is not UTF-8 arrives with replacement characters; the error of the import
  // then names it, which is better than an exception here.
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace pyhost::process
