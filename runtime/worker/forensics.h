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

#include <base/fd.h>

namespace pyhost::worker {

// Starts writing to `fd` when a fatal signal arrives. Once per process; processes that tasks fork
// write to stderr instead. Best effort: a Python without faulthandler leaves nothing behind.
// Requires: the GIL, the main thread.
void leave_forensics(base::UniqueFd fd);

// From now on `signal` first writes all Python stacks, even while C code holds the GIL, and then
// does what it did before. Blocking system calls end with EINTR, not restarted. Requires: as above,
// after leave_forensics; a handler of Python's own is installed for `signal`.
//
// `threads`: calls run in several. A thread that runs Python must not be looked at from another, so
// the stacks are written at once only if the GIL is at hand, or when the signal comes again without
// an answer; else by answer_question.
void write_stacks_on(int signal, bool threads);

// From now on that signal makes the eventfd `bell` readable, too: one that comes just before a
// thread starts to wait for descriptors does not end its waiting.
void ring_on_question(int bell);

// Writes the stacks if the signal came and they were not written yet; `wanted` false: never mind.
// Needs the GIL.
void answer_question(bool wanted);

}  // namespace pyhost::worker
