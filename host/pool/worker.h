// worker.h: what the pool knows of one worker, and the states it goes through.
#pragma once

#include <sys/types.h>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include <base/clock.h>
#include <base/fork_guard.h>
#include <pool/engine.h>
#include <pool/output.h>
#include <wire/host_end.h>

namespace pyhost::pool {

// A submitted batch until its last item settled.
struct Submitted {
  Batch batch;
  std::uint32_t unsettled = 0;
  std::uint32_t flights = 0;       // parts of it that are with workers
  bool payload_posted = false;     // the payload lives in a worker's region only
  std::vector<bool> settled_many;  // one per item, when there is more than one
  bool settled_one = false;
  // Items that are to run once more, or do, and how often they ran before; usually there is none.
  std::unique_ptr<std::unordered_map<std::uint32_t, int>> reruns;
  std::uint64_t broadcast = 0;  // which one it is a share of: its item is for one worker only

  // For how many calls so many of its items count.
  double calls_in(std::uint32_t items) const {
    return static_cast<double>(items) / batch.items_per_call;
  }
  bool settled(std::uint32_t item) const {
    return batch.count == 1 ? settled_one : settled_many[item];
  }
  void mark_settled(std::uint32_t item) {
    if (batch.count == 1) {
      settled_one = true;
    } else {
      settled_many[item] = true;
    }
    --unsettled;
  }
};

// Consecutive items of a batch that wait for a worker.
struct Part {
  Ticket work;
  std::uint32_t first = 0;
  std::uint32_t end = 0;
  std::size_t offset = std::string::npos;  // of `first` in a framed payload, once it was looked up
};

// A part that was posted to a worker. The wire counts its items from 0.
struct InFlight {
  wire::Posted posted;
  Ticket work;
  std::uint32_t base = 0;         // the batch's number of the wire's item 0
  std::uint32_t outstanding = 0;  // items neither settled nor revoked
  std::uint32_t replied = 0;
  std::uint32_t harvested = 0;  // wire items below it may be reported once more
  base::Moment posted_at;
  std::uint64_t first_claim_ns = 0;
  std::uint64_t last_claim_ns = 0;
  bool keep_block = false;
  std::uint64_t started_ns = 0;  // several calls in flight: when its only item was claimed
  std::uint64_t cpu_ns = 0;      // with a CPU limit: the worker's CPU clock at the claim, if noted
  std::uint32_t cpu_item = 0;    // item + 1 that `cpu_ns` belongs to
  std::vector<std::uint32_t> reruns;  // items (as the wire counts) that replied and run once more

  // Whether nothing is to come of the item here.
  bool done(std::uint32_t wire_item) const {
    return work->settled(base + wire_item) ||
           std::find(reruns.begin(), reruns.end(), wire_item) != reruns.end();
  }
};

// An item that was asked to stop: from then on it settles as `verdict`, whatever comes of it.
struct Stop {
  Ticket work;
  std::uint32_t item = 0;   // the batch's number
  std::uint32_t batch = 0;  // the wire's number of its record
  Error verdict;            // without `advice`
  std::string advice;       // what to do, the end of the message
  base::Moment since;       // when it was claimed
  base::Moment tell_at;     // its caller is told then, stopped or not
  base::Moment kill_at;     // its worker is killed then
  bool told = false;        // it has its outcome
};

//            fork sent        forked          `ready`
//   absent -----------> forking -----> starting -----> ready
//     ^                    |              |             |  retire
//     |   fork failed      |        died  |       died  |--------> retiring
//     +--------------------+              v             v             |
//     +--------------------------------- dying <----------------------+
//         exit status known (or given up on)
enum class WorkerState : std::uint8_t { absent, forking, starting, ready, retiring, dying };

// Whether the table above has the step.
bool can_become(WorkerState from, WorkerState to);

struct Worker {
  int number = 0;
  WorkerState state = WorkerState::absent;
  pid_t pid = -1;
  std::uint32_t identity = 0;  // as in process::WorkerSettings
  base::HostFd pidfd;
  std::unique_ptr<wire::HostEnd> wire;
  OutputPipe out;
  OutputPipe err;
  base::HostFd forensics;             // what it writes when it crashes, or is asked where it is
  std::deque<InFlight> in_flight;     // in the order they were posted
  std::vector<bool> defined;          // by function number
  std::uint32_t ahead = 0;            // sum of in_flight[].outstanding
  std::uint32_t wants = 0;            // as last told to the worker
  std::uint32_t harvested_batch = 0;  // the last of which results were taken from the arena
  bool stuck = false;           // gets nothing new: its item is long, or its process is stopped
  bool reads_no_ahead = false;  // several calls in flight: they take long
  std::vector<Stop> stops;      // items asked to stop that did not reply yet

  // Spawning.
  base::Moment respawn_at{};  // absent: not before
  base::Moment started_at{};  // forking and later: when the fork was asked for
  int fruitless_deaths = 0;   // in a row, without an item settled in between
  bool mute = false;          // broke the protocol: nothing it says is read any more
  bool was_ready = false;     // this process took calls

  // Preparing: between its `ready` and the reply of the pool's initializer.
  std::optional<wire::Posted> initializer;
  std::optional<Error> start_error;  // why it could not be prepared

  // Being replaced (recycling.cc). `aging` is set first, `leaving` next.
  bool aging = false;         // a successor is started for it; it works until that one is ready
  bool leaving = false;       // gets nothing new, and retires when its last call has finished
  bool retired = false;       // was told to end
  double given = 0;           // calls it was given and that were not taken back
  std::uint64_t most = 0;     // calls it may be given; 0: any number
  base::Moment retire_at{};   // for its age; absent: never
  base::Moment idle_since{};  // its last call finished; means something while it has none
  base::Moment end_by{};      // retiring: killed then
  base::Moment weighed_at{};  // when its memory was last looked at
  bool suspect = false;       // seemed to hold too much: rests until it was weighed again
  bool unweighed = false;     // finished calls since it was weighed at rest

  // With a memory cap.
  bool has_residue = false;  // a call ran into the cap: is it clean enough for the next?
  base::Moment weigh_at{};
  std::uint64_t memory_at_start = 0;  // base::private_bytes when it was ready
  std::uint64_t shared_at_start = 0;  // base::proportional_bytes then

  std::deque<Part> pinned;  // for this worker only, before all else (broadcast.cc)

  // Dying.
  struct Victim {
    Ticket work;
    std::uint32_t item = 0;  // the batch's number
    base::Moment since;      // when it was claimed
    std::string call;        // as messages show it
    std::optional<Stop> stop;
  };
  bool ended = false;  // its process is gone, as its pidfd told
  base::Moment died_at{};
  std::optional<int> status;               // of waitpid, as the zygote reported it
  std::uint64_t peak_bytes = 0;            // likewise; 0: not known
  bool was_killed = false;                 // by this pool
  std::optional<std::uint64_t> oom_kills;  // base::oom_kills() when it started
  std::vector<Victim> victims;             // claimed and not replied to when it died
  std::optional<Error> doom;  // why it was killed: what those without a verdict fail with

  void become(WorkerState next);
  bool alive() const {
    return state == WorkerState::starting || state == WorkerState::ready ||
           state == WorkerState::retiring;
  }
  // The item it runs now, if any: an iterator into in_flight and the item as the wire counts it.
  struct Running {
    InFlight* flight = nullptr;
    std::uint32_t item = 0;
    base::Moment since;
    std::uint64_t cpu_ns = 0;  // the worker's CPU clock at the claim, as it wrote it
  };
  std::optional<Running> running(base::Moment now);
  // All it runs, when several calls may be in flight.
  std::vector<Running> all_running(base::Moment now, bool several);
  // It replied: it may get new items, unless one runs that should have stopped.
  void unstick() {
    reads_no_ahead = false;
    stuck = std::any_of(stops.begin(), stops.end(), [](const Stop& stop) { return stop.told; });
  }
  Stop* find_stop(const InFlight& flight, std::uint32_t wire_item);
  // Whether it gets calls of the common queue.
  bool takes_calls() const {
    return state == WorkerState::ready && !stuck && !leaving && !suspect && pinned.empty();
  }
  // How many more items it may be given, at most `count`, if so many of them are one call.
  std::uint32_t at_most(std::uint32_t count, std::uint32_t items_per_call = 1) const {
    if (most == 0) return count;
    if (worked_off()) return 0;
    const double left = (static_cast<double>(most) - given) * items_per_call;
    return left >= count ? count : std::max<std::uint32_t>(1, static_cast<std::uint32_t>(left));
  }
  bool worked_off() const {
    constexpr double kRounding = 1e-6;
    return most != 0 && given > static_cast<double>(most) - kRounding;
  }
  // Whether somebody stopped its process (SIGSTOP, a debugger).
  bool stopped() const;
};

// "was killed by SIGSEGV", "exited with status 3".
std::string describe_status(int status);

}  // namespace pyhost::pool
