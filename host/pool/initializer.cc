// initializer.cc: the call that prepares a worker before it counts as ready.
//
// It travels like any call, but is nobody's item: a worker in which it fails is of no use, which is
// a failure to start, and is told as one.
#include <pool/state.h>

namespace pyhost::pool {
namespace {

wire::Bytes as_bytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

std::string shown(const Initializer& initializer) {
  return initializer.name.empty() ? "the initializer"
                                  : "the initializer `" + initializer.name + "`";
}

Error no_room(const Initializer& initializer) {
  return Error(Code::startup, shown(initializer) + " does not fit into a worker's memory (" +
                                  std::to_string(initializer.payload.size()) +
                                  " bytes of arguments); pass less");
}

}  // namespace

Result<void> Engine::State::greet(Worker& worker) {
  if (!options.initializer) {
    on_ready(worker);
    return {};
  }
  const Initializer& first = *options.initializer;
  const std::uint32_t number = *initializer;
  auto defined = worker.wire->define(number, first.definition_codec, as_bytes(first.definition));
  if (!defined.ok() || !*defined) {
    refuse_start(worker, defined.ok() ? no_room(first) : std::move(defined).error());
    return {};
  }
  worker.defined.resize(number + 1);
  worker.defined[number] = true;
  auto posted = worker.wire->post({.function = number,
                                   .codec = first.codec,
                                   .style = first.style,
                                   .payload = as_bytes(first.payload)});
  if (!posted.ok() || !*posted) {
    refuse_start(worker, posted.ok() ? no_room(first) : std::move(posted).error());
    return {};
  }
  worker.initializer = **posted;
  worker.wire->notify();
  return {};
}

Result<void> Engine::State::accept_initializer(Worker& worker, const wire::Reply& reply) {
  if (reply.kind == wire::Kind::started) return {};
  if (reply.batch != worker.initializer->batch || reply.item != 0) {
    return Error(Code::protocol, "a worker replied to a call it was not given");
  }
  if (reply.printed) collect_output(worker, Collect::before_reply);
  worker.wire->finish(*worker.initializer, reply.keeps);
  if (worker.state != WorkerState::starting) return {};
  if (reply.status == wire::Status::ok) {
    worker.initializer.reset();
    on_ready(worker);
    return {};
  }
  Outcome outcome;
  outcome.raised = true;
  outcome.payload = reply.payload;
  outcome.worker = worker.number;
  Error error = outcome.error();
  // The type goes into the sentence: it is the pool that failed, not a call.
  if (!error.type.empty()) {
    error.message = error.message.empty() ? error.type : error.type + ": " + error.message;
  }
  error.type.clear();
  error.message = shown(*options.initializer) + " failed in worker " +
                  std::to_string(worker.number) + ": " + error.message;
  refuse_start(worker, std::move(error));
  return {};
}

void Engine::State::refuse_start(Worker& worker, Error error) {
  error.code = Code::startup;
  error.worker = worker.number;
  worker.start_error = std::move(error);
  kill(worker);
}

// Why the worker, which is dead, never took a call.
Error Engine::State::start_error(const Worker& worker) const {
  if (worker.start_error) return *worker.start_error;
  Error error(Code::startup,
              "worker " + std::to_string(worker.number) + " (pid " + std::to_string(worker.pid) +
                  ") " + (worker.status ? describe_status(*worker.status) : std::string("ended")));
  if (worker.initializer) {
    error.message += " in " + shown(*options.initializer);
  } else {
    error.message = "workers end before they are ready: " + error.message;
  }
  error.worker = worker.number;
  tell_end(worker, error);
  return error;
}

}  // namespace pyhost::pool
