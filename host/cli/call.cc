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
#include <cli/stacks.h>
#include <cli/target.h>
#include <cli/text.h>
#include <poll.h>
#include <unistd.h>
#include <wire/frames.h>

#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

namespace pyhost::cli {
namespace {

// A call on its way, and what may come between.
struct OneCall {
  Session& session;
  Chunk& chunk;
  Rest& rest;
  const Bell& bell;
  const Signals& signals;
  Messages& messages;
  pool::Ticket ticket;
};

// The first signal asks the call to stop, as Ctrl-C does in Python; one more, or one while the
// script still loads, kills.
void obey_signals(const OneCall& call, int& seen) {
  const int count = call.signals.count();
  if (count == seen) return;
  const bool first = seen == 0 && count == 1;
  seen = count;
  if (first && !call.session.is_loading()) {
    call.session.engine().cancel(call.ticket, std::nullopt, true);
  } else {
    call.session.engine().kill();
  }
}

pool::Outcome wait_for(const OneCall& call) {
  std::optional<pool::Outcome> result;
  Questions questions(call.signals, call.messages);
  int signals_seen = 0;
  for (;;) {
    obey_signals(call, signals_seen);
    questions.answer(call.session);
    call.rest.set(Rest::Depth::sleep);
    call.chunk.collect(true, [&](std::uint32_t, pool::Outcome& outcome) {
      result = std::move(outcome);
      return true;
    });
    if (result) return std::move(*result);
    pollfd ring{call.bell.fd(), POLLIN, 0};
    if (::poll(&ring, 1, -1) > 0) call.bell.silence();
  }
}

// Waits for the only call of the session and tells how it went.
int finish_call(const OneCall& call, bool bare) {
  pool::Outcome outcome = wait_for(call);
  Messages& messages = call.messages;
  if (!outcome.ok) {
    const Error error = outcome.error();
    if (call.signals.count() > 0) {
      call.session.engine().kill();
      messages.say("interrupted: 0 of 1 calls done");
      return call.signals.exit_code();
    }
    if (error.code == Code::startup) {
      messages.write(startup_block(error));
      return kHostFailed;
    }
    messages.write("call failed: " + headline(error) + "\n" + details(error));
    call.session.drain();
    return exit_code_for(1);
  }
  std::string text;
  if (bare) append_bare(outcome.payload, text);
  const int status = write_out((bare ? text : outcome.payload) + "\n", messages);
  call.session.drain();
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
  wire::append_frame(batch.payload, *item);
  batch.sink = chunk;
  const pool::Ticket ticket = (*session)->engine().submit(std::move(batch));
  return finish_call({**session, *chunk, rest, bell, signals, messages, ticket},
                     line->options.has("raw-output"));
}

}  // namespace pyhost::cli
