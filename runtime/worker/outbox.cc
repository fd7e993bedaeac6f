#include <worker/outbox.h>

#include <string>

#include <python/errors.h>
#include <python/ref.h>
#include <worker/block_owner.h>
#include <worker/memory_cap.h>

namespace pyhost::worker {

using wire::Status;

void Outbox::send(const wire::Outgoing& reply, Parts parts) {
  for (;;) {
    const Result<bool> sent = wire_.reply(reply, parts);
    if (sent.ok() && *sent) return;
    if (!sent.ok()) {
      // It can never fit. The item still has to get an outcome; this one fits.
      PyErr_SetString(python::marshal_error(), sent.error().message.c_str());
      return send_exception(reply, true);
    }
    const python::WithoutGil without_gil;
    wire_.wait_room();
  }
}

std::string Outbox::take_exception(wire::Outgoing& reply, bool crossing) {
  reply.status = crossing && python::marshal_error_pending() ? Status::marshal : Status::raised;
  const bool memory = PyErr_ExceptionMatches(PyExc_MemoryError) != 0 && memory_capped();
  if (memory) reply.status = Status::memory;
  const Headroom headroom;
  return python::take_error_payload(reply.codec == wire::Codec::pickle);
}

void Outbox::send_exception(wire::Outgoing reply, bool crossing) {
  const std::string payload = take_exception(reply, crossing);
  const std::span<const std::byte> part = std::as_bytes(std::span(payload.data(), payload.size()));
  send(reply, {&part, 1});
}

void Outbox::send_releases() {
  for (const std::uint64_t block : take_released()) {
    send({.kind = wire::Kind::release, .block = block});
  }
}

}  // namespace pyhost::worker
