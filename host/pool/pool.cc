#include <pyhost/pool.h>

#include <charconv>
#include <cstring>

#include <pool/public_state.h>
#include <pool/setup.h>

namespace pyhost {
namespace detail {

std::uint32_t PoolState::function_number(std::string_view name) {
  const std::lock_guard lock(mutex_);
  const auto known = numbers_.find(name);
  if (known != numbers_.end()) return known->second;
  const std::uint32_t number =
      engine->define(wire::Codec::json, std::string(name), std::string(name));
  numbers_.emplace(name, number);
  return number;
}

Result<std::string> to_result(pool::Outcome outcome) {
  if (!outcome.ok) return outcome.error();
  return std::move(outcome.payload);
}

std::string_view oversized_integer(std::string_view json) {
  bool in_string = false;
  for (std::size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
      continue;
    }
    if (c == '"') in_string = true;
    if (c != '-' && (c < '0' || c > '9')) continue;
    const std::size_t end = std::min(json.find_first_not_of("+-.eE0123456789", i), json.size());
    const std::string_view number = json.substr(i, end - i);
    i = end - 1;
    if (number.size() < 19 || number.find_first_of(".eE") != std::string_view::npos) continue;
    std::int64_t narrow = 0;
    std::uint64_t wide = 0;
    const char* last = number.data() + number.size();
    if (std::from_chars(number.data(), last, narrow).ec != std::errc() &&
        std::from_chars(number.data(), last, wide).ec != std::errc()) {
      return number;
    }
  }
  return {};
}

}  // namespace detail

Result<Pool> Pool::start(const PoolOptions& options) {
  auto prepared = pool::prepare(options);
  if (!prepared.ok()) return std::move(prepared).error();
  auto engine = pool::Engine::start(std::move(*prepared));
  if (!engine.ok()) return std::move(engine).error();
  const Result<void> ready = (*engine)->ready();
  if (!ready.ok()) return ready.error();
  auto state = std::make_shared<detail::PoolState>();
  state->engine = std::move(*engine);
  return Pool(std::move(state));
}

Pool& Pool::operator=(Pool&& other) noexcept {
  if (this != &other) {
    if (state_) state_->engine->kill();
    state_ = std::move(other.state_);
  }
  return *this;
}

Pool::~Pool() {
  if (state_) state_->engine->kill();
}

PoolStats Pool::stats() const {
  const pool::Stats stats = state_->engine->stats();
  return {.workers = stats.workers,
          .busy = stats.busy,
          .queued = stats.queued,
          .in_flight = stats.in_flight,
          .settled = stats.settled,
          .failed = stats.failed,
          .crashes = stats.crashes,
          .respawns = stats.respawns,
          .retries = stats.retries,
          .recycled = stats.recycled,
          .pids = stats.pids};
}

std::vector<WorkerStack> Pool::stacks(std::chrono::nanoseconds limit) const {
  return state_->engine->stacks(base::Deadline::in(limit));
}

bool Pool::drain(std::chrono::nanoseconds limit) {
  return state_->engine->drain(base::Deadline::in(limit));
}

}  // namespace pyhost
