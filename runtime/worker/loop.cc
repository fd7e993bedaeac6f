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
#include <wire/frames.h>
#include <worker/block_owner.h>
#include <worker/call_context.h>
#include <worker/concurrent.h>
#include <worker/coroutines.h>
#include <worker/ending.h>
#include <worker/interrupt.h>
#include <worker/items.h>
#include <worker/outbox.h>
#include <worker/output.h>
#include <worker/peak.h>
#include <worker/runs.h>
#include <worker/worker.h>

namespace pyhost::worker {
namespace {

using python::PyRef;
using wire::Codec;
using wire::Incoming;
using wire::Outgoing;
using wire::Status;

int worker_number = -1;

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

class Loop {
 public:
  Loop(wire::WorkerEnd wire, const Loaded& loaded, const process::WorkerSettings& settings)
      : wire_(std::move(wire)),
        functions_(loaded),
        own_arrays_(settings.own_arrays),
        strict_(settings.strict != 0),
        generation_(base::fork_generation()) {}

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
                    PyObject* owner, std::uint32_t index, bool& crossing, InContext& context);
  void leave_if_forked() const;

  wire::WorkerEnd wire_;
  Outbox outbox_{wire_};
  Runs runs_{wire_};
  FunctionTable functions_;
  std::uint64_t own_arrays_;   // WorkerSettings::own_arrays
  bool strict_;                // WorkerSettings::strict
  unsigned generation_;        // base::fork_generation() of this process
  python::Encoded result_;     // reused from item to item
  std::string error_payload_;  // likewise
};

void Loop::run() {
  outbox_.send({.kind = wire::Kind::ready});
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
    outbox_.send_releases();
  }
}

// Nothing to do: partial lines go out, then sleep without the GIL, for threads that tasks started.
void Loop::idle() {
  flush_streams();
  outbox_.send_releases();
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
    const auto item = numbers ? rest : wire::take_frame(rest);
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
  reply.peak_kib = peak_kib();
  if (ended == Ended::encoded) {
    outbox_.send(reply, result_.parts());
    result_ = {};
  } else {
    const std::span<const std::byte> part = bytes_of(error_payload_);
    outbox_.send(reply, {&part, 1});
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
  error_payload_ = outbox_.take_exception(reply, crossing);
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
  InContext context;  // until what it returns, or awaits, is encoded
  PyRef result = call_python(incoming, item, function, owner, index, crossing, context);
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
                        PyObject* function, PyObject* owner, std::uint32_t index, bool& crossing,
                        InContext& context) {
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
      python::decode_arguments(envelope.codec, envelope.style, item,
                               {.owner = owner, .copied = own_arrays_, .frozen = true}, arguments);
  leave_if_forked();
  if (!decoded && strict_ && !interrupted()) end_on_arguments();
  if (!decoded) return {};
  if (arguments.context) {
    PyRef loaded = load_context(arguments.context.get());
    if (!loaded || !context.enter(std::move(loaded))) return {};
  }
  crossing = false;
  return PyRef::steal(PyObject_Call(function, arguments.args.get(), arguments.kwargs.get()));
}

// A copy of this process that a task forked has come back here.
void Loop::leave_if_forked() const {
  if (base::fork_generation() != generation_) end_copy();
}

PyObject* current_worker_number(PyObject* /*module*/, PyObject* /*unused*/) {
  return PyLong_FromLong(current_worker());
}

PyObject* task_cancelled(PyObject* /*module*/, PyObject* /*unused*/) {
  return PyBool_FromLong(is_to_stop() ? 1 : 0);
}

PyObject* write_record(PyObject* /*module*/, PyObject* bytes) {
  char* data = nullptr;
  Py_ssize_t size = 0;
  if (PyBytes_AsStringAndSize(bytes, &data, &size) != 0) return nullptr;
  return PyBool_FromLong(write_marked({data, static_cast<std::size_t>(size)}) ? 1 : 0);
}

PyMethodDef table[] = {
    {"write_record", write_record, METH_O,
     "Writes the line of a log record, see pyhost._records. False: nobody will read it."},
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
  if (settings.concurrency > 1) run_concurrently(std::move(wire), loaded, settings);
  Loop(std::move(wire), loaded, settings).run();
}

int current_worker() {
  return worker_number;
}

PyMethodDef* methods() {
  return table;
}

}  // namespace pyhost::worker
