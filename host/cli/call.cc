// call.cc: the command line of `call`, and its only batch.
#include <cli/bell.h>
#include <cli/call.h>
#include <cli/chunk.h>
#include <cli/command_line.h>
#include <cli/exit_code.h>
#include <cli/failure.h>
#include <cli/help.h>
#include <cli/output.h>
#include <cli/pool_settings.h>
#include <cli/session.h>
#include <cli/signals.h>
#include <cli/target.h>
#include <cli/text.h>
#include <poll.h>
#include <unistd.h>

#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

namespace pyhost::cli {
namespace {

std::string framed(std::string_view item) {
  const std::uint64_t length = item.size();
  std::string payload(sizeof length, '\0');
  std::memcpy(payload.data(), &length, sizeof length);
  payload += item;
  return payload;
}

// The outcome, or nothing when a signal came first.
std::optional<pool::Outcome> wait_for(Chunk& chunk, Rest& rest, const Bell& bell,
                                      const Signals& signals) {
  std::optional<pool::Outcome> result;
  while (signals.count() == 0) {
    rest.set(Rest::Depth::sleep);
    chunk.collect(true, [&](std::uint32_t, pool::Outcome& outcome) {
      result = std::move(outcome);
      return true;
    });
    if (result) return result;
    pollfd ring{bell.fd(), POLLIN, 0};
    if (::poll(&ring, 1, -1) > 0) bell.silence();
  }
  return result;
}

// Waits for the only call of `session` and tells how it went.
int finish_call(Session& session, Chunk& chunk, Rest& rest, const Bell& bell,
                const Signals& signals, bool bare, Messages& messages) {
  std::optional<pool::Outcome> outcome = wait_for(chunk, rest, bell, signals);
  if (!outcome) {
    session.engine().kill();
    messages.say("interrupted: 0 of 1 calls done");
    return signals.exit_code();
  }
  if (!outcome->ok) {
    const Error error = outcome->error();
    if (error.code == Code::startup) {
      messages.write(startup_block(error));
      return kHostFailed;
    }
    messages.write("call failed: " + headline(error) + "\n" + details(error));
    session.drain();
    return exit_code_for(1);
  }
  std::string text;
  if (bare) append_bare(outcome->payload, text);
  const int status = write_out((bare ? text : outcome->payload) + "\n", messages);
  session.drain();
  return status;
}

}  // namespace

Result<std::string> call_item(std::span<const std::string> arguments, const std::string& kwargs) {
  std::string item = "[[";
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& text = arguments[i];
    if (!nlohmann::json::accept(text)) {
      std::string quoted;
      std::string message = "argument " + std::to_string(i + 1) + " `" + text + "` is not JSON";
      const bool utf8 = !append_json_string(text, quoted).has_value();
      if (utf8 && text.find('\'') == std::string::npos) {
        message += "; if it is a string, write '" + quoted + "', with both kinds of quotes";
      } else {
        message += "; a string stands in double quotes, which the shell must not remove";
      }
      return Error(Code::startup, message);
    }
    item += (i == 0 ? "" : ",") + text;
  }
  item += "],";
  if (!kwargs.empty()) {
    const bool object =
        nlohmann::json::accept(kwargs) && kwargs[kwargs.find_first_not_of(" \t\r\n")] == '{';
    if (!object) {
      return Error(Code::startup, "`--kwargs " + kwargs +
                                      "` is no JSON object; write --kwargs '{\"name\": value}'");
    }
  }
  return item + (kwargs.empty() ? "{}" : kwargs) + "]";
}

int run_call(std::span<const std::string> words) {
  Messages messages;
  Result<CommandLine> line = parse_command_line(Command::call, words);
  if (!line) return usage_error(messages, line.error(), "call");
  if (line->options.has("help")) return print_topic("call");
  if (line->positionals.empty()) {
    return usage_error(
        messages,
        {Code::startup, "`pyhost call` needs a target: `pyhost call file.py:function [JSON...]`"},
        "call");
  }
  const Result<Target> target = parse_target(line->positionals.front());
  if (!target) return usage_error(messages, target.error(), "call");
  Result<PoolOptions> pool = pool_options(line->options, *target);
  if (!pool) return usage_error(messages, pool.error(), "call");
  const Result<std::string> item =
      call_item(std::span(line->positionals).subspan(1), line->options.get("kwargs").value_or(""));
  if (!item) return usage_error(messages, item.error(), "call");
  if (pool->workers.max == 0) pool->workers = 1;  // more would only be started and stopped

  const Bell bell;
  const Signals signals(bell);
  Rest rest(bell);
  auto session = Session::start(*pool, target->function, bell, messages);
  if (!session) {
    messages.write(startup_block(session.error()));
    return kHostFailed;
  }
  const auto chunk = std::make_shared<Chunk>(rest, 1, std::vector<std::uint64_t>{1}, 0);
  pool::Batch batch;
  batch.function = (*session)->function();
  batch.style = wire::Style::call;
  batch.payload = framed(*item);
  batch.sink = chunk;
  (*session)->engine().submit(std::move(batch));
  return finish_call(**session, *chunk, rest, bell, signals, line->options.has("raw-output"),
                     messages);
}

}  // namespace pyhost::cli
