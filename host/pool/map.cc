#include <pyhost/map.h>

#include <algorithm>
#include <cassert>
#include <deque>
#include <mutex>
#include <vector>

#include <pool/public_state.h>

namespace pyhost::detail {
namespace {

// Inputs read ahead when the caller does not say: this many batches per call that may run keep
// workers busy while the caller uses a result.
constexpr std::size_t kBatchesAhead = 4;

}  // namespace

// Results of all batches of one map, filled by sinks on any thread.
struct MapBoard {
  std::mutex mutex;
  std::shared_ptr<pool::Event> waited_for;  // set at the next result that can be taken
  std::deque<std::optional<Result<std::string>>> ordered;  // from input number `taken` on
  std::deque<Result<std::string>> unordered;
  std::uint64_t taken = 0;
  bool in_order = true;

  bool can_take() const {
    return in_order ? !ordered.empty() && ordered.front().has_value() : !unordered.empty();
  }

  void put(std::uint64_t input, Result<std::string> result) {
    const std::lock_guard lock(mutex);
    if (in_order) {
      ordered[input - taken].emplace(std::move(result));
    } else {
      unordered.push_back(std::move(result));
    }
    if (waited_for && can_take()) std::exchange(waited_for, nullptr)->set();
  }
};

namespace {

struct MapSink : pool::Sink {
  std::shared_ptr<MapBoard> board;
  std::uint64_t first_input = 0;
  void settle(std::uint32_t item, pool::Outcome outcome) override {
    board->put(first_input + item, to_result(std::move(outcome)));
  }
};

}  // namespace

struct RawMap::State {
  std::shared_ptr<PoolState> pool;
  std::uint32_t function = 0;
  MapOptions options;
  std::shared_ptr<const CallOptions> limits;
  std::shared_ptr<MapBoard> board = std::make_shared<MapBoard>();
  std::string payload;          // of the batch being filled
  std::uint32_t count = 0;      // its items
  std::uint32_t wanted = 1;     // how many it is to have
  std::size_t window = 1;       // inputs ahead of the results
  std::uint64_t pushed = 0;     // inputs
  std::uint64_t delivered = 0;  // results
  // Batches under way; the engine drops a sink with its batch's last result.
  std::deque<std::pair<pool::Ticket, std::weak_ptr<MapSink>>> tickets;

  void choose_sizes() {
    const auto places = static_cast<std::size_t>(pool->engine->calls_at_once());
    const std::size_t suggested = pool->engine->suggested_count(function);
    window = options.window > 0 ? options.window : suggested * places * kBatchesAhead;
    wanted =
        static_cast<std::uint32_t>(std::clamp<std::size_t>(window / (2 * places), 1, suggested));
  }

  std::uint64_t announce() {
    const std::lock_guard lock(board->mutex);
    if (board->in_order) board->ordered.emplace_back();
    return pushed++;
  }

  void send() {
    if (count == 0) return;
    auto sink = std::make_shared<MapSink>();
    sink->board = board;
    sink->first_input = pushed - count;
    const std::weak_ptr<MapSink> under_way = sink;
    tickets.emplace_back(pool->engine->submit({.function = function,
                                               .codec = wire::Codec::json,
                                               .style = wire::Style::value,
                                               .count = count,
                                               .payload = std::move(payload),
                                               .limits = limits,
                                               .sink = std::move(sink)}),
                         under_way);
    payload.clear();
    count = 0;
    std::erase_if(tickets, [](const auto& ticket) { return ticket.second.expired(); });
    choose_sizes();
  }
};

RawMap::RawMap(std::shared_ptr<PoolState> pool, std::string_view function,
               const MapOptions& options, std::shared_ptr<const CallOptions> limits)
    : state_(std::make_unique<State>()) {
  state_->function = pool->function_number(function);
  state_->pool = std::move(pool);
  state_->options = options;
  state_->limits = std::move(limits);
  state_->board->in_order = options.ordered;
  state_->choose_sizes();
}

RawMap::RawMap(RawMap&&) noexcept = default;
RawMap& RawMap::operator=(RawMap&&) noexcept = default;

RawMap::~RawMap() {
  if (!state_) return;
  for (const auto& [ticket, sink] : state_->tickets) {
    if (!sink.expired()) state_->pool->engine->cancel(ticket, std::nullopt, false);
  }
}

bool RawMap::has_room() const {
  return state_->pushed - state_->delivered < state_->window;
}

void RawMap::push(std::string_view item) {
  state_->announce();
  append_item(state_->payload, item);
  if (++state_->count >= state_->wanted) state_->send();
}

void RawMap::push(Error error) {
  state_->send();  // so that a batch stays a run of consecutive inputs
  state_->board->put(state_->announce(), std::move(error));
}

void RawMap::end() {
  state_->send();
}

std::optional<Result<std::string>> RawMap::next() {
  State& s = *state_;
  if (s.delivered == s.pushed) return std::nullopt;
  for (;;) {
    std::shared_ptr<pool::Event> event;
    {
      const std::lock_guard lock(s.board->mutex);
      if (s.board->can_take()) {
        ++s.delivered;
        if (!s.board->in_order) {
          Result<std::string> result = std::move(s.board->unordered.front());
          s.board->unordered.pop_front();
          return result;
        }
        ++s.board->taken;
        Result<std::string> result = *std::move(s.board->ordered.front());
        s.board->ordered.pop_front();
        return result;
      }
      event = s.board->waited_for = std::make_shared<pool::Event>();
    }
    s.send();  // what was held back for a fuller batch
    if (s.pool->engine->on_supervisor()) {
      ++s.delivered;
      return Error(Code::cancelled,
                   "a continuation waited for its own pool, which would wait for ever; use `then`");
    }
    s.pool->engine->wait(*event, base::Deadline::never());
  }
}

}  // namespace pyhost::detail
