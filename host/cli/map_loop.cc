// map_loop.cc: the life of one `pyhost map`.
//
//   input --read_some--> portion --submit--> engine --settle--> chunk --collect--> output
//              ^                                                                       |
//              +---------------- waits while `has_room` is false <---------------------+
//
// 1. Lines are framed into a portion of about a millisecond's work; a portion is sent when it is
//    full or when there is nothing to read, so that a slow producer sees its results at once.
// 2. Every line in a chunk that is not printed yet counts against a window of items and bytes. A
//    consumer that does not read fills the output, then the window, then stops the reading: memory
//    stays flat for any length of input.
// 3. A signal stops the reading and takes back what no worker has claimed; a second one kills. What
//    was done is printed either way.
#include <cli/exit_code.h>
#include <cli/failure.h>
#include <cli/map_loop.h>
#include <cli/text.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>

namespace pyhost::cli {
namespace {

// Half: the largest batches of the fastest functions pay their fixed costs twice as often. Double:
// more results wait for the slowest line before them.
constexpr std::size_t kMostItemsPerChunk = 4096;
// Keeps one batch of long lines from occupying one worker while others are idle.
constexpr std::size_t kChunkBytes = std::size_t{1} << 20;
// Lines read ahead per worker, in chunks: enough that a slow line does not idle the other workers.
constexpr std::size_t kChunksPerWorker = 16;
constexpr std::size_t kFewestItems = 256;
// Input and results held at once. Half: large lines stall early. Double: only memory.
constexpr std::size_t kWindowBytes = std::size_t{32} << 20;
// Text not yet taken by the reader of stdout. More only hides a slow reader for longer.
constexpr std::size_t kOutputBytes = std::size_t{1} << 20;
constexpr int kNapMilliseconds = 1;

}  // namespace

MapLoop::MapLoop(Session& session, Feed& feed, Output& output, Messages& messages,
                 const Signals& signals, const Bell& bell, Rest& rest, MapSettings settings)
    : session_(session),
      feed_(feed),
      output_(output),
      messages_(messages),
      signals_(signals),
      bell_(bell),
      rest_(rest),
      settings_(settings),
      questions_(signals, messages) {}

int MapLoop::run() {
  while (!done()) {
    look_at_signals();
    questions_.answer(session_);
    look_at_start_up();
    collect();
    if (output_.wants_write()) output_.write_ready();
    const std::uint64_t calls = calls_;
    if (reading_ && has_room()) read_some();
    if (calls_ == calls && rest_.settled_count() == collected_at_) rest_until_something_happens();
  }
  return finish();
}

bool MapLoop::done() const {
  if (fatal_ || output_.state() != Output::State::open) return true;
  return !reading_ && open_.empty() && (output_.pending() == 0 || killed_) && start_seen_;
}

bool MapLoop::has_room() const {
  if (output_.pending() >= kOutputBytes) return false;
  const auto places = static_cast<std::size_t>(session_.engine().calls_at_once());
  if (open_items_ < 2 * places) return true;  // however large they are, nobody should be idle
  const std::size_t batch = session_.engine().suggested_count(session_.function());
  const std::size_t bytes = open_bytes_ + rest_.held_bytes() + open_items_ * rest_.average_bytes();
  return open_items_ < std::max(kFewestItems, kChunksPerWorker * batch * places) &&
         bytes < kWindowBytes;
}

void MapLoop::read_some() {
  const std::size_t batch = session_.engine().suggested_count(session_.function());
  Result<Feed::Fed> fed =
      feed_.next(std::clamp<std::size_t>(batch, 1, kMostItemsPerChunk), kChunkBytes, portion_);
  if (!fed) return stop_with("pyhost: " + fed.error().message + "\n");
  dry_ = *fed == Feed::Fed::dry;
  if (*fed == Feed::Fed::end) reading_ = false;
  if (portion_.count() == 0) return;
  submit(std::move(portion_));
  portion_.clear();
}

void MapLoop::submit(Portion portion) {
  Open open;
  open.bytes = portion.payload.size();
  const auto count = static_cast<std::uint32_t>(portion.count());
  open.chunk = std::make_shared<Chunk>(rest_, calls_ + 1, std::move(portion.lines), portion.source);
  calls_ += count;
  open_items_ += count;
  open_bytes_ += open.bytes;
  if (portion.failure) {
    pool::Outcome outcome;
    outcome.failure = std::make_shared<Error>(std::move(*portion.failure));
    open.chunk->settle(0, std::move(outcome));
  } else {
    pool::Batch batch;
    batch.function = session_.function();
    batch.style = settings_.style;
    batch.count = count;
    batch.payload = std::move(portion.payload);
    batch.sink = open.chunk;
    open.ticket = session_.engine().submit(std::move(batch));
  }
  open_.push_back(std::move(open));
}

void MapLoop::collect() {
  collected_at_ = rest_.settled_count();
  for (std::size_t at = 0; at < open_.size() && !fatal_;) {
    Open& open = open_[at];
    const auto visit = [&](std::uint32_t item, pool::Outcome& outcome) {
      print(*open.chunk, item, outcome);
      return !fatal_;
    };
    open_items_ -= open.chunk->collect(settings_.in_order, visit);
    if (open.chunk->finished()) {
      open_bytes_ -= open.bytes;
      open_.erase(open_.begin() + static_cast<std::ptrdiff_t>(at));
    } else if (settings_.in_order) {
      break;
    } else {
      ++at;
    }
  }
}

void MapLoop::print(const Chunk& chunk, std::uint32_t item, pool::Outcome& outcome) {
  // A worker wrote the payload: a line break in it would turn one result into two.
  if (outcome.ok && outcome.payload.find('\n') == std::string::npos && !outcome.payload.empty()) {
    ++done_;
    return print_result(chunk.seq(item), outcome.payload);
  }
  Error error = outcome.ok
                    ? Error(Code::protocol, "worker " + std::to_string(outcome.worker) +
                                                " sent a result that is not one line of JSON")
                    : outcome.error();
  if (error.worker < 0) error.worker = outcome.worker;
  if (error.code == Code::cancelled && signals_seen_ > 0) return;
  if (killed_) return;
  if (error.code == Code::startup) return stop_with(startup_block(error));
  ++done_;
  ++failed_;
  print_failure(chunk, item, error);
}

void MapLoop::print_result(std::uint64_t seq, std::string_view json) {
  std::string& out = output_.buffer();
  if (settings_.records) {
    out += "{\"seq\":" + std::to_string(seq) + ",\"ok\":true,\"result\":";
    out += json;
    out += "}\n";
    return;
  }
  if (settings_.bare) {
    append_bare(json, out);
  } else {
    out += json;
  }
  out += '\n';
}

void MapLoop::print_failure(const Chunk& chunk, std::uint32_t item, const Error& error) {
  const std::string seq = std::to_string(chunk.seq(item));
  if (settings_.records) {
    output_.buffer() += "{\"seq\":" + seq + ",\"ok\":false,\"error\":" + error_json(error) + "}\n";
  }
  std::string block = "call " + seq + " failed: " + headline(error) +
                      "\n  input: " + std::string(feed_.source_name(chunk.source())) + ", line " +
                      std::to_string(chunk.line(item));
  if (error.worker >= 0) block += "; worker " + std::to_string(error.worker);
  messages_.write(block + "\n" + details(error));
}

void MapLoop::look_at_signals() {
  if (signals_.count() == signals_seen_) return;
  const bool first = signals_seen_ == 0;
  signals_seen_ = signals_.count();
  reading_ = false;
  if (!first || signals_seen_ > 1 || session_.is_loading()) {
    killed_ = true;
    session_.engine().kill();
    return;
  }
  for (const Open& open : open_) {
    if (open.ticket) session_.engine().cancel(open.ticket, std::nullopt, false);
  }
  if (const std::uint64_t running = session_.engine().stats().in_flight; running > 0) {
    messages_.say("interrupted: waiting for " + std::to_string(running) + " running call" +
                  (running == 1 ? "" : "s") + "; press Ctrl-C again to stop " +
                  (running == 1 ? "it" : "them"));
  }
}

void MapLoop::look_at_start_up() {
  if (start_seen_ || !session_.started()) return;
  start_seen_ = true;
  if (!session_.start_up() && signals_seen_ == 0) {
    stop_with(startup_block(session_.start_up().error()));
  }
}

void MapLoop::stop_with(std::string message) {
  if (fatal_) return;
  fatal_ = std::move(message);
  reading_ = false;
}

void MapLoop::rest_until_something_happens() {
  if (output_.pending() > 0) output_.write_ready();
  // What was just written may have made room: then there is something to read, not to wait for.
  const bool may_read = reading_ && has_room();
  if (may_read && !dry_) return;
  // First a nap, which only a finished chunk ends early; when nothing came of it, sleep.
  const bool nap = !napped_ && !open_.empty();
  rest_.set(nap ? Rest::Depth::nap : Rest::Depth::sleep);
  napped_ = nap;
  const bool settled_meanwhile = rest_.settled_count() != collected_at_;
  if (!done() && !(settled_meanwhile && !nap)) {
    const auto out_events = static_cast<short>(output_.pending() > 0 ? POLLOUT : 0);
    pollfd fds[3] = {{bell_.fd(), POLLIN, 0},
                     {may_read ? feed_.fd() : -1, POLLIN, 0},
                     {out_events != 0 || output_.is_pipe() ? output_.fd() : -1, out_events, 0}};
    ::poll(fds, 3, nap ? kNapMilliseconds : -1);
    if ((fds[2].revents & POLLERR) != 0) output_.mark_closed();
    if (fds[1].revents != 0) dry_ = false;
    if (fds[0].revents != 0) bell_.silence();
  }
  rest_.set(Rest::Depth::awake);
  if (settled_meanwhile || rest_.settled_count() != collected_at_) napped_ = false;
}

int MapLoop::finish() {
  if (output_.state() == Output::State::closed) {
    session_.engine().kill();
    return kReaderGone;
  }
  if (output_.state() == Output::State::failed) {
    stop_with("pyhost: " + cannot_write(output_) + "\n");
  }
  if (fatal_) {
    session_.engine().kill();
    output_.write_ready();
    messages_.write(*fatal_);
    return kHostFailed;
  }
  if (killed_) {
    output_.write_ready();  // what was done is kept
  } else {
    session_.drain();
  }
  if (signals_seen_ > 0) {
    messages_.say("interrupted: " + std::to_string(done_) + " of " + std::to_string(calls_) +
                  " calls done");
    return signals_.exit_code();
  }
  return exit_code_for(failed_);
}

}  // namespace pyhost::cli
