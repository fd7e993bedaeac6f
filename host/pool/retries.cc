// retries.cc: items that run once more, where the user said that they may.
#include <algorithm>
#include <string_view>

#include <pool/error_payload.h>
#include <pool/state.h>

namespace pyhost::pool {
namespace {

bool is_retryable(Code code) {
  switch (code) {
    case Code::python_error:
    case Code::worker_crashed:
    case Code::timeout:
    case Code::memory:
    case Code::cpu:
    case Code::protocol:
      return true;
    default:
      return false;
  }
}

// Whether `wanted` names the class: in full, or by the part behind its module.
bool names(std::string_view wanted, std::string_view type) {
  if (wanted == type) return true;
  const std::size_t dot = type.rfind('.');
  return dot != std::string_view::npos && wanted == type.substr(dot + 1);
}

}  // namespace

int Engine::State::retries_of(const Submitted& work) const {
  const CallOptions* limits = work.batch.limits.get();
  if (limits != nullptr && limits->retries) return *limits->retries;
  return options.limits.retries.value_or(0);
}

int Engine::State::attempts_of(const Submitted& work, std::uint32_t item) const {
  if (!work.reruns) return 1;
  const auto found = work.reruns->find(item);
  return found == work.reruns->end() ? 1 : found->second + 1;
}

bool Engine::State::may_rerun(const Submitted& work, std::uint32_t item, Code code,
                              const std::string* raised) const {
  if (!is_retryable(code) || attempts_of(work, item) > retries_of(work)) return false;
  if (stopping || ending || fatal) return false;
  const CallOptions* limits = work.batch.limits.get();
  const bool own = limits != nullptr && !limits->retry_on.empty();
  const std::vector<std::string>& wanted = own ? limits->retry_on : options.limits.retry_on;
  if (wanted.empty()) return true;
  const auto any = [&](auto matches) { return std::any_of(wanted.begin(), wanted.end(), matches); };
  if (any([&](const std::string& name) { return name == kind_name(code); })) return true;
  if (code != Code::python_error || raised == nullptr) return false;
  for (const std::string& type : types_from_payload(*raised)) {
    if (any([&](const std::string& name) { return names(name, type); })) return true;
  }
  return false;
}

// Requires: the item is counted nowhere, and its payload is here.
void Engine::State::rerun(const Ticket& work, std::uint32_t item) {
  if (!work->reruns) work->reruns = std::make_unique<std::unordered_map<std::uint32_t, int>>();
  ++(*work->reruns)[item];
  ++totals.retries;
  enqueue({work, item, item + 1}, true);
}

// A large payload may live in the worker's region only: it is copied back before its room is used
// again.
void Engine::State::restore_payload(Worker& worker, const InFlight& flight) {
  if (!flight.work->payload_posted) return;
  const wire::Bytes bytes = worker.wire->payload(flight.posted);
  flight.work->batch.payload.assign(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  flight.work->payload_posted = false;
}

// A failure that a worker told of. Requires: the item is counted nowhere.
void Engine::State::settle_or_rerun(Worker& worker, InFlight& flight, std::uint32_t wire_item,
                                    Outcome outcome) {
  const std::uint32_t item = flight.base + wire_item;
  Code code = outcome.marshal ? Code::marshal : Code::python_error;
  if (outcome.failure) code = outcome.failure->code;
  if (may_rerun(*flight.work, item, code, outcome.raised ? &outcome.payload : nullptr)) {
    restore_payload(worker, flight);
    flight.reruns.push_back(wire_item);
    rerun(flight.work, item);
    return;
  }
  outcome.attempts = attempts_of(*flight.work, item);
  settle(flight.work, item, std::move(outcome));
}

}  // namespace pyhost::pool
