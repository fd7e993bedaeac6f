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

#include <pyhost/result.h>

#include <base/clock.h>
#include <base/futex.h>
#include <process/launch.h>
#include <process/load_plan.h>
#include <wire/host_end.h>
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

  // The failure as users see it. Requires: !ok.
  Error error() const;
};

// Where the items of a batch settle.
//
// `settle` is called exactly once per item, by whichever thread drained the reply (a waiting
// caller, the supervisor), with no lock of the engine held. It must be quick, must not wait for
// the engine, and may submit.
class Sink {
 public:
  virtual ~Sink() = default;
  virtual void settle(std::uint32_t item, Outcome outcome) = 0;
};

// Work as it is submitted: `count` items for one function, encoded as layout.md says (each item:
// u64 length, bytes).
struct Batch {
  std::uint32_t function = 0;
  wire::Codec codec = wire::Codec::json;
  wire::Style style = wire::Style::value;
  std::uint32_t count = 1;
  std::string payload;
  std::optional<base::Duration> timeout;  // per item, from its claim; the pool's when absent
  std::shared_ptr<Sink> sink;
};

// Names a submitted batch; may outlive it. Empty by default.
struct Submitted;
using Ticket = std::shared_ptr<Submitted>;

enum class Stream : std::uint8_t { out, err };

struct Options {
  int workers = 0;  // 0: base::usable_cpus()
  std::optional<base::Duration> timeout;
  process::StartZygote start_zygote;
  process::LoadPlan load;
  bool zygote_per_worker = false;  // start method `spawn`
  std::uint64_t max_shared_bytes =
      0;  // pages in calls under way; 0: a quarter of the machine's memory
  base::Duration startup_limit = std::chrono::seconds(60);  // for a zygote to say `ready`
  base::Duration retire_grace = std::chrono::seconds(2);    // for exit functions of a worker
  // Whole lines a worker printed. Called on the draining thread, one call at a time.
  std::function<void(int worker, Stream stream, std::string_view lines)> on_output;
  // One line for the user (a fallback taken, a worker replaced). May be empty.
  std::function<void(std::string_view line)> on_notice;
  wire::Sizes sizes;
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
  std::vector<pid_t> pids;
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

  // Cancels one item, or all with `item` absent. A queued item settles as `cancelled` at once; a
  // running one only with `force`, which kills its worker alone. Returns how many were cancelled.
  std::uint32_t cancel(const Ticket& ticket, std::optional<std::uint32_t> item, bool force);

  // How many items of this function are worth a batch of about a millisecond, from measured time.
  std::uint32_t suggested_count(std::uint32_t function) const;

  // Waits for an event a sink sets, polling the rings meanwhile. `interrupted`: a signal arrived;
  // call again. Never called on the supervisor thread (assert).
  Wait wait(Event& event, base::Deadline deadline);

  // Runs `continuation` on the supervisor thread; here, when the pool has ended.
  void continue_on_supervisor(std::function<void()> continuation);
  bool on_supervisor() const;

  // Accepts nothing new, waits for what is queued and running, retires the workers. What is left
  // at the deadline settles as `cancelled`. Returns whether everything finished; false at once on
  // the supervisor thread, which would wait for itself.
  bool drain(base::Deadline deadline);
  // Cancels everything, kills the workers, and waits until they are gone (on the supervisor thread:
  // does not wait).
  void kill();

  Stats stats() const;
  int workers() const;  // as configured

 private:
  struct State;
  explicit Engine(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

}  // namespace pyhost::pool
