// map.cc: a map as a stream of batches.
//
//   push --> batch of one kind (ints, floats or texts) --submit--> engine --> MapSink --> MapBoard
//   next <-- one result of a segment <--------------------------------------------------+
#include <pyhost/map.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>
#include <utility>
#include <variant>

#include <pool/public_state.h>
#include <wire/frames.h>

namespace pyhost::detail {
namespace {

// Inputs read ahead when the caller does not say: this many batches per call that may run keep
// workers busy while the caller uses a result.
constexpr std::size_t kBatchesAhead = 4;
// Texts may be long: fewer of them than of numbers are read ahead.
constexpr std::size_t kMostTexts = 4096;

// What became of one input, or results of consecutive ones.
using Segment = std::variant<pool::Outcome, pool::Run>;

}  // namespace

// Results of all batches of one map, filled by sinks on any thread.
struct MapBoard {
  std::mutex mutex;
  std::shared_ptr<pool::Event> waited_for;    // set at the next result that can be taken
  std::map<std::uint64_t, Segment> segments;  // by their first input
  std::uint64_t taken = 0;                    // inputs whose segments were taken
  bool in_order = true;

  bool can_take() const {
    return !segments.empty() && (!in_order || segments.begin()->first == taken);
  }

  void put(std::uint64_t input, Segment segment) {
    const std::lock_guard lock(mutex);
    segments.emplace(input, std::move(segment));
    if (waited_for && can_take()) std::exchange(waited_for, nullptr)->set();
  }
};

namespace {

struct MapSink : pool::Sink {
  std::shared_ptr<MapBoard> board;
  std::uint64_t first_input = 0;
  void settle(std::uint32_t item, pool::Outcome outcome) override {
    board->put(first_input + item, std::move(outcome));
  }
  void settle_run(pool::Run run) override {
    const std::uint64_t first = first_input + run.first;
    board->put(first, std::move(run));
  }
};

void take_outcome(pool::Outcome outcome, RawResult& result) {
  Result<std::string> text = to_result(std::move(outcome));
  if (text.ok()) {
    result.kind = RawResult::Kind::text;
    result.text = std::move(*text);
  } else {
    result.kind = RawResult::Kind::error;
    result.error = std::make_unique<Error>(std::move(text).error());
  }
}

}  // namespace

std::string number_text(const RawResult& number) {
  if (number.kind == RawResult::Kind::integer) return std::to_string(number.integer);
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, number.real).ptr;
  std::string shown(text, end);
  // Without a point or an exponent it would be an integer on the other side.
  if (shown.find_first_of(".en") == std::string::npos) shown += ".0";
  return shown;
}

struct RawMap::State {
  std::shared_ptr<PoolState> pool;
  std::uint32_t function = 0;
  MapOptions options;
  std::shared_ptr<const CallOptions> limits;
  std::shared_ptr<MapBoard> board = std::make_shared<MapBoard>();
  wire::Codec codec = wire::Codec::json;  // of the batch being filled
  std::string payload;                    // likewise
  std::uint32_t count = 0;                // its items
  std::uint32_t wanted = 1;               // how many it is to have
  std::size_t window = 1;                 // inputs ahead of the results
  std::uint64_t pushed = 0;               // inputs
  std::uint64_t delivered = 0;            // results
  pool::Run run;                          // being delivered
  std::uint32_t run_taken = 0;
  std::string_view run_rest;
  // Batches under way; the engine drops a sink with its batch's last result.
  std::deque<std::pair<pool::Ticket, std::weak_ptr<MapSink>>> tickets;

  void choose_sizes() {
    const auto places = static_cast<std::size_t>(pool->engine->calls_at_once());
    std::size_t suggested = pool->engine->suggested_count(function);
    if (codec == wire::Codec::json) suggested = std::min(suggested, kMostTexts);
    window = options.window > 0 ? options.window : suggested * places * kBatchesAhead;
    wanted =
        static_cast<std::uint32_t>(std::clamp<std::size_t>(window / (2 * places), 1, suggested));
  }

  // The next input is of this kind: a batch holds one.
  void begin(wire::Codec wanted_codec) {
    if (codec == wanted_codec) return;
    send();
    codec = wanted_codec;
  }

  template <class Number>
  void push_number(wire::Codec wanted_codec, Number number) {
    static_assert(sizeof number == 8);
    begin(wanted_codec);
    payload.append(reinterpret_cast<const char*>(&number), sizeof number);
    pushed_one();
  }

  void pushed_one() {
    ++pushed;
    if (++count >= wanted) send();
  }

  void send() {
    if (count == 0) return;
    auto sink = std::make_shared<MapSink>();
    sink->board = board;
    sink->first_input = pushed - count;
    const std::weak_ptr<MapSink> under_way = sink;
    tickets.emplace_back(pool->engine->submit({.function = function,
                                               .codec = codec,
                                               .style = wire::Style::value,
                                               .count = count,
                                               .result_codec = wire::Codec::json,
                                               .packs = true,
                                               .payload = std::move(payload),
                                               .limits = limits,
                                               .sink = std::move(sink)}),
                         under_way);
    payload.clear();
    count = 0;
    std::erase_if(tickets, [](const auto& ticket) { return ticket.second.expired(); });
    choose_sizes();
  }

  bool take_of_run(RawResult& result) {
    if (run_taken == run.count) return false;
    const std::uint32_t index = run_taken++;
    if (run.codec == wire::Codec::json) {
      result.kind = RawResult::Kind::text;
      result.text = wire::take_frame(run_rest).value_or(std::string_view());
      return true;
    }
    const char* place = run.payload.data() + std::size_t{index} * 8;
    const bool is_integer = run.codec == wire::Codec::i64;
    result.kind = is_integer ? RawResult::Kind::integer : RawResult::Kind::real;
    if (is_integer) std::memcpy(&result.integer, place, sizeof result.integer);
    if (!is_integer) std::memcpy(&result.real, place, sizeof result.real);
    return true;
  }

  // Takes the next segment; null, or what to wait for when there is none yet.
  std::shared_ptr<pool::Event> take_segment(RawResult& result) {
    std::unique_lock lock(board->mutex);
    if (!board->can_take()) return board->waited_for = std::make_shared<pool::Event>();
    auto node = board->segments.extract(board->segments.begin());
    if (auto* outcome = std::get_if<pool::Outcome>(&node.mapped())) {
      ++board->taken;
      lock.unlock();
      take_outcome(std::move(*outcome), result);
      return nullptr;
    }
    run = std::move(std::get<pool::Run>(node.mapped()));
    board->taken += run.count;
    lock.unlock();
    run_taken = 0;
    run_rest = run.payload;
    take_of_run(result);
    return nullptr;
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
  state_->begin(wire::Codec::json);
  wire::append_frame(state_->payload, item);
  state_->pushed_one();
}

void RawMap::push(std::int64_t number) {
  state_->push_number(wire::Codec::i64, number);
}

void RawMap::push(double number) {
  state_->push_number(wire::Codec::f64, number);
}

void RawMap::push(Error error) {
  state_->send();  // so that a batch stays a run of consecutive inputs
  pool::Outcome outcome;
  outcome.failure = std::make_shared<Error>(std::move(error));
  state_->board->put(state_->pushed++, std::move(outcome));
}

void RawMap::end() {
  state_->send();
}

bool RawMap::next(RawResult& result) {
  State& s = *state_;
  if (s.delivered == s.pushed) return false;
  if (s.take_of_run(result)) {
    ++s.delivered;
    return true;
  }
  for (;;) {
    const std::shared_ptr<pool::Event> event = s.take_segment(result);
    if (!event) break;
    s.send();  // what was held back for a fuller batch
    if (s.pool->engine->on_supervisor()) {
      result.kind = RawResult::Kind::error;
      result.error = std::make_unique<Error>(
          Code::cancelled,
          "a continuation waited for its own pool, which would wait for ever; use `then`");
      break;
    }
    s.pool->engine->wait(*event, base::Deadline::never());
  }
  ++s.delivered;
  return true;
}

}  // namespace pyhost::detail
