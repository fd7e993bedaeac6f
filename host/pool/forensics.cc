// forensics.cc: what is known of a call that ended badly, and of its worker.
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>

#include <base/oom.h>
#include <pool/causes.h>
#include <pool/state.h>
#include <pool/words.h>

namespace pyhost::pool {
namespace {

// The end of what a worker wrote when it died. A hundred threads' stacks fit; more would make an
// error that nobody reads.
constexpr std::size_t kMostStack = std::size_t{64} * 1024;
// Of the arguments in messages: a line of a terminal.
constexpr std::size_t kMostCallText = 80;

std::string_view framed_item(std::string_view payload, std::uint32_t index) {
  std::uint64_t length = 0;
  for (;;) {
    if (payload.size() < sizeof length) return {};
    std::memcpy(&length, payload.data(), sizeof length);
    payload.remove_prefix(sizeof length);
    if (index-- == 0) return payload.substr(0, std::min<std::uint64_t>(length, payload.size()));
    if (length > payload.size()) return {};
    payload.remove_prefix(length);
  }
}

}  // namespace

std::string Engine::State::name_of(const Submitted& work) const {
  const Function& function = functions[work.batch.function];
  return function.name.empty() ? "a function" : "`" + function.name + "`";
}

// "load(3, \"x\")": the arguments where they are text. `item` as the batch counts.
std::string Engine::State::call_text(Worker& worker, const InFlight& flight,
                                     std::uint32_t item) const {
  const Submitted& work = *flight.work;
  std::string text = functions[work.batch.function].name;
  if (work.batch.codec != wire::Codec::json) return text;
  std::string_view payload = work.batch.payload;
  if (work.payload_posted) {
    const wire::Bytes bytes = worker.wire->payload(flight.posted);
    payload = std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  std::string_view arguments = framed_item(payload, item);
  constexpr std::string_view kNoKeywords = "],{}]";
  const bool plain = work.batch.style == wire::Style::call && arguments.starts_with("[[") &&
                     arguments.ends_with(kNoKeywords);
  if (plain) arguments = arguments.substr(2, arguments.size() - 2 - kNoKeywords.size());
  if (work.batch.style == wire::Style::args && arguments.size() >= 2) {
    arguments = arguments.substr(1, arguments.size() - 2);
  }
  const std::string shown(arguments.substr(0, kMostCallText + 1));
  return text + "(" + cut_text(shown, kMostCallText) + ")";
}

// Everything the worker wrote about itself, as far back as kMostStack.
std::string Engine::State::read_forensics(const Worker& worker) const {
  struct stat info {};
  if (!worker.forensics || fstat(worker.forensics.get(), &info) != 0 || info.st_size <= 0) {
    return {};
  }
  const auto size = static_cast<std::size_t>(info.st_size);
  std::string text(std::min(size, kMostStack), '\0');
  const ssize_t got = pread(worker.forensics.get(), text.data(), text.size(),
                            static_cast<off_t>(size - text.size()));
  text.resize(static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
  return text;
}

// The Python stacks in it; they are gone from there afterwards.
std::string Engine::State::take_stack(Worker& worker) {
  std::string text = stack_in(read_forensics(worker));
  clear_forensics(worker);
  return text;
}

void Engine::State::clear_forensics(Worker& worker) {
  // A worker that sealed or filled its file keeps it as it is: old text is better than none.
  if (worker.forensics && ftruncate(worker.forensics.get(), 0) != 0) return;
}

// What is known of the end of a worker, whatever it did.
void Engine::State::tell_end(const Worker& worker, Error& error) const {
  const std::string text = read_forensics(worker);
  error.stack = stack_in(text);
  error.stderr_tail = worker.err.tail();
  error.peak_memory = worker.peak_bytes;
  if (!worker.status) return;
  if (WIFSIGNALED(*worker.status)) error.signal = WTERMSIG(*worker.status);
  if (WIFEXITED(*worker.status)) error.exit_code = WEXITSTATUS(*worker.status);
  if (worker.was_killed || worker.doom) return;  // by this pool, which says why
  const bool starved =
      error.signal == SIGKILL && worker.oom_kills && base::oom_kills() > *worker.oom_kills;
  error.likely_cause = likely_cause(*worker.status, worker.pid, text, starved);
}

// What an item fails with that its worker had claimed when it died.
Error Engine::State::crash_error(Worker& worker, const Worker::Victim& victim) {
  const double ran = std::chrono::duration<double>(worker.died_at - victim.since).count();
  Error error;
  if (victim.stop) {
    error = verdict(worker, *victim.stop, true);
  } else if (worker.doom) {
    error = *worker.doom;
  } else {
    error.code = Code::worker_crashed;
    error.message =
        "worker " + std::to_string(worker.number) + " (pid " + std::to_string(worker.pid) + ") ";
    error.message += worker.status ? describe_status(*worker.status)
                                   : std::string("ended together with its zygote");
    error.message += " after " + elapsed_text(ran) + " in " + name_of(*victim.work);
    if (worker.status && WIFEXITED(*worker.status)) error.message += ", before the call returned";
  }
  if (error.stack.empty()) tell_end(worker, error);
  error.worker = worker.number;
  error.seconds = ran;
  error.call = victim.call;
  error.attempts = attempts_of(*victim.work, victim.item);
  error.stderr_tail = worker.err.tail();
  return error;
}

}  // namespace pyhost::pool
