// session.cc: from options to an engine.
#include <cli/session.h>
#include <pool/setup.h>

namespace pyhost::cli {

Result<std::unique_ptr<Session>> Session::start(const PoolOptions& options,
                                                const std::string& function, const Bell& bell,
                                                Messages& messages) {
  Result<pool::Options> prepared = pool::prepare(options, {function});
  if (!prepared) return prepared.error();
  prepared->on_output = [&messages](int, pool::Stream, std::string_view lines) {
    messages.write(lines);
  };
  prepared->on_notice = [&messages](std::string_view line) { messages.say(line); };

  Result<std::shared_ptr<pool::Engine>> engine = pool::Engine::start(std::move(*prepared));
  if (!engine) return engine.error();
  std::unique_ptr<Session> session(new Session);
  session->engine_ = std::move(*engine);
  session->function_ = session->engine_->define(wire::Codec::json, function, function);
  session->starter_ = std::thread([&bell, raw = session.get()] {
    raw->start_up_ = raw->engine_->ready();
    raw->started_.store(true, std::memory_order_release);
    bell.ring();
  });
  return session;
}

Session::~Session() {
  if (!started()) engine_->kill();
  starter_.join();
}

void Session::drain() {
  // Longer than the grace an engine gives exit functions, so that those end by themselves first.
  engine_->drain(base::Deadline::in(std::chrono::seconds(5)));
}

}  // namespace pyhost::cli
