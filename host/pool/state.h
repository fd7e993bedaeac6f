// state.h: the engine's insides, shared by the files of this folder only.
//
//   any thread          under State::mutex                    supervisor thread
//   +---------+  Batch  +---------------------------------+   +--------------------------+
//   | submit  |-------->| ready (parts)                   |   | epoll: doorbell, timer,  |
//   | cancel  |         |   | pump: credit, share, post   |<--| sockets, pidfds, output  |
//   | wait    |<--+     | worker k: in_flight             |   | drain, deaths, deadlines |
//   +---------+   |     |   | drain: next_reply -> settle |   | respawn, take back       |
//                 |     +---|-----------------------------+   +--------------------------+
//                 |         v
//                 +--- deferred (sinks, printed lines): run in order, with no lock held
//
// 1. submit() makes a part; pump() posts parts to workers with credit.
// 2. Whoever waits drains the rings of all workers; when nobody does, workers ring the doorbell and
//    the supervisor drains. Which of the two holds is written into every worker's `wants`.
// 3. Every item is settled exactly once, in settle(): by its reply, a death, a deadline or a
//    cancel, whichever is seen first.
//
// Why one mutex: draining and posting touch the same few words of a worker, for well under a
// microsecond; finer locks would cost more than they save.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include <base/fork_guard.h>
#include <pool/engine.h>
#include <pool/worker.h>
#include <process/control.h>
#include <wire/spin.h>

namespace pyhost::pool {

Error closed_error();

// A function as defined once per pool.
struct Function {
  wire::Codec codec = wire::Codec::none;
  std::string definition;
  std::string name;
  double item_seconds = -1;  // moving average; negative: not measured yet
};

enum class ZygoteState : std::uint8_t { absent, starting, loading, ready, dead };

struct Zygote {
  ZygoteState state = ZygoteState::absent;
  process::Started started;
  base::HostFd control;
  base::HostFd watcher;
  pid_t pid = -1;
  base::Moment started_at{};
  base::Moment start_at{};  // absent: not before
  bool wanted = false;      // with one per worker: for a worker that is missing
  bool used = false;        // it became a worker
};

// Tags of descriptors in the epoll set: kind << 32 | index.
enum class Tag : std::uint32_t { doorbell, wake, timer, control, watcher, worker, out, err };

struct Engine::State : std::enable_shared_from_this<Engine::State> {
  // --- What never changes after start.
  Options options;
  int worker_count = 1;  // at most so many work at a time
  int fewest = 1;        // and at least so many
  wire::Sizes sizes;
  unsigned fork_generation = 0;
  base::HostFd epoll;
  base::HostFd doorbell;  // written by workers
  base::HostFd wake;      // written by other threads of the host
  base::HostFd timer;
  std::thread supervisor;
  const std::shared_ptr<ExitLog> exits = std::make_shared<ExitLog>();
  std::atomic<bool> broken{false};  // written with the mutex held

  // --- Guarded by mutex.
  mutable std::mutex mutex;
  std::condition_variable changed;  // a worker or zygote changed state, or the pool became idle
  std::vector<Worker> workers;      // slots: more than worker_count, for successors
  int target = 1;                   // how many workers are wanted now
  std::vector<Zygote> zygotes;      // one, or one per slot
  bool per_worker = false;
  std::deque<Function> functions;
  std::unordered_map<std::string, std::uint32_t> function_numbers;
  std::deque<Part> ready;
  std::uint64_t queued = 0;     // unsettled items in `ready`
  std::uint64_t pinned = 0;     // items in Worker::pinned and `unassigned`
  std::deque<Part> unassigned;  // pinned to workers that are still to be spawned
  std::uint64_t broadcasts = 0;
  std::uint64_t in_flight = 0;  // unsettled items with workers
  std::uint64_t shared_bytes = 0;
  std::optional<Error> fatal;  // why nothing can run any more
  bool closed = false;         // accepts nothing new
  bool stopping = false;       // retiring or killing: no respawn
  bool ending = false;         // some thread drains or kills the pool
  bool has_ended = false;      // and is done with it
  bool supervisor_ended = false;
  bool finished = false;                     // the supervisor is to end
  bool any_ready = false;                    // some worker was ready once
  bool all_ready = false;                    // as many as were wanted were, at the same time
  bool loaded = false;                       // some zygote was
  std::optional<std::uint32_t> initializer;  // its function number
  std::minstd_rand random;                   // jitter of recycling
  base::Moment last_ready{};
  std::uint32_t identities = 0;  // how many of its numbers in a row are taken
  bool start_trouble = false;    // some worker did not come to be ready, once
  int start_failures = 0;        // workers in a row that did not come to be ready
  int zygote_deaths = 0;         // in a row, without an item settled in between
  int pollers = 0;               // threads that drain by themselves: no doorbell needed
  base::Moment armed{};          // when the timer fires; max: not armed
  Stats totals;
  std::vector<std::function<void()>> continuations;

  // What of a worker's output is handed on: whole lines; with the line that has begun, because a
  // result may not overtake what was printed before it; or the end, too.
  enum class Collect : std::uint8_t { so_far, before_reply, all };

  struct Deferred {
    std::shared_ptr<Sink> sink;  // or output of `worker`
    std::uint32_t item = 0;
    Outcome outcome;
    std::unique_ptr<Run> run;  // instead of an outcome
    int worker = -1;
    Stream stream = Stream::out;
    std::string lines;
  };
  std::vector<Deferred> deferred;
  std::vector<Deferred> under_way;  // kept for its memory by run_deferred
  bool running_deferred = false;

  using Lock = std::unique_lock<std::mutex>;

  // --- scheduler.cc
  void enqueue(Part part, bool front);
  void pump();  // posts what can be posted, and wakes the workers concerned
  bool post_some(Worker& worker);
  std::uint32_t next_count(const Worker& worker, const Part& part) const;
  void record(Worker& worker, const wire::Posted& posted, std::uint32_t items);
  void drop_front(Error error);
  bool define_on(Worker& worker, std::uint32_t function);
  std::uint32_t credit(const Worker& worker, const Function& function,
                       std::uint32_t most_items) const;
  Worker* next_worker();
  // Wire item numbers.
  void requeue(Worker& worker, InFlight& flight, std::uint32_t first, std::uint32_t end);
  void take_back(Worker& worker);  // everything it has not claimed
  std::optional<base::Duration> timeout_of(const Submitted& work) const {
    const CallOptions* limits = work.batch.limits.get();
    return limits != nullptr && limits->timeout ? limits->timeout : options.limits.timeout;
  }
  std::optional<base::Duration> cpu_of(const Submitted& work) const {
    const CallOptions* limits = work.batch.limits.get();
    return limits != nullptr && limits->cpu ? limits->cpu : options.limits.cpu;
  }
  static std::string slice(Part& part, std::uint32_t items);  // its first items
  void fail_queue(const Error& error, std::uint64_t spared);  // but for its first items
  void fail_queued(const Error& error);                       // what is pinned included

  // --- concurrency.cc
  bool several() const { return options.concurrency > 1; }  // calls in flight per worker
  std::uint32_t concurrent_credit(const Worker& worker, const Function& function) const;
  base::Moment check_read_ahead(Worker& worker, base::Moment now);
  Result<void> accept_started(Worker& worker, InFlight& flight, const wire::Reply& reply);

  // --- limits.cc
  base::Duration grace_of(const Submitted& work) const;
  void arm_limits(const Submitted& work, base::Moment now);
  void note_cpu(const Worker& worker, InFlight& flight) const;
  base::Duration cpu_used(const Worker& worker, const Worker::Running& one) const;
  base::Moment check_limits(Worker& worker, base::Moment now);
  base::Moment check_stops(Worker& worker, base::Moment now);
  Stop timeout_stop(const Submitted& work, base::Duration limit) const;
  Stop cpu_stop(const Submitted& work, base::Duration used, base::Duration limit) const;
  bool ask_to_stop(Worker& worker, const Ticket& ticket, std::uint32_t item, Stop stop);
  void tell(Worker& worker, Stop& stop, bool killed);
  Error verdict(Worker& worker, const Stop& stop, bool killed);
  void put_down(Worker& worker);
  void judge(Worker& worker, const InFlight& flight, std::uint32_t wire_item, Outcome& outcome);
  bool is_late(Worker& worker, std::deque<InFlight>::iterator flight, std::uint32_t wire_item);

  // --- memory_cap.cc
  void note_memory(Worker& worker);
  std::uint64_t memory_of(const Worker& worker) const;
  base::Moment check_memory(Worker& worker, base::Moment now);
  base::Moment check_residue(Worker& worker, base::Moment now);
  void judge_memory(Worker& worker, const InFlight& flight, std::uint32_t wire_item,
                    Outcome& outcome);

  // --- cancel.cc
  bool is_away(const Ticket& ticket, std::uint32_t item) const;
  bool is_running(const Ticket& ticket, std::uint32_t item);
  std::uint32_t cancel_queued(const Ticket& ticket, std::optional<std::uint32_t> item);
  std::uint32_t cancel_reruns(Worker& worker, const Ticket& ticket,
                              std::optional<std::uint32_t> item);
  std::uint32_t cancel(const Ticket& ticket, std::optional<std::uint32_t> item, bool force);
  void cancel_waiting();

  // --- retries.cc
  int retries_of(const Submitted& work) const;
  int attempts_of(const Submitted& work, std::uint32_t item) const;  // this one included
  // Whether an item that ended so runs once more. `raised`: what the worker said of it, or null.
  bool may_rerun(const Submitted& work, std::uint32_t item, Code code,
                 const std::string* raised) const;
  void rerun(const Ticket& work, std::uint32_t item);
  void restore_payload(Worker& worker, const InFlight& flight);
  void settle_or_rerun(Worker& worker, InFlight& flight, std::uint32_t wire_item, Outcome outcome);

  // --- forensics.cc
  std::string name_of(const Submitted& work) const;  // "`load`"
  std::string call_text(Worker& worker, const InFlight& flight, std::uint32_t item) const;
  std::string read_forensics(const Worker& worker) const;
  std::string take_stack(Worker& worker);
  void tell_end(const Worker& worker, Error& error) const;
  void clear_forensics(Worker& worker);
  Error crash_error(Worker& worker, const Worker::Victim& victim);

  // --- stacks.cc
  std::vector<WorkerStack> ask_stacks();
  void ask_again(const std::vector<WorkerStack>& stacks);
  bool collect_stacks(std::vector<WorkerStack>& stacks);  // whether all are there

  // --- replies.cc
  bool drain();  // all workers; whether anything came
  bool drain(Worker& worker);
  Result<void> accept(Worker& worker, wire::Reply reply);
  void conclude(Worker& worker, InFlight& flight, wire::Reply reply, std::uint64_t claimed_ns);
  Result<void> accept_stopped(Worker& worker, const wire::Reply& reply);
  std::uint64_t measure(InFlight& flight, const wire::Reply& reply);
  static void average_in(Function& function, double seconds);
  void settle(const Ticket& work, std::uint32_t item, Outcome outcome);
  void fail(const Ticket& work, std::uint32_t item, Error error, int worker);
  void finish(Worker& worker, std::deque<InFlight>::iterator flight);
  void collect_output(Worker& worker, Collect what);
  base::Moment pass_begun_lines(Worker& worker, base::Moment now);  // when to look again
  void run_deferred(Lock& lock);                                    // unlocks meanwhile
  void enter_polling();
  void leave_polling();
  void want(Worker& worker, std::uint32_t wants);

  // --- runs.cc
  static Result<void> check_codec(const Worker& worker, const Submitted& work, wire::Codec codec);
  static std::deque<InFlight>::iterator flight_of(Worker& worker, std::uint32_t batch);
  Result<void> accept_results(Worker& worker, wire::Reply reply);
  void note_speed(InFlight& flight, const wire::Reply& reply, base::Moment now);
  Result<void> take_run(Worker& worker, InFlight& flight, Run run);
  void settle_run(Worker& worker, InFlight& flight, Run run);
  void settle_stopped(Worker& worker, InFlight& flight, std::uint32_t wire_item);
  void harvest(Worker& worker);

  // --- population.cc
  static std::size_t slots_for(const Options& options, int workers);
  void spawn_missing(base::Moment now);
  // Whether a fork that is asked for now will be made. A copy has nothing to load.
  bool can_fork(const Zygote& zygote) const {
    return zygote.state == ZygoteState::ready ||
           (zygote.state == ZygoteState::loading && options.zygote_is_copy);
  }
  bool counts(const Worker& worker, base::Moment now);
  int counted(base::Moment now);
  Worker* free_slot(base::Moment now);
  void want_more();  // something is queued that no worker takes
  void on_ready(Worker& worker);
  bool all_are_ready() const;       // as many as are wanted
  void clear_slot(Worker& worker);  // of what it was for a process that does not come to be
  base::Moment check_population(base::Moment now);  // when to look again
  base::Moment check_retirement(Worker& worker, base::Moment now);
  base::Moment shrink(Worker& worker, base::Moment now);

  // --- recycling.cc
  void prepare_recycling(Worker& worker);
  // Starts a successor; the worker retires when that one is ready.
  void replace(Worker& worker);
  void let_go();               // those whose successors are ready leave
  void leave(Worker& worker);  // retires when its calls are done
  void retire(Worker& worker);
  void count_given(Worker& worker, double calls);
  void on_rest(Worker& worker);  // a part of its work is done
  base::Moment check_recycling(Worker& worker, base::Moment now);

  // --- initializer.cc
  Result<void> greet(Worker& worker);  // it said `ready`
  Result<void> accept_initializer(Worker& worker, const wire::Reply& reply);
  void refuse_start(Worker& worker, Error error);
  Error start_error(const Worker& worker) const;

  // --- broadcast.cc
  std::vector<Ticket> broadcast(Batch batch);
  void unpin(const Ticket& work);
  void assign_pinned(Worker& worker);
  void post_pinned();
  void return_pinned(Worker& worker, Part part);
  void drop_pinned(Worker& worker);
  void fail_pinned(const Error& error);

  // --- lifecycle.cc
  std::uint32_t next_identity();
  Result<void> spawn(Worker& worker, Zygote& zygote);
  bool start_failed();
  void on_spawn_failure(Worker& worker, Error error);
  void on_failed_start(const Worker& worker);
  void on_death(Worker& worker);  // its pidfd is readable
  void lose_in_flight(Worker& worker);
  void fail_claimed(Worker& worker, const Error& error);
  void fail_in_flight(Worker& worker, const Error& error);
  void bury(Worker& worker);  // everything about its end is known
  void kill(Worker& worker);
  bool is_up(const Worker& worker) const {
    return worker.state == WorkerState::ready || worker.state == WorkerState::retiring;
  }
  void fail_start(Error error);
  void watch_fd(int fd, Tag tag, std::size_t index);

  // --- breaking.cc
  bool breaks(const Worker& worker) const;  // its end, which is known, breaks the pool
  void break_pool(const Worker& worker);
  void note_broken(Error error);
  void end_others(const Worker* buried);

  // --- zygotes.cc
  // Unlocks while the zygote comes to be: a snapshot of Python runs hooks of the user, which may
  // call this very pool. Supervisor thread only.
  void start_zygotes(Lock& lock);
  Result<void> adopt(std::size_t index, process::Started started);
  Result<void> hand_down(const Zygote& zygote);
  void on_control(std::size_t index);
  void on_message(std::size_t index, process::ControlMessage message);
  void on_zygote_ready(std::size_t index, const std::string& info);
  Worker* forking_worker(int number);
  void on_forked(process::ControlMessage message);
  void on_worker_status(pid_t pid, int status, std::uint64_t peak_bytes);
  void on_zygote_end(std::size_t index, std::optional<int> status);
  void on_watcher_end(std::size_t index);
  Zygote& zygote_of(const Worker& worker) { return zygotes[per_worker ? worker.number : 0]; }

  // --- supervisor.cc
  void supervise();
  void dispatch(Tag tag, std::size_t index);
  void on_timer(base::Moment now);
  base::Moment check_start(Worker& worker, base::Moment now);
  base::Moment check_worker(Worker& worker, base::Moment now);  // when to look again
  base::Moment check_followers(Worker& worker, base::Moment now);
  void arm(base::Moment when);  // the timer fires then or earlier
  void notice(std::string line);
  void wake_supervisor();

  // --- engine.cc
  bool idle() const { return queued == 0 && pinned == 0 && in_flight == 0; }
  bool is_copy() const { return base::fork_generation() != fork_generation; }
  // On failure the pool has ended.
  Result<void> start_supervisor(const std::shared_ptr<State>& self);
  bool claim_end(Lock& lock);
  void kill_all();
  void stop_workers(Lock& lock, bool kill_now);
  void settle_rest(const Error& error);
  void shut_down(Lock& lock);
};

Error protocol_error(const Worker& worker, const std::string& what);

// Items worth about this long travel as one batch. Halved: more records and wake-ups per item.
// Doubled: a crash or a cancel has more to take back, and the tail of a map gets longer.
inline constexpr double kBatchSeconds = 1e-3;
// No call of a Python function is faster; an average of less is noise.
inline constexpr double kLeastSeconds = 3e-8;
// Work a worker may have ahead of it. Below one batch it would run dry between replies.
inline constexpr double kAheadSeconds = 2e-3;
// An awake worker claims within microseconds. After this long its process is looked at: shorter
// would look at workers that merely wait for a CPU, longer keeps calls with one that is stopped.
inline constexpr base::Duration kClaimPatience = std::chrono::milliseconds(50);
// How long to wait for the status of a dead worker. Longer delays the bad news when a zygote dies
// with its workers; shorter risks an "ended" without a reason on a loaded machine.
inline constexpr base::Duration kStatusPatience = std::chrono::milliseconds(500);
// A worker idle for this long gives the pages of its arena back. Shorter, and a loop of large calls
// pays for fresh pages each time, which cost more than the copy.
inline constexpr base::Duration kIdleTime = std::chrono::milliseconds(200);
// An item that runs longer than this loses its followers to other workers.
inline constexpr base::Duration kLongItem = std::chrono::milliseconds(3);

}  // namespace pyhost::pool
