// forensics.h: what a worker leaves behind when it crashes, or when it is asked where it is.
//
// All of it goes to the descriptor kForensicsFd (host/process/control.h), to which the host reads
// along. Two kinds of text:
//
//   a fatal signal     pyhost: signal 11 in /path/of/library.so     (or: sent by process 4711)
//                      Fatal Python error: Segmentation fault       what Python's faulthandler
//                      ...                                          writes, to the end
//   asked for stacks   pyhost: stacks
//                      Current thread 0x... (most recent call first):
//                      ...
//                      pyhost: end of stacks
#pragma once

#include <Python.h>

#include <string_view>

#include <base/fd.h>

namespace pyhost::worker {

// Starts writing to `fd` when a fatal signal arrives. Once per process; processes that tasks fork
// write to stderr instead. Best effort: a Python without faulthandler leaves nothing behind.
// Requires: the GIL, the main thread.
void leave_forensics(base::UniqueFd fd);

// From now on `signal` opens a question, where this process is, and does what it did before. What
// runs then in the main thread answers: see take_question. If it does not, since C code runs or
// waits there, the signal handler writes all Python stacks after a moment, even while C code holds
// the GIL. Blocking system calls end with EINTR, not restarted. Requires: as above, after
// leave_forensics; a handler of Python's own is installed for `signal`.
void write_stacks_on(int signal);

// From now on that signal makes the eventfd `bell` readable, too: one that comes just before a
// thread starts to wait for descriptors does not end its waiting.
void ring_on_question(int bell);

// Whether the signal came and has no answer yet; from here on that is the caller's.
bool take_question();
// Answers with `text`, which is Python stacks.
void answer_question(std::string_view text);
// Answers with the stacks of all threads. Requires: the GIL.
void answer_with_threads();

}  // namespace pyhost::worker
