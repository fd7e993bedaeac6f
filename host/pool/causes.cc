#include <pool/causes.h>

#include <sys/wait.h>

#include <csignal>
#include <cstring>

#include <pool/words.h>

namespace pyhost::pool {
namespace {

constexpr std::string_view kOurs = "pyhost: ";
constexpr std::size_t kMostNote = 200;

// Cuts the first line off `rest`, newline included.
std::string_view next_line(std::string_view& rest) {
  const std::size_t end = rest.find('\n');
  const std::size_t size = end == std::string_view::npos ? rest.size() : end + 1;
  const std::string_view line = rest.substr(0, size);
  rest.remove_prefix(size);
  return line;
}

// Where a fatal signal came from: what stands behind "pyhost: signal 11 ", or nothing.
std::string origin(int number, std::string_view forensics) {
  const std::string wanted = std::string(kOurs) + "signal " + std::to_string(number) + " ";
  std::string found;
  while (!forensics.empty()) {
    std::string_view line = next_line(forensics);
    if (!line.starts_with(wanted)) continue;
    if (line.ends_with('\n')) line.remove_suffix(1);
    found = line.substr(wanted.size());
  }
  return cut_text(std::move(found), kMostNote);
}

// "in /usr/lib/libx.so" becomes "in `libx.so`".
std::string place(const std::string& origin) {
  if (!origin.starts_with("in ")) return origin;
  const std::size_t slash = origin.rfind('/');
  return "in `" + origin.substr(slash == std::string::npos ? 3 : slash + 1) + "`";
}

std::string signal_cause(int number, pid_t worker, std::string_view forensics) {
  std::string from = origin(number, forensics);
  const char* name = sigabbrev_np(number);
  const std::string signal =
      name != nullptr ? "SIG" + std::string(name) : "signal " + std::to_string(number);
  const bool by_itself = from == "sent by process " + std::to_string(worker);
  if (by_itself && number == SIGABRT) from.clear();  // what `abort` does
  if (by_itself && number != SIGABRT) return signal + ", sent by the worker itself";
  if (from.starts_with("sent by ")) return signal + ", " + from;
  const std::string where = from.empty() ? "in native code" : place(from);
  switch (number) {
    case SIGSEGV:
      return "segmentation fault " + where;
    case SIGBUS:
      return "bus error " + where + ": memory that cannot be had, or a file that became shorter";
    case SIGFPE:
      return "arithmetic fault " + where;
    case SIGILL:
      return "illegal instruction " + where + ": perhaps built for another processor";
    case SIGABRT:
      return "abort " + where + ": a failed assertion, a C++ exception or damaged memory";
    case SIGKILL:
      return "somebody else sent SIGKILL";
    case SIGXCPU:
      return "a limit on CPU time set outside of this pool (see `ulimit -t`)";
    default:
      return "somebody sent " + signal;
  }
}

}  // namespace

std::string likely_cause(int status, pid_t worker, std::string_view forensics, bool starved) {
  if (starved) return "killed by the kernel for want of memory";
  if (WIFSIGNALED(status)) return signal_cause(WTERMSIG(status), worker, forensics);
  if (!WIFEXITED(status)) return {};
  return "`os._exit(" + std::to_string(WEXITSTATUS(status)) +
         ")`, or a C library that called `exit`";
}

std::string stack_in(std::string_view forensics) {
  std::string stack;
  while (!forensics.empty()) {
    const std::string_view line = next_line(forensics);
    if (!line.starts_with(kOurs)) stack += line;
  }
  return stack;
}

}  // namespace pyhost::pool
