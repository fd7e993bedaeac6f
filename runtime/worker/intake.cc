#include <worker/intake.h>

#include <iterator>

#include <python/packed.h>
#include <wire/frames.h>
#include <worker/block_owner.h>
#include <worker/coroutines.h>
#include <worker/items.h>

namespace pyhost::worker {

using python::PyRef;

Call* Intake::take(Taker taker) {
  // While the main thread runs a definition, which may give the GIL away, the rest waits for it.
  if (busy_) return nullptr;
  while (has_room() && open_record(taker)) {
    if (Call* call = claim_next()) return call;
  }
  return nullptr;
}

// Makes `open_` a batch with an item left. False: there is none for this taker.
bool Intake::open_record(Taker taker) {
  for (;;) {
    if (retired_) return false;
    if (!open_) open_ = wire_.next();
    if (!open_) return false;
    if (open_->envelope.kind == wire::Kind::call) {
      if (!begun_) {
        return begin_batch(taker);
      }
      return taker == Taker::main || !open_is_coroutine_;
    }
    if (taker != Taker::main) return false;
    if (open_->envelope.kind == wire::Kind::define) {
      busy_ = true;
      functions_.define(open_->envelope.function, open_->envelope.codec, open_->payload);
      busy_ = false;
    }
    retired_ = open_->envelope.kind == wire::Kind::retire;
    records_.push_back({.incoming = *open_});
    close_record();
  }
}

bool Intake::begin_batch(Taker taker) {
  const auto coroutine = is_coroutine(open_->envelope.function, taker);
  if (!coroutine || (*coroutine && taker != Taker::main)) return false;
  open_is_coroutine_ = *coroutine;
  index_ = 0;
  rest_ = open_->payload;
  records_.push_back({.incoming = *open_});
  begun_ = true;
  return true;
}

// Nothing: not known yet, and finding out is for the main thread.
std::optional<bool> Intake::is_coroutine(std::uint32_t function, Taker taker) {
  const auto known = coroutines_.find(function);
  if (known != coroutines_.end()) return known->second;
  if (taker != Taker::main) return std::nullopt;
  busy_ = true;
  const PyRef callable = functions_.get(function);
  PyErr_Clear();  // the call reports it
  PyObject* module = callable ? coroutines_module() : nullptr;
  const PyRef answer =
      module != nullptr
          ? PyRef::steal(PyObject_CallMethod(module, "is_coroutine_function", "O", callable.get()))
          : PyRef();
  PyErr_Clear();
  busy_ = false;
  return coroutines_[function] = answer.get() == Py_True;
}

// The next item of the open batch, claimed. Null: it has no more, or they were revoked.
Call* Intake::claim_next() {
  const wire::Envelope& envelope = open_->envelope;
  const bool numbers = python::is_numbers(envelope.codec);
  std::optional<std::span<const std::byte>> item;
  for (;;) {
    if (index_ < envelope.end && !numbers) item = wire::take_frame(rest_);
    if (index_ >= envelope.first) break;
    ++index_;
  }
  if (index_ >= envelope.end || !wire_.claim(*open_, index_)) {
    close_record();
    return nullptr;
  }
  Record& record = records_.back();
  Call& call = calls_.emplace_back();
  call.self = std::prev(calls_.end());
  call.record = &record;
  call.item = item.value_or(std::span<const std::byte>());
  call.reply = {.codec = envelope.result_codec,
                .batch = envelope.batch,
                .item = index_,
                .claimed_ns = wire_.claimed_ns()};
  call.is_coroutine = open_is_coroutine_;
  if ((envelope.flags & wire::kInBlock) != 0 && has_buffers(envelope.codec, call.item)) {
    call.owner = make_block_owner(envelope.block);
    PyErr_Clear();  // without an owner buffers are copied, which is as good
  }
  ++record.running;
  ++index_;
  if (index_ >= envelope.end) close_record();
  outbox_.send({.kind = wire::Kind::started,
                .batch = call.reply.batch,
                .item = call.reply.item,
                .claimed_ns = call.reply.claimed_ns});
  return &call;
}

void Intake::close_record() {
  records_.back().taken = true;
  open_.reset();
  begun_ = false;
  pass_records();
}

void Intake::end(Call& call) {
  // Taken out before it is destroyed: what it refers to may run Python code when it goes.
  std::list<Call> gone;
  gone.splice(gone.end(), calls_, call.self);
  --call.record->running;
  pass_records();
}

PyRef Intake::function_of(const Call& call) const {
  return functions_.get(call.record->incoming.envelope.function);
}

void Intake::pass_records() {
  while (!records_.empty() && records_.front().taken && records_.front().running == 0) {
    wire_.passed(records_.front().incoming);
    records_.pop_front();
  }
}

}  // namespace pyhost::worker
