// pair.h: both ends of one wire in one process, and a look at the bytes between them.
#pragma once

#include <sys/eventfd.h>

#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include <base/memory.h>
#include <wire/host_end.h>
#include <wire/ring.h>
#include <wire/worker_end.h>

namespace pyhost::wire::test {

inline Sizes small_sizes() {
  Sizes sizes;
  sizes.ring_bytes = 4096;
  sizes.region_bytes = 1 << 20;
  return sizes;
}

inline Bytes bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}
inline std::string text_of(Bytes bytes) {
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

// A host's end and a worker's end, joined as processes would be.
struct Pair {
  explicit Pair(const Sizes& chosen = small_sizes())
      : sizes(chosen),
        host(HostEnd::create(chosen).value_or_throw()),
        bell(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
        worker(WorkerEnd::attach(host.share_host_region().value_or_throw(),
                                 host.share_worker_region().value_or_throw(), bell_copy())
                   .value_or_throw()),
        calls_fd(host.share_host_region().value_or_throw()),
        replies_fd(host.share_worker_region().value_or_throw()),
        calls(base::Mapping::map(calls_fd.get(), chosen.region_bytes, base::Access::read_only)
                  .value_or_throw()),
        replies(base::Mapping::map(replies_fd.get(), chosen.region_bytes, base::Access::read_write)
                    .value_or_throw()) {}

  base::UniqueFd bell_copy() const { return base::UniqueFd(dup(bell.get())); }
  std::uint64_t rings() const {
    std::uint64_t count = 0;
    return read(bell.get(), &count, sizeof count) == sizeof count ? count : 0;
  }

  Posted post(std::string_view payload, std::uint32_t first = 0, std::uint32_t end = 1) {
    Call call;
    call.codec = Codec::json;
    call.first = first;
    call.end = end;
    call.payload = bytes_of(payload);
    auto posted = host.post(call).value_or_throw();
    EXPECT_TRUE(posted.has_value()) << "no room for " << payload.size() << " bytes";
    return posted.value_or(Posted{});
  }
  bool fits(std::string_view payload) {
    Call call;
    call.payload = bytes_of(payload);
    return host.post(call).value_or_throw().has_value();
  }
  bool send(std::uint32_t batch, std::uint32_t item, std::string_view payload,
            std::uint8_t flags = 0) {
    Outgoing outgoing;
    outgoing.codec = Codec::json;
    outgoing.batch = batch;
    outgoing.item = item;
    outgoing.flags = flags;
    const Bytes part = bytes_of(payload);
    return worker.reply(outgoing, {&part, 1}).value_or_throw();
  }
  Reply take() {
    auto reply = host.next_reply().value_or_throw();
    EXPECT_TRUE(reply.has_value()) << "no reply";
    return reply.value_or(Reply{});
  }
  bool no_reply() { return !host.next_reply().value_or_throw().has_value(); }

  // What a worker that breaks the rules can reach.
  WorkerHeader& worker_header() { return *reinterpret_cast<WorkerHeader*>(replies.data()); }
  std::byte* reply_ring() { return replies.data() + kHeaderBytes; }
  const HostHeader& host_header() const {
    return *reinterpret_cast<const HostHeader*>(calls.data());
  }

  Sizes sizes;
  HostEnd host;
  base::UniqueFd bell;
  WorkerEnd worker;
  base::UniqueFd calls_fd;
  base::UniqueFd replies_fd;
  base::Mapping calls;
  base::Mapping replies;
};

}  // namespace pyhost::wire::test
