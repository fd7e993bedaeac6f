// replies_fuzz.cc: a worker that first behaves, then writes anything anywhere in its region, while
// the host posts, revokes, finishes and reads. The input is the list of what happens.
#include <sys/eventfd.h>

#include <base/memory.h>
#include <wire/host_end.h>
#include <wire/worker_end.h>

#include <string>
#include <vector>

#include "input.h"

namespace pyhost::wire {
namespace {

constexpr Sizes kSizes{.ring_bytes = 4096, .region_bytes = 1 << 17};
constexpr int kMostActs = 200;  // more finds nothing that few do not

class Scene {
 public:
  Scene()
      : host_(HostEnd::create(kSizes).value_or_throw()),
        worker_(WorkerEnd::attach(host_.share_host_region().value_or_throw(),
                                  host_.share_worker_region().value_or_throw(),
                                  base::UniqueFd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)))
                    .value_or_throw()),
        file_(host_.share_worker_region().value_or_throw()),
        region_(base::Mapping::map(file_.get(), kSizes.region_bytes, base::Access::read_write)
                    .value_or_throw()) {}

  // One act of the input. False: the host found the lie, and is through with this worker.
  bool act(fuzz::Input& input) {
    switch (input.take<std::uint8_t>() % 9) {
      case 0:
        send(input);
        return true;
      case 1:
        post(input);
        return true;
      case 2:
        return read_replies();
      case 3:
        poke_header(input);
        return true;
      case 4:
        poke_ring(input);
        return true;
      case 5:
        write_envelope(input);
        return true;
      case 6:
        revoke(input);
        return true;
      case 7:
        finish(input);
        return true;
      default:
        check_claim();
        return true;
    }
  }

 private:
  void send(fuzz::Input& input) {
    if (lied_) return;
    const Outgoing outgoing{.codec = Codec::json,
                            .flags = static_cast<std::uint8_t>(input.take<std::uint8_t>() & 6),
                            .batch = std::uint32_t{1} + input.take<std::uint8_t>() % 4,
                            .item = input.take<std::uint8_t>(),
                            .claimed_ns = 1};
    const std::string payload(input.take<std::uint16_t>() % 6000, 'x');
    const Bytes part = std::as_bytes(std::span(payload));
    (void)worker_.reply(outgoing, {&part, 1});
  }
  void post(fuzz::Input& input) {
    const std::string payload(input.take<std::uint16_t>() % 6000, 'y');
    const std::uint32_t first = input.take<std::uint8_t>();
    const auto posted = host_.post({.codec = Codec::json,
                                    .first = first,
                                    .end = first + 1 + input.take<std::uint8_t>(),
                                    .payload = std::as_bytes(std::span(payload))});
    if (posted.ok() && *posted) posted_.push_back(**posted);
  }
  bool read_replies() {
    for (int i = 0; i < 300; ++i) {
      const auto reply = host_.next_reply();
      if (!reply.ok()) {
        PYHOST_MUST(reply.error().code == Code::protocol);
        PYHOST_MUST(!reply.error().message.empty());
        return false;
      }
      if (!*reply) return true;
      PYHOST_MUST((*reply)->payload.size() <= kSizes.region_bytes);
      PYHOST_MUST((*reply)->kind != Kind::results || (*reply)->end > (*reply)->item);
      if ((*reply)->kind == Kind::release) host_.release_block((*reply)->block);
    }
    return true;
  }
  void poke_header(fuzz::Input& input) {
    static constexpr std::size_t kWords[] = {0,   4,   64,  128, 192, 256, 264,
                                             272, 320, 328, 332, 336, 344};
    const std::size_t offset = kWords[input.take<std::uint8_t>() % std::size(kWords)];
    const auto value = input.take<std::uint64_t>();
    write(offset, &value, offset < 256 || (offset > 320 && offset < 344) ? 4 : 8);
  }
  void poke_ring(fuzz::Input& input) {
    const std::size_t offset = input.take<std::uint16_t>() % kSizes.ring_bytes;
    const auto value = input.take<std::uint8_t>();
    write(kHeaderBytes + offset, &value, 1);
  }
  void write_envelope(fuzz::Input& input) {
    const std::size_t offset = input.take<std::uint8_t>() % 64 * 64;
    Envelope envelope;
    envelope.size = sizeof envelope + (input.take<std::uint8_t>() & 31) * kRecordAlign;
    envelope.kind = static_cast<Kind>(input.take<std::uint8_t>() % 24);
    envelope.codec = static_cast<Codec>(input.take<std::uint8_t>() % 8);
    envelope.flags = input.take<std::uint8_t>() % 8;
    envelope.batch = input.take<std::uint8_t>();
    envelope.first = input.take<std::uint8_t>();
    envelope.end = input.take<std::uint16_t>();
    envelope.payload_bytes = input.take<std::uint32_t>();
    envelope.block = input.take<std::uint32_t>();
    envelope.status = static_cast<Status>(input.take<std::uint8_t>() % 5);
    write(kHeaderBytes + offset, &envelope, sizeof envelope);
    const std::uint32_t head = input.take<std::uint16_t>() & 0xfff0u;
    write(64, &head, sizeof head);
  }
  void revoke(fuzz::Input& input) {
    if (posted_.empty()) return;
    Posted& posted = posted_[input.take<std::uint8_t>() % posted_.size()];
    const std::uint32_t before = posted.end;
    const std::uint32_t end = input.take<std::uint8_t>();
    const std::uint32_t kept = host_.shrink(posted, end);
    PYHOST_MUST(kept <= before && posted.end == kept);
  }
  void finish(fuzz::Input& input) {
    if (posted_.empty()) return;
    const std::size_t which = input.take<std::uint8_t>() % posted_.size();
    host_.finish(posted_[which], (input.take<std::uint8_t>() & 1) != 0);
    posted_.erase(posted_.begin() + static_cast<std::ptrdiff_t>(which));
    if ((input.take<std::uint8_t>() & 1) != 0) host_.release_block(input.take<std::uint32_t>());
  }
  void check_claim() {
    (void)host_.claim();
    for (const Posted& posted : posted_) {
      PYHOST_MUST(host_.payload(posted).size() == posted.payload_bytes);
    }
    host_.trim(0);
  }
  void write(std::size_t offset, const void* bytes, std::size_t count) {
    lied_ = true;
    count = std::min(count, region_.size() - offset);
    std::memcpy(region_.data() + offset, bytes, count);
  }

  HostEnd host_;
  WorkerEnd worker_;
  base::UniqueFd file_;
  base::Mapping region_;
  std::vector<Posted> posted_;
  bool lied_ = false;
};

}  // namespace
}  // namespace pyhost::wire

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  pyhost::fuzz::Input input(data, size);
  pyhost::wire::Scene scene;
  for (int i = 0; i < pyhost::wire::kMostActs && !input.done() && scene.act(input); ++i) continue;
  return 0;
}
