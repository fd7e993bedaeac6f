#include <pyhost/future.h>

#include <cassert>
#include <mutex>
#include <vector>

#include <pool/public_state.h>
#include <wire/frames.h>

namespace pyhost::detail {

// Settled by the engine; shared by the future's copies.
struct RawFuture::State : pool::Sink, std::enable_shared_from_this<RawFuture::State> {
  using Continuation = std::function<void(Result<std::string>)>;

  std::shared_ptr<pool::Engine> engine;
  pool::Event event;
  std::mutex mutex;
  pool::Ticket ticket;
  std::optional<Result<std::string>> result;
  std::vector<Continuation> continuations;

  void settle(std::uint32_t, pool::Outcome outcome) override {
    std::vector<Continuation> todo;
    {
      const std::lock_guard lock(mutex);
      assert(!result);  // the engine settles an item once
      result.emplace(to_result(std::move(outcome)));
      todo.swap(continuations);
    }
    event.set();
    for (Continuation& continuation : todo) hand_over(std::move(continuation));
  }

  void hand_over(Continuation continuation) {
    engine->continue_on_supervisor(
        [self = shared_from_this(), continuation = std::move(continuation)] {
          continuation(*self->result);
        });
  }
};

RawFuture submit(const std::shared_ptr<PoolState>& pool, std::string_view function,
                 std::string_view item, const std::shared_ptr<const CallOptions>& limits) {
  auto state = std::make_shared<RawFuture::State>();
  state->engine = pool->engine;
  pool::Batch batch{.function = pool->function_number(function),
                    .codec = wire::Codec::json,
                    .style = wire::Style::call,
                    .limits = limits,
                    .sink = state};
  wire::append_frame(batch.payload, item);
  pool::Ticket ticket = pool->engine->submit(std::move(batch));
  {
    const std::lock_guard lock(state->mutex);
    state->ticket = std::move(ticket);
  }
  return RawFuture(std::move(state));
}

namespace {

// Hands each outcome to the future of its number. How many there are is known only when the
// broadcast is under way, so futures are made as they are asked for.
struct Futures final : pool::Sink {
  std::shared_ptr<pool::Engine> engine;
  std::mutex mutex;
  std::vector<std::shared_ptr<RawFuture::State>> states;

  std::shared_ptr<RawFuture::State> at(std::uint32_t number) {
    const std::lock_guard lock(mutex);
    while (states.size() <= number) {
      states.push_back(std::make_shared<RawFuture::State>());
      states.back()->engine = engine;
    }
    return states[number];
  }
  void settle(std::uint32_t number, pool::Outcome outcome) override {
    at(number)->settle(0, std::move(outcome));
  }
};

}  // namespace

std::vector<RawFuture> broadcast(const std::shared_ptr<PoolState>& pool, std::string_view function,
                                 std::string_view item,
                                 const std::shared_ptr<const CallOptions>& limits) {
  auto sink = std::make_shared<Futures>();
  sink->engine = pool->engine;
  pool::Batch batch{.function = pool->function_number(function),
                    .codec = wire::Codec::json,
                    .style = wire::Style::call,
                    .limits = limits,
                    .sink = sink};
  wire::append_frame(batch.payload, item);
  const std::vector<pool::Ticket> tickets = pool->engine->broadcast(std::move(batch));
  std::vector<RawFuture> futures;
  for (std::uint32_t i = 0; i < tickets.size(); ++i) {
    std::shared_ptr<RawFuture::State> state = sink->at(i);
    {
      const std::lock_guard lock(state->mutex);
      state->ticket = tickets[i];
    }
    futures.emplace_back(std::move(state));
  }
  return futures;
}

Result<bool> RawFuture::wait(std::optional<std::chrono::nanoseconds> limit) const {
  if (state_->event.is_set()) return true;
  if (state_->engine->on_supervisor()) {
    return Error(Code::cancelled,
                 "a continuation waited for its own pool, which would wait for ever; use `then`");
  }
  const base::Deadline deadline = limit ? base::Deadline::in(*limit) : base::Deadline::never();
  for (;;) {
    switch (state_->engine->wait(state_->event, deadline)) {
      case pool::Wait::set:
        return true;
      case pool::Wait::timed_out:
        return state_->event.is_set();
      case pool::Wait::interrupted:
        break;
    }
  }
}

Result<std::string> RawFuture::get() const {
  const Result<bool> done = wait(std::nullopt);
  if (!done.ok()) return done.error();
  const std::lock_guard lock(state_->mutex);
  if (!state_->result)
    return Error(Code::cancelled, "the pool belongs to the process that forked this one");
  return *state_->result;
}

void RawFuture::then(std::function<void(Result<std::string>)> continuation) const {
  {
    const std::lock_guard lock(state_->mutex);
    if (!state_->result) {
      state_->continuations.push_back(std::move(continuation));
      return;
    }
  }
  state_->hand_over(std::move(continuation));
}

bool RawFuture::cancel(bool force) const {
  pool::Ticket ticket;
  {
    const std::lock_guard lock(state_->mutex);
    ticket = state_->ticket;
  }
  return state_->engine->cancel(ticket, std::nullopt, force) > 0;
}

}  // namespace pyhost::detail
