// stacks.h: the answer to SIGUSR1: where every worker is.
#pragma once

#include <cli/output.h>
#include <cli/session.h>
#include <cli/signals.h>
#include <pool/engine.h>

#include <span>
#include <string>

namespace pyhost::cli {

// One paragraph per worker: its number and pid, what it runs and for how long, its Python stack.
std::string stacks_text(std::span<const pool::WorkerStack> stacks);

// Prints where the workers are when SIGUSR1 came since the last look.
//
// Blocks: for a second at most, when a worker does not answer.
class Questions {
 public:
  Questions(const Signals& signals, Messages& messages) : signals_(signals), messages_(messages) {}
  void answer(Session& session);

 private:
  const Signals& signals_;
  Messages& messages_;
  int answered_ = 0;
};

}  // namespace pyhost::cli
