// concurrent.cc: several calls in flight in one worker.
//
//   main thread: asyncio's loop                        threads, as many as are needed
//   +--------------------------------------+  queue   +------------------------------+
//   | look(), whenever the loop would wait:|--------->| decode, call, encode, reply, |
//   |   take calls, start coroutines       |          | take the next one if it is   |
//   | coroutines run; ended() replies      |<---------| for a thread                 |
//   +--------------------------------------+  bell    +------------------------------+
//          ^ bell                     | arm: "wake me when there is a record"
//          +--- waiter thread (no Python) sleeps on the wire <---+
//
// 1. The GIL serializes all that happens to the wire, except for the waiter's sleep.
// 2. Whoever frees a slot takes the next call itself, rings for the main thread if it cannot, or
//    arms the waiter: while the main thread sleeps there is always somebody who will see a record.
// 3. A call is interrupted in the main thread, where signal handlers of Python run: a coroutine is
//    cancelled, a thread gets an exception at its next bytecode.
#include <unistd.h>
#include <worker/concurrent.h>

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include <base/fork_guard.h>
#include <python/marshal.h>
#include <python/packed.h>
#include <python/values.h>
#include <worker/block_owner.h>
#include <worker/call_context.h>
#include <worker/coroutines.h>
#include <worker/ending.h>
#include <worker/forensics.h>
#include <worker/intake.h>
#include <worker/interrupt.h>
#include <worker/output.h>
#include <worker/peak.h>
#include <worker/waiter.h>

namespace pyhost::worker {
namespace {

using python::PyRef;

// How long an idle worker keeps its pages warm, in seconds: as WorkerEnd::wait.
constexpr double kStaysWarm = 0.1;
// A loop that has a timer within this time does not poll the wire meanwhile.
constexpr double kShortTimer = 0.001;

class Concurrent {
 public:
  Concurrent(wire::WorkerEnd wire, const Loaded& loaded, const process::WorkerSettings& settings)
      : wire_(std::move(wire)),
        outbox_(wire_),
        intake_(wire_, outbox_, loaded, settings.concurrency),
        own_arrays_(settings.own_arrays),
        strict_(settings.strict != 0),
        waiter_(wire_),
        generation_(base::fork_generation()) {}

  [[noreturn]] void run();

  // Called by Python.
  PyObject* look(PyObject* timeout);
  void rung() { waiter_.silence(); }
  void ended(PyObject* task);
  void serve_thread();
  bool is_over() const { return intake_.is_over(); }
  bool on_signal();
  std::string where(bool all);

 private:
  bool start_calls();
  void start_coroutine(Call& call);
  void adopt(Call& call, PyRef awaitable);
  void give_to_thread(Call& call);
  bool start_thread();
  void run_in_thread(Call& call);
  PyRef call_function(Call& call, bool& crossing);
  void reply(Call& call, const PyRef& result, bool crossing);
  void stay_awake();
  PyRef time_to_wait(PyObject* timeout);
  void leave_if_forked() const;

  wire::WorkerEnd wire_;
  Outbox outbox_;
  Intake intake_;
  std::uint64_t own_arrays_;  // WorkerSettings::own_arrays
  bool strict_;               // WorkerSettings::strict
  Waiter waiter_;
  unsigned generation_;                            // base::fork_generation() of this process
  PyRef context_;                                  // context variables as they are outside of calls
  PyRef loop_;                                     // asyncio's
  PyRef ended_;                                    // `ended`, as Python sees it
  bool asleep_ = false;                            // the main thread waits, or is about to
  bool was_idle_ = false;                          // likewise, with no call, and once before
  bool stopped_ = false;                           // the loop runs only to let what is left end
  std::vector<std::pair<Call*, PyRef>> to_adopt_;  // awaitables that functions in threads returned

  int threads_ = 0;       // ever started
  int free_threads_ = 0;  // waiting for a call that no queued one is meant for
  std::mutex mutex_;      // guards queue_; never held while Python code can run
  std::condition_variable queued_;
  std::deque<Call*> queue_;
};

Concurrent* self = nullptr;  // one per process

// --- what Python calls ---

PyObject* py_look(PyObject* /*module*/, PyObject* timeout) {
  return self->look(timeout);
}
PyObject* py_rung(PyObject* /*module*/, PyObject* /*unused*/) {
  self->rung();
  Py_RETURN_NONE;
}
PyObject* py_ended(PyObject* /*module*/, PyObject* task) {
  self->ended(task);
  Py_RETURN_NONE;
}
PyObject* py_serve_thread(PyObject* /*module*/, PyObject* /*unused*/) {
  self->serve_thread();
  Py_RETURN_NONE;
}
PyObject* py_is_over(PyObject* /*module*/, PyObject* /*unused*/) {
  return PyBool_FromLong(self->is_over() ? 1 : 0);
}

PyMethodDef look_method = {"look", py_look, METH_O, nullptr};
PyMethodDef rung_method = {"rung", py_rung, METH_NOARGS, nullptr};
PyMethodDef ended_method = {"ended", py_ended, METH_O, nullptr};
PyMethodDef serve_thread_method = {"serve_thread", py_serve_thread, METH_NOARGS, nullptr};
PyMethodDef is_over_method = {"is_over", py_is_over, METH_NOARGS, nullptr};

PyRef function(PyMethodDef& method) {
  return PyRef::steal(PyCFunction_New(&method, nullptr));
}

// --- the main thread ---

void Concurrent::run() {
  self = this;
  wire_.share();
  waiter_.start();
  context_ = PyRef::steal(PyContext_CopyCurrent());
  ended_ = function(ended_method);
  PyObject* coroutines = coroutines_module();
  const PyRef look_function = function(look_method);
  const PyRef rung_function = function(rung_method);
  const PyRef is_over_function = function(is_over_method);
  if (coroutines != nullptr) {
    loop_ = PyRef::steal(PyObject_CallMethod(coroutines, "prepare", "OiO", look_function.get(),
                                             waiter_.bell(), rung_function.get()));
  }
  if (!loop_) {
    PyErr_Print();
    flush_streams();
    _exit(1);
  }
  ring_on_question(waiter_.bell());
  on_interrupts([] { return self->on_signal(); });
  outbox_.send({.kind = wire::Kind::ready});
  PyRef::steal(PyObject_CallMethod(coroutines, "serve", "O", is_over_function.get()));
  drop_exception("the event loop of the worker");
  retire();
}

void Concurrent::leave_if_forked() const {
  if (base::fork_generation() != generation_) end_copy();
}

PyObject* Concurrent::look(PyObject* timeout) {
  leave_if_forked();
  asleep_ = false;
  const bool started = start_calls();
  outbox_.send_releases();
  if (stopped_) return PyRef::borrow(timeout).release();
  if (intake_.is_over()) {
    stopped_ = true;
    PyRef::steal(PyObject_CallMethod(loop_.get(), "stop", nullptr));
    PyErr_Clear();
    return PyLong_FromLong(0);
  }
  const double seconds = timeout == Py_None ? -1 : PyFloat_AsDouble(timeout);
  if (PyErr_Occurred() != nullptr) return nullptr;
  if (started || seconds == 0) return PyLong_FromLong(0);
  if (intake_.has_room() && (seconds < 0 || seconds > kShortTimer)) {
    const std::uint32_t position = wire_.position();
    {
      const python::WithoutGil without_gil;
      wire_.spin(position);
    }
  }
  // Before the last look: whoever ends a call behind it must ring.
  asleep_ = true;
  if (start_calls() || intake_.is_over()) return PyLong_FromLong(0);
  PyRef wait = time_to_wait(timeout);
  if (intake_.has_room()) waiter_.arm(wire_.position());
  return wait.release();
}

// Flushes what an idle worker has in its hands, and lets pages go when it stays idle.
PyRef Concurrent::time_to_wait(PyObject* timeout) {
  if (!intake_.calls().empty()) {
    was_idle_ = false;
    return PyRef::borrow(timeout);
  }
  flush_streams();
  if (was_idle_ && wire_.is_warm()) wire_.cool_down();
  was_idle_ = wire_.is_warm();
  return was_idle_ ? PyRef::steal(PyFloat_FromDouble(kStaysWarm)) : PyRef::borrow(timeout);
}

// Whether the event loop has something to do now.
bool Concurrent::start_calls() {
  bool started = !to_adopt_.empty();
  for (auto& [call, awaitable] : std::exchange(to_adopt_, {})) adopt(*call, std::move(awaitable));
  while (Call* call = intake_.take(Intake::Taker::main)) {
    if (call->is_coroutine) {
      start_coroutine(*call);
      started = true;
    } else {
      give_to_thread(*call);
    }
  }
  return started;
}

void Concurrent::start_coroutine(Call& call) {
  bool crossing = false;
  PyRef result = call_function(call, crossing);
  if (result && is_awaitable(result.get())) return adopt(call, std::move(result));
  reply(call, result, crossing);
}

// Makes it a task of the loop, whose end is the call's.
void Concurrent::adopt(Call& call, PyRef awaitable) {
  const PyRef asyncio = PyRef::steal(PyImport_ImportModule("asyncio"));
  PyRef task;
  InContext context;  // a task runs in a copy of what it is made in
  if (call.context && !context.enter(PyRef::borrow(call.context.get()))) {
    return reply(call, {}, false);
  }
  if (asyncio && PyCoro_CheckExact(awaitable.get())) {
    task = PyRef::steal(PyObject_CallMethod(loop_.get(), "create_task", "O", awaitable.get()));
  } else if (asyncio) {
    const PyRef ensure = PyRef::steal(PyObject_GetAttrString(asyncio.get(), "ensure_future"));
    const PyRef arguments = PyRef::steal(PyTuple_Pack(1, awaitable.get()));
    const PyRef keywords = PyRef::steal(Py_BuildValue("{sO}", "loop", loop_.get()));
    if (ensure && arguments && keywords) {
      task = PyRef::steal(PyObject_Call(ensure.get(), arguments.get(), keywords.get()));
    }
  }
  if (task &&
      !PyRef::steal(PyObject_CallMethod(task.get(), "add_done_callback", "O", ended_.get()))) {
    task = {};
  }
  if (!task) return reply(call, {}, false);
  call.task = std::move(task);
  call.place = Place::coroutine;
  if (call.interrupted) {  // while it was on its way here
    PyRef::steal(PyObject_CallMethod(call.task.get(), "cancel", nullptr));
    PyErr_Clear();
  }
}

void Concurrent::ended(PyObject* task) {
  leave_if_forked();
  for (Call& call : intake_.calls()) {
    if (call.task.get() != task) continue;
    const PyRef result = outcome_of(task);
    return reply(call, result, false);
  }
}

// --- threads ---

void Concurrent::give_to_thread(Call& call) {
  if (free_threads_ > 0) {
    --free_threads_;
  } else if (!start_thread()) {
    return reply(call, {}, false);
  }
  {
    const std::lock_guard lock(mutex_);
    queue_.push_back(&call);
  }
  queued_.notify_one();
}

// A thread of Python's own, so that user code sees it in `threading`. False with an exception set.
bool Concurrent::start_thread() {
  const PyRef module = PyRef::steal(PyImport_ImportModule("threading"));
  const PyRef type =
      module ? PyRef::steal(PyObject_GetAttrString(module.get(), "Thread")) : PyRef();
  const PyRef target = function(serve_thread_method);
  const PyRef arguments = PyRef::steal(PyTuple_New(0));
  const PyRef keywords = PyRef::steal(
      Py_BuildValue("{sOsNsO}", "target", target.get(), "name",
                    PyUnicode_FromFormat("pyhost-call-%d", threads_), "daemon", Py_True));
  if (!type || !target || !arguments || !keywords) return false;
  const PyRef thread = PyRef::steal(PyObject_Call(type.get(), arguments.get(), keywords.get()));
  if (!thread || !PyRef::steal(PyObject_CallMethod(thread.get(), "start", nullptr))) return false;
  ++threads_;
  return true;
}

void Concurrent::serve_thread() {
  for (;;) {
    Call* call = nullptr;
    {
      const python::WithoutGil without_gil;
      std::unique_lock lock(mutex_);
      queued_.wait(lock, [&] { return !queue_.empty(); });
      call = queue_.front();
      queue_.pop_front();
    }
    while (call != nullptr) {
      run_in_thread(*call);
      call = intake_.take(Intake::Taker::thread);
    }
    ++free_threads_;
    stay_awake();
  }
}

// A slot is free: the main thread, if it sleeps, must hear of the next record.
void Concurrent::stay_awake() {
  if (!asleep_) return;
  if (intake_.has_record() || intake_.is_over() || !to_adopt_.empty()) {
    waiter_.ring();
  } else {
    waiter_.arm(wire_.position());
  }
}

void Concurrent::run_in_thread(Call& call) {
  const PyRef context = PyRef::steal(PyContext_Copy(context_.get()));
  PyRef result;
  bool crossing = false;
  if (context && PyContext_Enter(context.get()) == 0) {
    call.thread = PyThread_get_thread_ident();
    call.place = Place::thread;
    if (call.interrupted) {
      PyErr_SetNone(task_interrupted());
    } else {
      const RunsHere here(call.record->incoming, call.reply.item);
      result = call_function(call, crossing);
    }
    call.place = Place::ended;
    // An interrupt that found no bytecode to be raised at must not hit the next call.
    if (call.interrupted) PyThreadState_SetAsyncExc(call.thread, nullptr);
    const PyRef failure = python::take_exception();
    PyContext_Exit(context.get());
    if (failure) python::set_exception(PyRef::borrow(failure.get()));
  }
  leave_if_forked();
  if (result && is_awaitable(result.get())) {
    call.place = Place::queue;
    to_adopt_.emplace_back(&call, std::move(result));
    return;
  }
  reply(call, result, crossing);
}

// --- both ---

PyRef Concurrent::call_function(Call& call, bool& crossing) {
  const wire::Envelope& envelope = call.record->incoming.envelope;
  const PyRef function = intake_.function_of(call);
  if (!function) return {};
  if (python::is_numbers(envelope.codec)) {
    const PyRef number =
        python::number_at(envelope.codec, call.record->incoming.payload, call.reply.item);
    return number ? PyRef::steal(PyObject_CallOneArg(function.get(), number.get())) : PyRef();
  }
  python::Arguments arguments;
  crossing = true;
  if (!python::decode_arguments(envelope.codec, envelope.style, call.item,
                                {.owner = call.owner.get(), .copied = own_arrays_, .frozen = true},
                                arguments)) {
    if (strict_ && !interrupted()) end_on_arguments();
    return {};
  }
  InContext context;
  if (arguments.context) {
    call.context = load_context(arguments.context.get());
    if (!call.context || !context.enter(PyRef::borrow(call.context.get()))) return {};
  }
  crossing = false;
  return PyRef::steal(PyObject_Call(function.get(), arguments.args.get(), arguments.kwargs.get()));
}

// Sends the outcome, `result` or the pending exception, and ends the call.
void Concurrent::reply(Call& call, const PyRef& result, bool crossing) {
  call.place = Place::ended;
  python::Encoded encoded;
  bool ok = static_cast<bool>(result);
  if (ok && !encoded.encode_result(call.reply.codec, result.get())) {
    ok = false;
    crossing = true;
  }
  wire::Outgoing reply = call.reply;
  if (call.owner && keep_if_referenced(call.owner.get())) reply.flags |= wire::kKeeps;
  if (take_printed()) {
    reply.flags |= wire::kPrinted;
    const python::ExceptionAside aside;
    flush_streams();
    take_printed();
  }
  reply.peak_kib = peak_kib();
  if (ok) {
    outbox_.send(reply, encoded.parts());
  } else {
    outbox_.send_exception(reply, crossing);
  }
  intake_.end(call);
}

// The stacks of calls: all of them, or those in threads that were asked to stop.
std::string Concurrent::where(bool all) {
  const PyRef threads = PyRef::steal(PyList_New(0));
  const PyRef tasks = PyRef::steal(PyList_New(0));
  for (Call& call : intake_.calls()) {
    if (!threads || !tasks || !(all || call.interrupted)) continue;
    if (call.place == Place::thread) {
      const PyRef number = PyRef::steal(PyLong_FromUnsignedLong(call.thread));
      if (number) PyList_Append(threads.get(), number.get());
    } else if (call.place == Place::coroutine && all) {
      PyList_Append(tasks.get(), call.task.get());
    }
  }
  PyErr_Clear();
  return threads && tasks ? stacks_of(threads.get(), tasks.get()) : "";
}

// In Python's place for signal handlers. False with an exception set, to be raised where the main
// thread is.
bool Concurrent::on_signal() {
  std::vector<PyRef> tasks;
  bool any = false;
  bool threads = false;
  for (Call& call : intake_.calls()) {
    if (call.interrupted || call.place == Place::ended) continue;
    if (!wire::WorkerEnd::interrupted(call.record->incoming, call.reply.item)) continue;
    any = call.interrupted = true;
    if (call.place == Place::coroutine) tasks.push_back(PyRef::borrow(call.task.get()));
    if (call.place == Place::thread) {
      threads = true;
      PyThreadState_SetAsyncExc(call.thread, task_interrupted());
    }
  }
  bool raise = false;
  for (const PyRef& task : tasks) {
    const PyRef cancelled =
        PyRef::steal(PyObject_CallMethod(coroutines_module(), "cancel", "O", task.get()));
    PyErr_Clear();
    if (cancelled.get() == Py_False) raise = true;
  }
  // Where a coroutine waited is in the traceback it is cancelled with.
  if (take_question() && (threads || raise || !any)) answer_question(where(!any || raise));
  if (raise) PyErr_SetString(task_interrupted(), kInterruptMessage);
  return !raise;
}

}  // namespace

void run_concurrently(wire::WorkerEnd wire, const Loaded& loaded,
                      const process::WorkerSettings& settings) {
  std::make_unique<Concurrent>(std::move(wire), loaded, settings).release()->run();
}

}  // namespace pyhost::worker
