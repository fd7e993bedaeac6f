// map.cc: the command line of `map`.
#include <cli/bell.h>
#include <cli/command_line.h>
#include <cli/exit_code.h>
#include <cli/failure.h>
#include <cli/feed.h>
#include <cli/help.h>
#include <cli/map.h>
#include <cli/map_loop.h>
#include <cli/output.h>
#include <cli/pool_settings.h>
#include <cli/session.h>
#include <cli/signals.h>
#include <cli/target.h>
#include <unistd.h>

#include <vector>

namespace pyhost::cli {
namespace {

struct MapPlan {
  PoolOptions pool;
  Target target;
  std::vector<std::string> inputs;
  FeedOptions feed;
  MapSettings settings;
};

wire::Style style_named(const std::string& name) {
  if (name == "args") return wire::Style::args;
  return name == "kwargs" ? wire::Style::kwargs : wire::Style::value;
}

Result<MapPlan> plan_map(const CommandLine& line) {
  if (line.positionals.empty()) {
    return Error(Code::startup,
                 "`pyhost map` needs a target: `pyhost map file.py:function [INPUT...]`");
  }
  const std::vector<std::string> styles = {"value", "args", "kwargs"};
  if (auto checked = check_choice(line.options, "call", styles); !checked) return checked.error();
  MapPlan plan;
  Result<Target> target = parse_target(line.positionals.front());
  if (!target) return target.error();
  plan.target = *target;
  Result<PoolOptions> pool = pool_options(line.options, plan.target);
  if (!pool) return pool.error();
  plan.pool = *pool;
  plan.inputs.assign(line.positionals.begin() + 1, line.positionals.end());
  plan.feed.separator = line.options.has("null") ? '\0' : '\n';
  plan.feed.raw = line.options.has("raw-input");
  plan.settings.style = style_named(line.options.get("call").value_or("value"));
  plan.settings.in_order = !line.options.has("unordered");
  plan.settings.records = line.options.has("records");
  plan.settings.bare = line.options.has("raw-output");
  if (plan.feed.raw && plan.settings.style != wire::Style::value) {
    return Error(Code::startup, "`--raw-input` makes each line a string, which `--call " +
                                    *line.options.get("call") +
                                    "` cannot spread over arguments; leave one of them out");
  }
  if (plan.settings.records && plan.settings.bare) {
    return Error(Code::startup,
                 "`--records` prints JSON objects, `--raw-output` bare strings; leave one out");
  }
  return plan;
}

}  // namespace

int run_map(std::span<const std::string> words) {
  Messages messages;
  Result<CommandLine> line = parse_command_line(Command::map, words);
  if (!line) return usage_error(messages, line.error(), "map");
  if (line->options.has("help")) return print_topic("map");
  Result<MapPlan> plan = plan_map(*line);
  if (!plan) return usage_error(messages, plan.error(), "map");

  Result<Feed> feed = Feed::open(plan->inputs, plan->feed);
  if (!feed) {
    messages.say(feed.error().message);
    return kHostFailed;
  }
  const Bell bell;
  const Signals signals(bell);
  Rest rest(bell);  // before the session: the engine's threads use it until they are gone
  auto session = Session::start(plan->pool, plan->target.function, bell, messages);
  if (!session) {
    messages.write(startup_block(session.error()));
    return kHostFailed;
  }
  Output output(STDOUT_FILENO);
  MapLoop loop(**session, *feed, output, messages, signals, bell, rest, plan->settings);
  return loop.run();
}

}  // namespace pyhost::cli
