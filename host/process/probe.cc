// probe.cc: runs an interpreter with a few lines of Python and reads what they print.
#include <base/fd.h>
#include <base/system.h>
#include <fcntl.h>
#include <poll.h>
#include <process/probe.h>
#include <process/spawn.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <sstream>

namespace pyhost::process {
namespace {

// Fields separated by NUL, lists by newline. Runs on Python 2.7 too, so that an old interpreter is
// refused by its version and not by a syntax error. No `json`: importing it doubles the time.
// The current folder leaves sys.path first: a file `sysconfig.py` there must not be imported.
// /proc/self/maps and not the ELF header tells the library: it also sees RPATH, LD_LIBRARY_PATH
// and launchers that exec the real interpreter. A venv's base calls itself by the venv's name up to
// 3.10.
constexpr const char* kQuestion = R"(
import sys
sys.path[:] = [p for p in sys.path if p]
import os, sysconfig
var = sysconfig.get_config_var
base = getattr(sys, '_base_executable', None) or sys.executable
prefix = getattr(sys, 'base_prefix', sys.prefix)
if prefix != sys.prefix and base == sys.executable:
    base = os.path.join(prefix, 'bin', 'python%d.%d' % sys.version_info[:2])
name = var('INSTSONAME') or ''
arch = var('MULTIARCH') or ''
libdir = var('LIBDIR') or ''
places = []
if '.so' in name:
    for d in (os.path.join(prefix, 'lib'), libdir):
        if d: places += [os.path.join(d, name), os.path.join(d, arch, name)]
loaded = ''
wanted = 'libpython%d.%d' % sys.version_info[:2]
try:
    with open('/proc/self/maps', 'rb') as maps:
        for line in maps:
            path = line.rstrip().split(None, 5)[5:]
            if path and os.path.basename(path[0]).startswith(wanted.encode()):
                loaded = path[0].decode(sys.getfilesystemencoding(), 'surrogateescape')
                break
except Exception:
    pass
text = '\0'.join(['pyhost-probe', sys.executable or '', base or '',
    getattr(getattr(sys, 'implementation', None), 'name', 'cpython'), sys.version.split()[0],
    str(sys.hexversion), getattr(sys, 'abiflags', ''), loaded, '\n'.join(places), ''])
out = getattr(sys.stdout, 'buffer', sys.stdout)
out.write(getattr(os, 'fsencode', str)(text))
out.flush()
)";

constexpr const char* kPackageQuestion = R"(
import sys
sys.path[:] = [p for p in sys.path if p]
import os
from importlib.machinery import PathFinder
spec = PathFinder.find_spec('pyhost')
found = list(spec.submodule_search_locations or []) if spec is not None else []
sys.stdout.buffer.write(b'pyhost-package\0' + os.fsencode(found[0] if found else '') + b'\0')
)";

// Far above any answer; a program that prints without end is cut here and refused.
constexpr std::size_t kMaxOutput = std::size_t{64} * 1024;

constexpr std::size_t kFields = 9;       // that the question prints
constexpr std::size_t kTailBytes = 400;  // of stderr in an error: a few lines, not a screen

struct Ended {
  std::string out;
  std::string err;
  int status = -1;
  bool in_time = true;
};

// Takes what is there. False at the end of the stream.
bool read_some(int fd, std::string& text) {
  std::array<char, 4096> bytes;
  const ssize_t count = read(fd, bytes.data(), bytes.size());
  if (count < 0) return errno == EAGAIN || errno == EINTR;
  if (text.size() < kMaxOutput) text.append(bytes.data(), static_cast<std::size_t>(count));
  return count > 0;
}

// Reads both streams until the process has ended. Its end counts, not the end of the streams: a
// process it left behind may keep them open.
bool listen_until_end(int process, int out, int err, base::Deadline deadline, Ended& ended) {
  std::array<pollfd, 3> watched{{{process, POLLIN, 0}, {out, POLLIN, 0}, {err, POLLIN, 0}}};
  while (true) {
    const int ready = poll(watched.data(), watched.size(), deadline.left_ms());
    if (ready < 0 && errno != EINTR) return false;
    if (ready == 0 && deadline.passed()) return false;
    if (ready <= 0) continue;
    if (watched[1].revents != 0 && !read_some(out, ended.out)) watched[1].fd = -1;
    if (watched[2].revents != 0 && !read_some(err, ended.err)) watched[2].fd = -1;
    if (watched[0].revents == 0) continue;
    // What a dead process wrote is in the pipes by now; their capacity bounds this.
    for (int rounds = 0; rounds < 32; ++rounds) {
      pollfd rest{out, POLLIN, 0};
      if (poll(&rest, 1, 0) <= 0 || !read_some(out, ended.out)) break;
    }
    for (int rounds = 0; rounds < 32; ++rounds) {
      pollfd rest{err, POLLIN, 0};
      if (poll(&rest, 1, 0) <= 0 || !read_some(err, ended.err)) break;
    }
    return true;
  }
}

Result<Ended> run_to_end(const std::string& path, const std::vector<std::string>& arguments,
                         base::Deadline deadline) {
  auto out = base::pipe();
  if (!out) return std::move(out).error();
  auto err = base::pipe();
  if (!err) return std::move(err).error();
  Spawn spawn;
  spawn.give_null(0);
  if (auto given = spawn.give(out->writer.get(), 1); !given) return std::move(given).error();
  if (auto given = spawn.give(err->writer.get(), 2); !given) return std::move(given).error();
  auto pid = spawn.run(path, arguments);
  if (!pid) return std::move(pid).error();
  out->writer.reset();
  err->writer.reset();

  Ended ended;
  auto process = base::open_pidfd(*pid);
  if (process) {
    ended.in_time =
        listen_until_end(process->get(), out->reader.get(), err->reader.get(), deadline, ended);
  }
  if (!process || !ended.in_time) base::kill_tree(*pid);
  ended.status = reap(*pid);
  if (!process) return std::move(process).error();
  return ended;
}

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, separator);) parts.push_back(std::move(part));
  return parts;
}

// The last lines of what a program wrote to stderr, for an error message.
std::string tail(const std::string& text) {
  const std::size_t end = text.find_last_not_of(" \t\r\n");
  if (end == std::string::npos) return "";
  std::string kept = text.substr(0, end + 1);
  if (kept.size() <= kTailBytes) return kept;
  kept = kept.substr(kept.size() - kTailBytes);
  const std::size_t line = kept.find('\n');
  return line == std::string::npos ? kept : kept.substr(line + 1);
}

}  // namespace

Result<Answer> ask_interpreter(const std::string& path, base::Deadline deadline) {
  // -E -s and not -I, which Python 2 does not know. No -S: without `site` a venv is not seen.
  auto ended = run_to_end(path, {"-E", "-s", "-c", kQuestion}, deadline);
  if (!ended) return std::move(ended).error();
  if (!ended->in_time) {
    return Error(Code::startup, "`" + path + "` did not say which Python it is in time");
  }
  const std::vector<std::string> fields = split(ended->out, '\0');
  if (fields.size() != kFields || fields[0] != "pyhost-probe") {
    if (ended->status == 0) {
      return Error(Code::startup,
                   "`" + path + "` ran but did not answer as Python does: is it an interpreter?");
    }
    const std::string said = tail(ended->err);
    return Error(Code::startup, "`" + path + "` " + describe_status(ended->status) +
                                    (said.empty() ? "" : ": " + said));
  }
  Answer answer;
  answer.executable = fields[1].empty() ? path : fields[1];
  answer.base_executable = fields[2].empty() ? answer.executable : fields[2];
  answer.implementation = fields[3];
  answer.version = fields[4];
  const std::string& hex = fields[5];
  std::from_chars(hex.data(), hex.data() + hex.size(), answer.hex);
  answer.abi_flags = fields[6];
  answer.loaded_libpython = fields[7];
  answer.libpython_places = split(fields[8], '\n');
  return answer;
}

Result<std::string> ask_for_package(const std::string& path, base::Deadline deadline) {
  auto ended = run_to_end(path, {"-c", kPackageQuestion}, deadline);
  if (!ended) return std::move(ended).error();
  const std::vector<std::string> fields = split(ended->out, '\0');
  if (!fields.empty() && fields[0] == "pyhost-package") return fields.size() > 1 ? fields[1] : "";
  const std::string said = tail(ended->err);
  return Error(Code::startup, "`" + path + "` did not say where it finds packages" +
                                  (said.empty() ? "" : ": " + said));
}

}  // namespace pyhost::process
