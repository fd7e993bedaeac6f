// loop.cc: takes calls from the wire, runs them, sends replies.
//
//   host                              worker's loop                            Python
//   call ring  --- define ----------> FunctionTable
//              --- call ------------> for each item: claim
//                                       decode arguments ----------------------> function(...)
//   reply ring <-- reply, results ---   encode result or error <---------------- result, exception
//              <-- release ---------  views of a call's block that outlived it are gone
//              --- retire ----------> exit functions, flush, _exit(0)
//
// 1. An item is claimed before anything of it runs, and its result is committed before the next
//    claim, in a reply or in the open run: after a crash the host knows exactly which item was
//    lost.
// 2. Whatever the function raises becomes its reply, SystemExit and KeyboardInterrupt included.
// 3. A task may fork. The copy must not touch the wire, which is not mapped in it: if it comes back
//    to this loop, it ends.
#include <unistd.h>
#include <worker/loop.h>

#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <base/fork_guard.h>
#include <python/errors.h>
#include <python/marshal.h>
#include <python/packed.h>
#include <python/values.h>
#include <worker/block_owner.h>
#include <worker/concurrent.h>
#include <worker/coroutines.h>
#include <worker/interrupt.h>
#include <worker/memory_cap.h>
#include <worker/output.h>
#include <worker/runs.h>
#include <worker/worker.h>

namespace pyhost::worker {
namespace {

using python::PyRef;
using wire::Codec;
using wire::Incoming;
using wire::Outgoing;
using wire::Status;

using Parts = std::span<const std::span<const std::byte>>;

int worker_number = -1;

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

// Drops what is pending without giving SystemExit a chance to end the process in PyErr_Print.
void drop_exception(const char* where) {
  const PyRef context = PyRef::steal(PyUnicode_FromString(where));
  if (PyErr_Occurred() != nullptr) PyErr_WriteUnraisable(context.get());
}

// The next framed item of a payload: u64 length, bytes. Nothing when the frame is broken.
std::optional<std::span<const std::byte>> next_item(std::span<const std::byte>& rest) {
  std::uint64_t length = 0;
  if (rest.size() < sizeof length) return std::nullopt;
  std::memcpy(&length, rest.data(), sizeof length);
  rest = rest.subspan(sizeof length);
  if (length > rest.size()) return std::nullopt;
  const auto item = rest.first(length);
  rest = rest.subspan(length);
  return item;
}

// Whether a pickle item has out-of-band buffers: its first word counts them.
bool has_buffers(Codec codec, std::span<const std::byte> item) {
  std::uint32_t buffers = 0;
  if (codec != Codec::pickle || item.size() < sizeof buffers) return false;
  std::memcpy(&buffers, item.data(), sizeof buffers);
  return buffers > 0;
}

class Loop {
 public:
  Loop(wire::WorkerEnd wire, const Loaded& loaded)
      : wire_(std::move(wire)), functions_(loaded), generation_(base::fork_generation()) {}

  [[noreturn]] void run();

 private:
  void idle();
  void call(const Incoming& incoming);
  void run_item(const Incoming& incoming, std::uint32_t index, std::span<const std::byte> item,
                PyObject* function);
  enum class Ended : std::uint8_t { encoded, in_run, failed };
  Ended call_function(const Incoming& incoming, std::span<const std::byte> item, PyObject* function,
                      PyObject* owner, Outgoing& reply);
  Ended evaluate(const Incoming& incoming, std::span<const std::byte> item, PyObject* function,
                 PyObject* owner, std::uint32_t index, bool& crossing);
  PyRef call_python(const Incoming& incoming, std::span<const std::byte> item, PyObject* function,
                    PyObject* owner, std::uint32_t index, bool& crossing);
  void fail(Outgoing& reply, Status status, Codec codec);
  void send(const Outgoing& reply, Parts parts);
  void send_releases();
  void leave_if_forked();
  [[noreturn]] void retire();

  wire::WorkerEnd wire_;
  Runs runs_{wire_};
  FunctionTable functions_;
  unsigned generation_;        // base::fork_generation() of this process
  python::Encoded result_;     // reused from item to item
  std::string error_payload_;  // likewise
};

void Loop::run() {
  send({.kind = wire::Kind::ready}, {});
  for (;;) {
    const std::optional<Incoming> incoming = wire_.next();
    if (!incoming) {
      idle();
      continue;
    }
    switch (incoming->envelope.kind) {
      case wire::Kind::define:
        functions_.define(incoming->envelope.function, incoming->envelope.codec, incoming->payload);
        leave_if_forked();
        break;
      case wire::Kind::call:
        call(*incoming);
        break;
      case wire::Kind::retire:
        retire();
      default:
        break;
    }
    wire_.passed(*incoming);
    send_releases();
  }
}

// Nothing to do: partial lines go out, then sleep without the GIL, for threads that tasks started.
void Loop::idle() {
  flush_streams();
  send_releases();
  {
    const python::WithoutGil without_gil;
    wire_.wait();
  }
  // A handler that a task installed runs here; what it raises has nobody to go to.
  if (PyErr_CheckSignals() < 0) drop_exception("a signal handler between calls");
  leave_if_forked();
}

void Loop::call(const Incoming& incoming) {
  const wire::Envelope& envelope = incoming.envelope;
  const bool numbers = python::is_numbers(envelope.codec);
  const PyRef function = functions_.get(envelope.function);
  PyErr_Clear();  // each item of a function that is not there reports it
  std::span<const std::byte> rest = incoming.payload;
  for (std::uint32_t index = numbers ? envelope.first : 0; index < envelope.end; ++index) {
    const auto item = numbers ? rest : next_item(rest);
    if (index < envelope.first) continue;
    // This one and all behind it were revoked.
    if (!wire_.claim(incoming, index, numbers)) break;
    run_item(incoming, index, item.value_or(std::span<const std::byte>()), function.get());
  }
  runs_.close();
}

void Loop::run_item(const Incoming& incoming, std::uint32_t index, std::span<const std::byte> item,
                    PyObject* function) {
  const wire::Envelope& envelope = incoming.envelope;
  Outgoing reply{.codec = envelope.result_codec, .batch = envelope.batch, .item = index};
  reply.claimed_ns = wire_.claimed_ns();

  // Buffers in the call ring are copied (no owner): the ring moves on whether or not a view lives.
  PyRef owner;
  if ((envelope.flags & wire::kInBlock) != 0 && has_buffers(envelope.codec, item)) {
    owner = make_block_owner(envelope.block);
    PyErr_Clear();  // without an owner buffers are copied, which is as good
  }
  const Ended ended = call_function(incoming, item, function, owner.get(), reply);
  if (owner && keep_if_referenced(owner.get())) reply.flags |= wire::kKeeps;
  if (take_printed()) {
    reply.flags |= wire::kPrinted;
    flush_streams();
    take_printed();
  }
  if (ended == Ended::in_run) {
    // Output is told of at once, and results do not wait for items that turn out long.
    if (runs_.is_late() || (reply.flags & wire::kPrinted) != 0) runs_.close(reply.flags);
    return;
  }
  runs_.close();
  if (ended == Ended::encoded) {
    send(reply, result_.parts());
    result_ = {};
  } else {
    const std::span<const std::byte> part = bytes_of(error_payload_);
    send(reply, {&part, 1});
    error_payload_.clear();
  }
}

// Extends the run, or fills `result_`, or `error_payload_` and the status.
Loop::Ended Loop::call_function(const Incoming& incoming, std::span<const std::byte> item,
                                PyObject* function, PyObject* owner, Outgoing& reply) {
  bool crossing = false;
  {
    const Interruptible interruptible(incoming, reply.item);
    const Ended ended = evaluate(incoming, item, function, owner, reply.item, crossing);
    if (ended != Ended::failed) return ended;
  }
  const bool marshal = crossing && python::marshal_error_pending();
  fail(reply, marshal ? Status::marshal : Status::raised, incoming.envelope.result_codec);
  return Ended::failed;
}

// Decode, call, encode. `failed` with an exception set; `crossing`: while a value was on its way.
Loop::Ended Loop::evaluate(const Incoming& incoming, std::span<const std::byte> item,
                           PyObject* function, PyObject* owner, std::uint32_t index,
                           bool& crossing) {
  const wire::Envelope& envelope = incoming.envelope;
  if (function == nullptr) {
    functions_.get(envelope.function);  // sets the exception of its definition
    return Ended::failed;
  }
  PyRef result = call_python(incoming, item, function, owner, index, crossing);
  if (result && is_awaitable(result.get())) result = await_result(std::move(result));
  leave_if_forked();
  if (!result) return Ended::failed;
  if (runs_.add_number(envelope, index, result.get())) return Ended::in_run;
  crossing = true;
  const bool encoded = result_.encode_result(envelope.result_codec, result.get());
  leave_if_forked();
  if (!encoded) return Ended::failed;
  if (!runs_.add_encoded(envelope, index, result_)) return Ended::encoded;
  result_ = {};
  return Ended::in_run;
}

// Nothing with an exception set.
PyRef Loop::call_python(const Incoming& incoming, std::span<const std::byte> item,
                        PyObject* function, PyObject* owner, std::uint32_t index, bool& crossing) {
  const wire::Envelope& envelope = incoming.envelope;
  if (python::is_numbers(envelope.codec)) {
    const PyRef number = python::number_at(envelope.codec, incoming.payload, index);
    if (!number) return {};
    // The free slot before the arguments spares bound methods a copy of them.
    PyObject* arguments[] = {nullptr, number.get()};
    return PyRef::steal(
        PyObject_Vectorcall(function, arguments + 1, 1 | PY_VECTORCALL_ARGUMENTS_OFFSET, nullptr));
  }
  python::Arguments arguments;
  crossing = true;
  const bool decoded =
      python::decode_arguments(envelope.codec, envelope.style, item, owner, arguments);
  leave_if_forked();
  if (!decoded) return {};
  crossing = false;
  return PyRef::steal(PyObject_Call(function, arguments.args.get(), arguments.kwargs.get()));
}

// The pending exception becomes `error_payload_`.
void Loop::fail(Outgoing& reply, Status status, Codec codec) {
  const bool memory = PyErr_ExceptionMatches(PyExc_MemoryError) != 0 && memory_capped();
  reply.status = memory ? Status::memory : status;
  const Headroom headroom;
  error_payload_ = python::take_error_payload(codec == Codec::pickle);
}

void Loop::send(const Outgoing& reply, Parts parts) {
  for (;;) {
    const Result<bool> sent = wire_.reply(reply, parts);
    if (sent.ok() && *sent) return;
    if (!sent.ok()) {
      // It can never fit. The item still has to get an outcome; this one fits.
      PyErr_SetString(python::marshal_error(), sent.error().message.c_str());
      Outgoing instead = reply;
      fail(instead, Status::marshal, reply.codec);
      const std::span<const std::byte> part = bytes_of(error_payload_);
      return send(instead, {&part, 1});
    }
    const python::WithoutGil without_gil;
    wire_.wait_room();
  }
}

void Loop::send_releases() {
  for (const std::uint64_t block : take_released()) {
    send({.kind = wire::Kind::release, .block = block}, {});
  }
}

// A copy of this process that a task forked has come back here. It ends as the task asked.
void Loop::leave_if_forked() {
  if (base::fork_generation() == generation_) return;
  int status = 0;
  if (PyErr_Occurred() != nullptr) {
    const PyRef exception = python::take_exception();
    const bool exits = PyErr_GivenExceptionMatches(exception.get(), PyExc_SystemExit) != 0;
    const PyRef code = PyRef::steal(PyObject_GetAttrString(exception.get(), "code"));
    PyErr_Clear();
    status = 1;
    if (exits && code && code.get() == Py_None) status = 0;
    if (exits && code && PyLong_Check(code.get())) {
      status = static_cast<int>(PyLong_AsLong(code.get()));
    }
    if (!exits) {
      python::set_exception(PyRef::borrow(exception.get()));
      PyErr_Print();
    }
  }
  flush_streams();
  _exit(status);
}

void Loop::retire() {
  PyObject* util = PyDict_GetItemString(PyImport_GetModuleDict(), "multiprocessing.util");
  if (util != nullptr && util != Py_None) {
    PyRef::steal(PyObject_CallMethod(util, "_exit_function", nullptr));
    drop_exception("multiprocessing's exit functions");
  }
  const PyRef atexit = PyRef::steal(PyImport_ImportModule("atexit"));
  if (atexit) PyRef::steal(PyObject_CallMethod(atexit.get(), "_run_exitfuncs", nullptr));
  drop_exception("exit functions");
  flush_streams();
  _exit(0);
}

PyObject* current_worker_number(PyObject* /*module*/, PyObject* /*unused*/) {
  return PyLong_FromLong(current_worker());
}

PyObject* task_cancelled(PyObject* /*module*/, PyObject* /*unused*/) {
  return PyBool_FromLong(is_to_stop() ? 1 : 0);
}

PyMethodDef table[] = {
    {"task_cancelled", task_cancelled, METH_NOARGS,
     "Whether the host wants the call that this thread runs to stop."},
    {"current_worker", current_worker_number, METH_NOARGS,
     "The number of this worker, counted from 0; -1 outside of a worker."},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

void run_worker(int number, wire::WorkerEnd wire, const Loaded& loaded,
                const process::WorkerSettings& settings) {
  worker_number = number;
  if (settings.concurrency > 1) run_concurrently(std::move(wire), loaded, settings.concurrency);
  Loop(std::move(wire), loaded).run();
}

int current_worker() {
  return worker_number;
}

PyMethodDef* methods() {
  return table;
}

}  // namespace pyhost::worker
