// broadcast.cc: calls that every worker runs once.
//
// Each worker gets a batch of its own, so that a share is posted, taken back and settled like any
// call. It waits with its worker (Worker::pinned) instead of in the common queue, which serves no
// worker that still has one.
#include <memory>
#include <utility>

#include <pool/state.h>

namespace pyhost::pool {
namespace {

// One worker's outcome, as one of the broadcast's.
class Share final : public Sink {
 public:
  Share(std::shared_ptr<Sink> whole, std::uint32_t number)
      : whole_(std::move(whole)), number_(number) {}
  void settle(std::uint32_t, Outcome outcome) override {
    whole_->settle(number_, std::move(outcome));
  }

 private:
  std::shared_ptr<Sink> whole_;
  std::uint32_t number_;
};

Part make_share(const Batch& batch, std::uint32_t number, std::uint64_t broadcast) {
  auto work = std::make_shared<Submitted>();
  work->batch = batch;
  work->batch.sink = std::make_shared<Share>(batch.sink, number);
  work->unsettled = 1;
  work->broadcast = broadcast;
  return {std::move(work), 0, 1};
}

// Run again elsewhere, a share would be run twice there.
std::shared_ptr<const CallOptions> without_retries(
    const std::shared_ptr<const CallOptions>& limits) {
  CallOptions copy = limits ? *limits : CallOptions();
  copy.retries = 0;
  return std::make_shared<const CallOptions>(std::move(copy));
}

bool is_there(const Worker& worker) {
  return worker.state == WorkerState::forking || worker.state == WorkerState::starting ||
         (worker.state == WorkerState::ready && !worker.leaving);
}

}  // namespace

std::vector<Ticket> Engine::State::broadcast(Batch batch) {
  batch.limits = without_retries(batch.limits);
  ++broadcasts;
  std::vector<Ticket> tickets;
  const auto next_share = [&] {
    Part share = make_share(batch, static_cast<std::uint32_t>(tickets.size()), broadcasts);
    tickets.push_back(share.work);
    return share;
  };
  if (closed || fatal) {
    fail(next_share().work, 0, fatal ? *fatal : closed_error(), -1);
    return tickets;
  }
  for (Worker& worker : workers) {
    if (is_there(worker)) worker.pinned.push_back(next_share());
  }
  for (int missing = target - counted(base::now()); missing > 0; --missing) {
    unassigned.push_back(next_share());
  }
  pinned += tickets.size();
  return tickets;
}

// A new worker's part in broadcasts that were made while it was still missing.
void Engine::State::assign_pinned(Worker& worker) {
  std::deque<Part> rest;
  for (Part& part : unassigned) {
    const bool has_one =
        !worker.pinned.empty() && worker.pinned.back().work->broadcast == part.work->broadcast;
    (has_one ? rest : worker.pinned).push_back(std::move(part));
  }
  unassigned.swap(rest);
}

void Engine::State::post_pinned() {
  for (Worker& worker : workers) {
    if (worker.state != WorkerState::ready || worker.stuck || worker.suspect) continue;
    bool posted = false;
    while (!worker.pinned.empty()) {
      const Part part = std::move(worker.pinned.front());
      worker.pinned.pop_front();
      --pinned;
      enqueue(part, true);  // post_some posts the front of the queue
      const bool done = post_some(worker);
      posted = posted || done;
      if (ready.empty() || ready.front().work != part.work) continue;
      ready.pop_front();
      if (part.work->settled(part.first)) continue;  // it can never be sent
      --queued;
      return_pinned(worker, part);
      break;
    }
    if (posted) worker.wire->notify();
  }
}

void Engine::State::return_pinned(Worker& worker, Part part) {
  worker.pinned.push_front(std::move(part));
  ++pinned;
}

// A share that waits is cancelled: it waits no more.
void Engine::State::unpin(const Ticket& work) {
  const auto remove = [&](std::deque<Part>& parts) {
    pinned -= std::erase_if(parts, [&](const Part& part) { return part.work == work; });
  };
  remove(unassigned);
  for (Worker& worker : workers) {
    remove(worker.pinned);
    if (worker.leaving && worker.state == WorkerState::ready) on_rest(worker);
  }
}

// The worker ends before it came to them.
void Engine::State::drop_pinned(Worker& worker) {
  std::deque<Part> parts;
  parts.swap(worker.pinned);
  for (const Part& part : parts) {
    --pinned;
    fail(part.work, part.first,
         Error(Code::cancelled, "worker " + std::to_string(worker.number) +
                                    " ended before it came to the call, which was for it alone"),
         worker.number);
  }
}

void Engine::State::fail_pinned(const Error& error) {
  std::deque<Part> parts;
  parts.swap(unassigned);
  for (Worker& worker : workers) {
    for (Part& part : worker.pinned) parts.push_back(std::move(part));
    worker.pinned.clear();
  }
  pinned = 0;
  for (const Part& part : parts) fail(part.work, part.first, error, -1);
}

}  // namespace pyhost::pool
