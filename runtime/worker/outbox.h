// outbox.h: sending replies, and waiting where there is no room for them.
#pragma once

#include <Python.h>

#include <cstddef>
#include <span>
#include <string>

#include <wire/worker_end.h>

namespace pyhost::worker {

// All functions need the GIL, and give it away while they wait.
class Outbox {
 public:
  using Parts = std::span<const std::span<const std::byte>>;

  explicit Outbox(wire::WorkerEnd& wire) : wire_(wire) {}

  // A result too long for any ring or arena becomes a MarshalError.
  void send(const wire::Outgoing& reply, Parts parts = {});

  // Takes the pending exception as the outcome: sets the status, and returns the payload to send.
  // The status is `marshal` for a MarshalError if a value was `crossing`, `memory` for a
  // MemoryError under a cap, else `raised`.
  static std::string take_exception(wire::Outgoing& reply, bool crossing = false);
  // Both in one.
  void send_exception(wire::Outgoing reply, bool crossing = false);

  // Tells the host which of its blocks nobody refers to any more.
  void send_releases();

 private:
  wire::WorkerEnd& wire_;
};

}  // namespace pyhost::worker
