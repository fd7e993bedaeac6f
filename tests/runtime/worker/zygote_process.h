// zygote_process.h: a real zygote and its workers, spoken to as the pool does.
#pragma once

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <base/futex.h>
#include <base/memory.h>
#include <base/system.h>
#include <process/control.h>
#include <process/launch.h>
#include <process/load_plan.h>
#include <wire/frames.h>
#include <wire/host_end.h>

namespace pyhost::test {

using process::ControlKind;
using process::ControlMessage;
using wire::Codec;
using wire::Reply;
using wire::Status;
using wire::Style;

inline constexpr auto kLimit = std::chrono::seconds(20);  // far above what anything here takes

// A folder of scripts, removed with the test.
class Scripts {
 public:
  Scripts() {
    std::string name = (std::filesystem::temp_directory_path() / "pyhost-worker-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) std::abort();
    folder_ = name;
  }
  Scripts(const Scripts&) = delete;
  Scripts& operator=(const Scripts&) = delete;
  ~Scripts() { std::filesystem::remove_all(folder_); }

  std::string add(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ / name) << text;
    return (folder_ / name).string();
  }
  const std::filesystem::path& folder() const { return folder_; }

 private:
  std::filesystem::path folder_;
};

// One worker as the host sees it.
struct WorkerProcess {
  wire::HostEnd wire;
  base::UniqueFd pidfd;
  base::UniqueFd out;  // readers of its stdout and stderr
  base::UniqueFd err;
  base::UniqueFd forensics;
  std::deque<Reply> results;  // of the last run, not asked for yet
  pid_t pid = -1;
  std::uint32_t functions = 0;
};

class ZygoteProcess {
 public:
  explicit ZygoteProcess(process::Image image = process::Image::executable) {
    setenv("PYHOST_RUNTIME_DIR", PYHOST_TEST_RUNTIME, 1);
    auto python = process::find_python(PYHOST_TEST_PYTHON).value_or_throw();
    auto choice = process::choose_image(python, image).value_or_throw();
    files_ = process::find_runtime_files(python).value_or_throw();
    started_ = process::launch(python, choice, files_).value_or_throw();
  }
  ZygoteProcess(const ZygoteProcess&) = delete;
  ZygoteProcess& operator=(const ZygoteProcess&) = delete;
  ~ZygoteProcess() { process::shut_down(started_, base::Deadline::at(base::now())); }

  // Sends the plan; the answer is `ready` or `failed` (or `zygote_exited`).
  ControlMessage load(process::LoadPlan plan) {
    plan.packages = files_.packages;
    plan.core = files_.core;
    send({.kind = ControlKind::load}, process::to_json(plan));
    return next();
  }
  ControlMessage load_script(const std::string& path, std::vector<std::string> functions = {}) {
    return load({.script = path, .functions = std::move(functions)});
  }

  // `kind`: fork, or become.
  WorkerProcess start_worker(int number = 0, ControlKind kind = ControlKind::fork,
                             const process::WorkerSettings& settings = {}) {
    auto wire = wire::HostEnd::create().value_or_throw();
    const auto host_region = wire.share_host_region().value_or_throw();
    const auto worker_region = wire.share_worker_region().value_or_throw();
    const base::UniqueFd bell(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    auto out = base::pipe().value_or_throw();
    auto err = base::pipe().value_or_throw();
    auto forensics = base::create_log("forensics").value_or_throw();
    const std::array fds = {host_region.get(), worker_region.get(), bell.get(),
                            out.writer.get(),  err.writer.get(),    forensics.get()};
    const std::string_view body(reinterpret_cast<const char*>(&settings), sizeof settings);
    process::send_control(started_.control.get(), {.kind = kind, .worker = number}, body, fds)
        .value_or_throw();
    ControlMessage forked = next();
    EXPECT_EQ(forked.header.kind, ControlKind::forked);
    WorkerProcess worker{.wire = std::move(wire),
                         .out = std::move(out.reader),
                         .err = std::move(err.reader),
                         .forensics = std::move(forensics),
                         .pid = forked.header.pid};
    if (!forked.fds.empty()) worker.pidfd = std::move(forked.fds.front());
    EXPECT_EQ(next_reply(worker).kind, wire::Kind::ready);
    return worker;
  }

  // The next message from below; fails the test when none comes.
  ControlMessage next() {
    const base::Deadline deadline = base::Deadline::in(kLimit);
    pollfd watched = {started_.control.get(), POLLIN, 0};
    if (poll(&watched, 1, deadline.left_ms()) == 1) {
      auto received = process::receive_control(started_.control.get(), false).value_or_throw();
      if (received.message) return std::move(*received.message);
    }
    ADD_FAILURE() << "no message from the zygote";
    return {};
  }

  // The next record of a worker, or the next result of a run of results; fails the test when none
  // comes.
  static Reply next_reply(WorkerProcess& worker) {
    if (worker.results.empty()) {
      Reply reply = next_record(worker);
      if (reply.kind != wire::Kind::results || reply.codec >= Codec::i64) return reply;
      std::string_view rest = reply.payload;
      while (const auto frame = wire::take_frame(rest)) {
        Reply result = reply;
        result.kind = wire::Kind::reply;
        result.item = reply.item++;
        result.payload = *frame;
        worker.results.push_back(std::move(result));
      }
    }
    Reply result = std::move(worker.results.front());
    worker.results.pop_front();
    return result;
  }

  // The next record as it is.
  static Reply next_record(WorkerProcess& worker) {
    const base::Deadline deadline = base::Deadline::in(kLimit);
    worker.wire.set_wants(wire::kWakeFutex);
    for (;;) {
      const std::uint32_t seen = worker.wire.reply_word().load();
      auto reply = worker.wire.next_reply().value_or_throw();
      if (reply) return std::move(*reply);
      // A dead worker wakes nobody.
      const auto slice = base::Deadline::in(std::chrono::milliseconds(50));
      (void)base::futex_wait(worker.wire.reply_word(), seen, slice, base::Sharing::processes);
      if (deadline.passed()) {
        ADD_FAILURE() << "no reply from the worker";
        return {};
      }
    }
  }

  void send(process::ControlHeader header, std::string_view body = {}) {
    process::send_control(started_.control.get(), header, body).value_or_throw();
  }

 private:
  process::RuntimeFiles files_;
  process::Started started_;
};

inline std::span<const std::byte> bytes(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

// Items as a call's payload frames them.
inline std::string framed(const std::vector<std::string>& items) {
  std::string payload;
  for (const std::string& item : items) {
    const std::uint64_t length = item.size();
    payload.append(reinterpret_cast<const char*>(&length), sizeof length);
    payload += item;
  }
  return payload;
}

// A pickle item (host/wire/layout.md) that is one out-of-band buffer of zeros, framed as the only
// item of a batch.
inline std::string framed_buffer(std::uint64_t bytes_of_buffer) {
  const std::string pickle("\x80\x05\x97.");  // protocol 5, next buffer, stop
  std::string item(16, '\0');
  const std::uint32_t buffers = 1;
  const std::uint64_t pickle_bytes = pickle.size();
  std::memcpy(item.data(), &buffers, sizeof buffers);
  std::memcpy(item.data() + 8, &pickle_bytes, sizeof pickle_bytes);
  item.append(reinterpret_cast<const char*>(&bytes_of_buffer), sizeof bytes_of_buffer);
  item += pickle;
  // Buffers are aligned in the payload, where the item stands behind its length.
  while ((item.size() + sizeof(std::uint64_t)) % wire::kBlockAlign != 0) item += '\0';
  item.append(bytes_of_buffer, '\0');
  return framed({item});
}

// One call by name with one positional argument: a buffer of that size.
inline Reply call_with_buffer(WorkerProcess& worker, std::uint32_t function, std::uint64_t size,
                              wire::Posted& posted) {
  const std::string payload = framed_buffer(size);
  const wire::Call call{.function = function,
                        .codec = Codec::pickle,
                        .style = Style::value,
                        .payload = bytes(payload)};
  posted = *worker.wire.post(call).value_or_throw();
  worker.wire.notify();
  return ZygoteProcess::next_reply(worker);
}

// Tells the worker of a function by name; returns its number.
inline std::uint32_t define(WorkerProcess& worker, const std::string& name) {
  const std::uint32_t number = ++worker.functions;
  EXPECT_TRUE(worker.wire.define(number, Codec::json, bytes(name)).value_or_throw().has_value());
  return number;
}

// Posts a batch without waiting.
inline wire::Posted post(WorkerProcess& worker, std::uint32_t function,
                         const std::vector<std::string>& items, Style style = Style::value) {
  const std::string payload = framed(items);
  const wire::Call call{.function = function,
                        .codec = Codec::json,
                        .style = style,
                        .end = static_cast<std::uint32_t>(items.size()),
                        .payload = bytes(payload)};
  auto posted = worker.wire.post(call).value_or_throw();
  worker.wire.notify();
  return *posted;
}

// One call by name, with one JSON argument.
inline Reply call(WorkerProcess& worker, const std::string& name, const std::string& json,
                  Style style = Style::value) {
  const wire::Posted posted = post(worker, define(worker, name), {json}, style);
  Reply reply = ZygoteProcess::next_reply(worker);
  worker.wire.finish(posted);
  return reply;
}

// The JSON of an error reply.
inline std::string error_text(const Reply& reply) {
  std::uint64_t length = 0;
  if (reply.payload.size() < sizeof length) return "";
  std::memcpy(&length, reply.payload.data(), sizeof length);
  return reply.payload.substr(sizeof length, length);
}

// What can be read from a worker's stdout or stderr now, waiting for the first of it.
inline std::string read_some(const base::UniqueFd& pipe) {
  pollfd watched = {pipe.get(), POLLIN, 0};
  std::string text;
  char buffer[4096];
  int wait_ms = base::Deadline::in(kLimit).left_ms();
  while (poll(&watched, 1, wait_ms) == 1) {
    const ssize_t got = read(pipe.get(), buffer, sizeof buffer);
    if (got <= 0) break;
    text.append(buffer, static_cast<std::size_t>(got));
    wait_ms = 0;
  }
  return text;
}

// Waits until the forensics of a worker contain `text`; returns them all.
inline std::string forensics(const WorkerProcess& worker, const std::string& text) {
  const base::Deadline deadline = base::Deadline::in(kLimit);
  std::string all;
  while (all.find(text) == std::string::npos && !deadline.passed()) {
    all.resize(std::size_t{64} * 1024);
    const ssize_t got = pread(worker.forensics.get(), all.data(), all.size(), 0);
    all.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    usleep(1000);  // a poll of a file has no event to wait for
  }
  EXPECT_NE(all.find(text), std::string::npos) << all;
  return all;
}

}  // namespace pyhost::test
