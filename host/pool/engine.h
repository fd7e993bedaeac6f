// engine.h: the pool as bytes. Everything users see (C++ API, command, Python package) is a thin
// layer over this class.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <pyhost/options.h>
#include <pyhost/result.h>
#include <pyhost/stacks.h>

#include <base/clock.h>
#include <base/fork_guard.h>
#include <base/futex.h>
#include <pool/exit_log.h>
#include <process/launch.h>
#include <process/load_plan.h>
#include <wire/layout.h>

namespace pyhost::pool {

// Something that happens once and can be waited for with Engine::wait.
//
// Threads: any.
class Event {
 public:
  void set();
  bool is_set() const { return word_.load(std::memory_order_acquire) != 0; }

 private:
  friend class Engine;
  std::atomic<std::uint32_t> word_{0};
  std::atomic<std::uint32_t> sleepers_{0};
};

// What became of one item. Exactly one of these is handed out per item.
struct Outcome {
  bool ok = false;
  wire::Codec codec = wire::Codec::none;
  std::string payload;   // ok: the result. not ok and `raised`: an ErrorPayload (layout.md)
  bool raised = false;   // the worker described the failure; `error()` decodes it
  bool marshal = false;  // with `raised`: an argument or the result could not cross
  std::shared_ptr<Error> failure;  // not ok and not raised: the host's own account
  int worker = -1;
  std::uint64_t claimed_ns = 0;  // 0: never started
  std::uint64_t settled_ns = 0;
  int attempts = 1;  // how often it ran
  // The most bytes that were resident in its worker so far, as that says; 0: not known.
  std::uint64_t peak_memory = 0;

  // The failure as users see it. Requires: !ok.
  Error error() const;
};

// Results of consecutive items, all ok: the payload of `results` in layout.md.
struct Run {
  std::uint32_t first = 0;
  std::uint32_t count = 0;
  wire::Codec codec = wire::Codec::none;
  std::string payload;
  int worker = -1;
  std::uint64_t claimed_ns = 0;  // of the first
  std::uint64_t settled_ns = 0;
};

// Where the items of a batch settle.
//
// Exactly one of the two is called, once, for each item, by whichever thread drained the reply (a
// waiting caller, the supervisor), with no lock of the engine held. They must be quick, must not
// wait for the engine, and may submit.
class Sink {
 public:
  virtual ~Sink() = default;
  virtual void settle(std::uint32_t item, Outcome outcome) = 0;
  // By default each result is settled by itself. A sink of batches with `packs` overrides it. The
  // payload holds exactly `count` results.
  virtual void settle_run(Run run);
};

// Work as it is submitted: `count` items for one function, encoded as layout.md says (each item:
// u64 length, bytes).
struct Batch {
  std::uint32_t function = 0;
  wire::Codec codec = wire::Codec::json;
  wire::Style style = wire::Style::value;
  std::uint32_t count = 1;
  wire::Codec result_codec = wire::Codec::none;  // none: that of the items
  bool packs = false;                            // the sink takes runs of i64 and f64
  std::uint32_t items_per_call = 1;              // how many count once for `max_tasks_per_worker`
  std::string payload;
  std::shared_ptr<const CallOptions> limits;  // per item; what is absent is the pool's
  std::shared_ptr<Sink> sink;
};

// Names a submitted batch; may outlive it. Empty by default.
struct Submitted;
using Ticket = std::shared_ptr<Submitted>;

enum class Stream : std::uint8_t { out, err };

// Whether workers that print at the same time may cut into each other's lines.
enum class Lines : std::uint8_t {
  whole,      // no: what ends without a newline waits for one, which the end of the stream adds
  as_printed  // if they are written in parts: what ends without a newline waits for a moment
};

// A call that prepares a worker: see Engine::define and layout.md.
struct Initializer {
  wire::Codec definition_codec = wire::Codec::json;
  std::string definition;
  std::string name;
  wire::Codec codec = wire::Codec::json;
  wire::Style style = wire::Style::args;
  std::string payload;  // one framed item
};

struct Options {
  WorkerCount workers;  // max 0: base::usable_cpus()
  CallOptions limits;
  std::uint64_t memory = 0;  // this and the next six as in PoolOptions
  std::uint32_t concurrency = 1;
  int threads = 0;
  std::uint64_t max_tasks_per_worker = 0;
  std::optional<base::Duration> max_worker_age;
  std::uint64_t max_worker_memory = 0;
  base::Duration idle_time = std::chrono::seconds(60);
  std::uint64_t own_arrays = 0;  // as in process::WorkerSettings
  // The `identity` of the first worker; the first ones have numbers in a row, as many as there are
  // workers, from `reserve_identities`. 0: taken from there.
  std::uint32_t first_identity = 0;
  // Descriptors that every worker inherits, in this order. Given back when the pool has ended.
  std::vector<base::HostFd> inherited;
  // Posted to every worker before its calls, as item 0 of a batch of one. A worker in which it
  // fails is of no use: that is a failure to start.
  std::optional<Initializer> initializer;
  OnCrash on_crash = OnCrash::task;
  process::StartZygote start_zygote;
  process::LoadPlan load;
  bool zygote_per_worker = false;  // start method `spawn`
  // Zygotes are copies of this process: they have nothing to load, so workers are asked of them
  // before they said `ready`.
  bool zygote_is_copy = false;
  std::uint64_t max_shared_bytes =
      0;  // pages in calls under way; 0: a quarter of base::usable_memory()
  base::Duration startup_limit = std::chrono::seconds(60);  // for a zygote to say `ready`
  base::Duration retire_grace = std::chrono::seconds(2);    // for exit functions of a worker
  // Text a worker printed, cut as `lines` says. Called on the draining thread, one call at a time.
  std::function<void(int worker, Stream stream, std::string_view lines)> on_output;
  Lines lines = Lines::whole;
  // One line for the user (a fallback taken, a worker replaced). May be empty.
  std::function<void(std::string_view line)> on_notice;
};

struct Stats {
  int workers = 0;  // processes alive
  int busy = 0;
  std::uint64_t queued = 0;     // items not yet with a worker
  std::uint64_t in_flight = 0;  // items with a worker
  std::uint64_t settled = 0;
  std::uint64_t failed = 0;
  std::uint64_t crashes = 0;
  std::uint64_t respawns = 0;
  std::uint64_t retries = 0;   // items that ran once more
  std::uint64_t recycled = 0;  // workers replaced for their calls, age or memory
  std::vector<pid_t> pids;
};

using pyhost::WorkerStack;

// A worker's process, while it lives.
struct WorkerProcess {
  int worker = -1;
  pid_t pid = -1;
  std::uint32_t identity = 0;  // as `first_identity` has them
};

enum class Wait : std::uint8_t { set, timed_out, interrupted };

// The scheduler and its workers.
//
// Owner:    the Pool (C++), the command, or the Python driver.
// Threads:  any, unless said otherwise. One supervisor thread of its own.
// Lifetime: after a fork the copy in the new process is dead: every call fails with `cancelled`.
class Engine {
 public:
  // Starts the supervisor and the zygote and returns at once; calls wait in the queue until the
  // first worker is ready. `ready` reports how that went.
  static Result<std::shared_ptr<Engine>> start(Options options);
  // Kills what still runs. Blocks until no process is left.
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Waits until the script is loaded and the first worker is there, or says why that failed.
  Result<void> ready();

  // A number for a function, from now on valid in `Batch`. `definition` as in layout.md. The same
  // definition gets the same number.
  // `name` is what messages call it.
  std::uint32_t define(wire::Codec codec, std::string definition, std::string name = {});

  // Queues a batch. After `drain` or a fatal start-up failure, its items settle at once.
  Ticket submit(Batch batch);

  // Cancels one item, or all with `item` absent. A queued item settles as `cancelled` at once. A
  // running one only with `force`: it is asked to stop by an exception, and its worker is killed
  // when it has not after the grace period; it settles as `cancelled` when it ended. Returns how
  // many were cancelled, or will be.
  std::uint32_t cancel(const Ticket& ticket, std::optional<std::uint32_t> item, bool force);

  // Cancels, as far as they are queued, all items but those that workers without one will take at
  // once, or as soon as they have started. Not those of `broadcast`.
  void cancel_waiting();

  // Whether a worker has claimed the item, and it has no outcome yet.
  bool is_running(const Ticket& ticket, std::uint32_t item);

  // Runs a batch of one item once on every worker there is, before what is queued. The sink gets
  // as many outcomes as this returns tickets, numbered from 0 and in no order; those of workers
  // that end before they come to it are `cancelled`. Each ticket is of a batch of one item. In a
  // pool that has ended there is one outcome, which says so.
  std::vector<Ticket> broadcast(Batch batch);

  // Asks every worker where it is; blocks until all answered or `deadline`.
  std::vector<WorkerStack> stacks(base::Deadline deadline);

  // How many items of this function are worth a batch of about a millisecond, from measured time.
  std::uint32_t suggested_count(std::uint32_t function) const;

  // Waits for an event a sink sets, polling the rings meanwhile. `interrupted`: a signal arrived;
  // call again. Never called on the supervisor thread (assert).
  Wait wait(Event& event, base::Deadline deadline);

  // Runs `continuation` on the supervisor thread; here, when the pool has ended.
  void continue_on_supervisor(std::function<void()> continuation);
  bool on_supervisor() const;

  // Accepts nothing new, waits for what is queued and running, and for the initializer in the first
  // workers; retires all. What is left at the deadline settles as `cancelled`. Returns whether
  // everything finished; false at once on the supervisor thread, which would wait for itself.
  bool drain(base::Deadline deadline);
  // Cancels everything, kills the workers, and waits until they are gone (on the supervisor thread:
  // does not wait).
  void kill();

  // Waits until there are as many worker processes as are wanted now, or none will come, or
  // `deadline`; those alive then that were not told to end.
  std::vector<WorkerProcess> processes(base::Deadline deadline) const;
  // A pidfd of a worker, of the caller's own. Error `startup`: that worker is gone.
  Result<base::UniqueFd> pidfd(pid_t pid) const;
  // How workers ended, as far as that is known. Outlives the engine.
  std::shared_ptr<const ExitLog> exits() const;

  // Accepts nothing new, cancels what has not started, and sends `signal` to every worker. What
  // runs fails as the worker's death would have it, or finishes when the worker survives. `drain`
  // or `kill` gives everything back.
  void end_workers(int signal);

  // With `on_crash` of the pool, as if a worker had died: what has no outcome fails with `error`.
  // Else nothing.
  void break_with(Error error);
  // Whether a crash broke the pool (`on_crash`), or workers cannot start: what is submitted from
  // now on fails.
  bool broken() const;
  // Why nothing can run any more; empty while something can.
  std::optional<Error> fatal() const;

  Stats stats() const;
  int workers() const;        // as configured
  int calls_at_once() const;  // of all workers together
  OnCrash on_crash() const;   // as configured

 private:
  struct State;
  explicit Engine(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

}  // namespace pyhost::pool
