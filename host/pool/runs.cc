// runs.cc: results of consecutive items that come together: sent as one record, or found in the
// worker's arena where it had no time to send them.
#include <algorithm>
#include <utility>

#include <pool/state.h>
#include <wire/frames.h>

namespace pyhost::pool {
namespace {

// Drops the first `count` results of a run.
void drop_results(Run& run, std::uint32_t count) {
  std::string_view rest = run.payload;
  if (run.codec == wire::Codec::i64 || run.codec == wire::Codec::f64) {
    rest.remove_prefix(count * sizeof(std::int64_t));
  } else {
    for (std::uint32_t i = 0; i < count; ++i) wire::take_frame(rest);
  }
  run.payload.erase(0, run.payload.size() - rest.size());
  run.first += count;
  run.count -= count;
}

}  // namespace

std::deque<InFlight>::iterator Engine::State::flight_of(Worker& worker, std::uint32_t batch) {
  return std::find_if(worker.in_flight.begin(), worker.in_flight.end(),
                      [batch](const InFlight& flight) { return flight.posted.batch == batch; });
}

// Results come as the batch asked for them. Whoever asked for text prints it, and a sink that takes
// no numbers would take them for frames.
Result<void> Engine::State::check_codec(const Worker& worker, const Submitted& work,
                                        wire::Codec codec) {
  const Batch& batch = work.batch;
  const wire::Codec asked =
      batch.result_codec == wire::Codec::none ? batch.codec : batch.result_codec;
  const bool numbers = codec == wire::Codec::i64 || codec == wire::Codec::f64;
  if (numbers ? batch.packs : codec == asked) return {};
  return protocol_error(worker, "results of codec " + std::to_string(static_cast<int>(codec)) +
                                    " to calls that asked for codec " +
                                    std::to_string(static_cast<int>(asked)));
}

Result<void> Engine::State::accept_results(Worker& worker, wire::Reply reply) {
  const auto flight = flight_of(worker, reply.batch);
  if (flight == worker.in_flight.end()) {
    if (reply.batch == worker.harvested_batch) return {};  // all of it was taken from the arena
    return protocol_error(worker, "batch " + std::to_string(reply.batch) + " is not in flight");
  }
  if (reply.end > flight->posted.end || reply.item < flight->posted.first) {
    return protocol_error(worker, "items " + std::to_string(reply.item) + " to " +
                                      std::to_string(reply.end) + " are not below " +
                                      std::to_string(flight->posted.end));
  }
  if (auto fits = check_codec(worker, *flight->work, reply.codec); !fits) return fits;
  if (reply.printed) collect_output(worker, Collect::before_reply);
  const base::Moment now = base::now();
  note_speed(*flight, reply, now);
  Run run{.first = reply.item,
          .count = reply.end - reply.item,
          .codec = reply.codec,
          .payload = std::move(reply.payload),
          .worker = worker.number,
          .claimed_ns = std::clamp(reply.claimed_ns, base::nanoseconds(flight->posted_at),
                                   base::nanoseconds(now))};
  Result<void> taken = take_run(worker, *flight, std::move(run));
  if (flight->outstanding == 0) finish(worker, flight);
  return taken;
}

// Moving average of the time per item.
void Engine::State::note_speed(InFlight& flight, const wire::Reply& reply, base::Moment now) {
  const std::uint32_t items = reply.end - reply.item;
  flight.replied += items;
  // The worker's word, but no more than all the time there was.
  const auto most = static_cast<double>((now - flight.posted_at).count());
  const double seconds = std::min(static_cast<double>(reply.ran_ns), most) * 1e-9 / items;
  average_in(functions[flight.work->batch.function], seconds);
}

// Settles what of `run` (wire items) has no outcome yet. Items below `harvested` may come twice.
Result<void> Engine::State::take_run(Worker& worker, InFlight& flight, Run run) {
  while (run.count > 0) {
    if (flight.done(run.first)) {
      if (run.first >= flight.harvested && worker.state != WorkerState::dying) {
        return protocol_error(
            worker, "item " + std::to_string(flight.base + run.first) + " has its outcome already");
      }
      std::uint32_t done = 1;
      while (done < run.count && flight.done(run.first + done)) ++done;
      drop_results(run, done);
      continue;
    }
    worker.unstick();
    worker.fruitless_deaths = 0;
    zygote_deaths = 0;
    if (worker.find_stop(flight, run.first) != nullptr) {
      flight.harvested = std::max(flight.harvested, run.first + 1);
      settle_stopped(worker, flight, run.first);
      drop_results(run, 1);
      continue;
    }
    const auto plain = [&](std::uint32_t item) {
      return !flight.done(item) && (worker.stops.empty() || !worker.find_stop(flight, item));
    };
    std::uint32_t count = 1;
    while (count < run.count && plain(run.first + count)) ++count;
    if (count == run.count) {
      settle_run(worker, flight, std::move(run));
      return {};
    }
    // A limit or a cancel settled one in the middle.
    flight.harvested = std::max(flight.harvested, run.first + run.count);
    Run part = run;
    drop_results(run, count);
    part.count = count;
    settle_run(worker, flight, std::move(part));
  }
  return {};
}

// The item has a result, but was asked to stop before: it comes to its verdict.
void Engine::State::settle_stopped(Worker& worker, InFlight& flight, std::uint32_t wire_item) {
  --flight.outstanding;
  --worker.ahead;
  --in_flight;
  Outcome outcome;
  outcome.ok = true;
  outcome.worker = worker.number;
  judge(worker, flight, wire_item, outcome);
  settle_or_rerun(worker, flight, wire_item, std::move(outcome));
}

// Requires: none of the run's items has an outcome. It may hold more results than `count`.
void Engine::State::settle_run(Worker& worker, InFlight& flight, Run run) {
  const Ticket& work = flight.work;
  flight.outstanding -= run.count;
  worker.ahead -= run.count;
  in_flight -= run.count;
  run.first += flight.base;
  for (std::uint32_t i = 0; i < run.count; ++i) work->mark_settled(run.first + i);
  totals.settled += run.count;
  run.settled_ns = base::nanoseconds(base::now());
  auto owned = std::make_unique<Run>(std::move(run));
  if (work->unsettled > 0) {
    deferred.push_back({.sink = work->batch.sink, .run = std::move(owned)});
  } else {
    deferred.push_back({.sink = std::move(work->batch.sink), .run = std::move(owned)});
    work->batch.payload = std::string();
  }
  if (idle()) changed.notify_all();
}

// Takes results that stand in the worker's arena: it died, or is busy with a long item.
void Engine::State::harvest(Worker& worker) {
  if (!worker.wire || worker.mute) return;
  std::optional<wire::OpenRun> open = worker.wire->open_run();
  if (!open) return;
  const auto flight = flight_of(worker, open->batch);
  if (flight == worker.in_flight.end() || open->first < flight->posted.first ||
      !check_codec(worker, *flight->work, open->codec) ||
      open->count > flight->posted.end - std::min(open->first, flight->posted.end)) {
    return;
  }
  flight->harvested = std::max(flight->harvested, open->first + open->count);
  worker.harvested_batch = open->batch;
  Run run{.first = open->first,
          .count = open->count,
          .codec = open->codec,
          .payload = std::move(open->payload),
          .worker = worker.number,
          .claimed_ns = base::nanoseconds(flight->posted_at)};
  static_cast<void>(take_run(worker, *flight, std::move(run)));
  if (flight->outstanding == 0) finish(worker, flight);
}

}  // namespace pyhost::pool
