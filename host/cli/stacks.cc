// stacks.cc: asks the engine, and lays out what it says.
#include <cli/stacks.h>
#include <cli/text.h>
#include <pool/words.h>

#include <chrono>

namespace pyhost::cli {
namespace {

// A worker answers from a signal handler, at once; one that is stopped never does. Longer keeps
// results waiting, shorter loses answers on a busy machine.
constexpr auto kAnswerWithin = std::chrono::seconds(1);

}  // namespace

std::string stacks_text(std::span<const pool::WorkerStack> stacks) {
  std::string text =
      std::to_string(stacks.size()) + (stacks.size() == 1 ? " worker\n" : " workers\n");
  for (const pool::WorkerStack& stack : stacks) {
    text += "worker " + std::to_string(stack.worker) + " (pid " + std::to_string(stack.pid) + "): ";
    if (stack.call.empty()) {
      text += "idle\n";
    } else {
      text += stack.call + ", for " + pool::elapsed_text(stack.seconds) + "\n";
    }
    if (stack.stack.empty() && !stack.call.empty()) {
      text += "  it does not say where it is: it may be stopped\n";
    }
    append_indented(stack.stack, text);
  }
  return text;
}

void Questions::answer(Session& session) {
  const int asked = signals_.questions();
  if (asked == answered_) return;
  answered_ = asked;  // several at once get one answer
  messages_.write("pyhost: " +
                  stacks_text(session.engine().stacks(base::Deadline::in(kAnswerWithin))));
}

}  // namespace pyhost::cli
