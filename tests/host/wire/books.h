// books.h: a pool in miniature: posts tasks to one wire, takes them back, and accounts for each.
#pragma once

#include <algorithm>
#include <deque>
#include <map>
#include <random>

#include <gtest/gtest.h>

#include <wire/host_end.h>
#include "host/wire/peer.h"

namespace pyhost::wire::test {

enum class Fate : std::uint8_t { none, queued, posted, replied, lost };

// What the host believes of every task, over the lives of many workers.
struct Books {
  explicit Books(std::size_t tasks) : fates(tasks, Fate::none) {}

  std::vector<Fate> fates;
  std::deque<std::uint32_t> queue;
  std::uint32_t next_task = 0;
  std::uint64_t stops = 0;    // items that a `stopped` brought back
  std::uint64_t revoked = 0;  // items that a shrink brought back at once

  void set(std::uint32_t task, Fate from, Fate to) {
    ASSERT_EQ(fates[task], from) << "task " << task;
    fates[task] = to;
    if (to == Fate::queued) queue.push_front(task);
  }
  void fill(std::size_t wanted) {
    while (queue.size() < wanted && next_task < fates.size()) {
      set(next_task, Fate::none, Fate::queued);
      ++next_task;
    }
  }
};

// The host's side of one worker's life.
class Life {
 public:
  Life(HostEnd& host, Books& books, std::mt19937& random)
      : host_(host), books_(books), random_(random) {}

  std::size_t batches() const { return batches_.size(); }
  std::uint64_t replies() const { return replies_; }

  // Posts one batch of up to `most` tasks; false when there is no room.
  bool post(std::uint32_t most, bool deadly) {
    Open open;
    std::string payload;
    const std::uint32_t count = std::min<std::uint32_t>(pick(1, most), books_.queue.size());
    const std::uint32_t skipped = pick(0, 9) == 0 ? pick(1, 3) : 0;  // items of an earlier life
    for (std::uint32_t i = 0; i < skipped; ++i) payload += item_of(Task{}, 5);
    for (std::uint32_t i = 0; i < count; ++i) {
      Task task;
      task.id = books_.queue[i];
      task.reply_bytes = pick(0, 30) == 0 ? pick(1000, 60'000) : pick(0, 100);
      task.work_ns = pick(0, 4) == 0 ? pick(0, 20'000) : 0;
      task.dies = deadly && pick(0, 99) == 0 ? pick(1, 2) : 0;
      payload += item_of(task, pick(0, 60) == 0 ? pick(500, 60'000) : pick(0, 60));
      open.tasks.push_back(task.id);
    }
    Call call;
    call.first = skipped;
    call.end = skipped + count;
    call.payload = std::as_bytes(std::span(payload));
    auto posted = host_.post(call).value_or_throw();
    if (!posted) return false;
    open.posted = *posted;
    open.settled.resize(count);
    for (std::uint32_t i = 0; i < count; ++i) {
      books_.queue.pop_front();
      books_.set(open.tasks[i], Fate::queued, Fate::posted);
    }
    batches_.emplace(posted->batch, std::move(open));
    return true;
  }

  void shrink_one() {
    if (batches_.empty()) return;
    auto place = batches_.begin();
    std::advance(place, pick(0, static_cast<std::uint32_t>(batches_.size()) - 1));
    Open& open = place->second;
    std::uint32_t wanted = pick(open.posted.first, open.posted.end);
    // Half of the time, where the worker is just now.
    const Claim claim = host_.claim();
    if (claim.batch == place->first && pick(0, 1) == 0) {
      wanted = std::clamp(claim.items, open.posted.first, open.posted.end);
    }
    const std::uint32_t before = open.posted.end;
    const std::uint32_t certain = host_.shrink(open.posted, wanted);
    ASSERT_GE(certain, wanted);
    ASSERT_LE(certain, before);
    for (std::uint32_t item = certain; item < before; ++item) {
      if (settle(open, item, Fate::queued)) ++books_.revoked;
    }
    finish_if_done(place);
  }

  // What is open, for a failure that has to be understood.
  std::string described() const {
    const Claim claim = host_.claim();
    std::string text = "claimed: " + std::to_string(claim.items) + " items of batch " +
                       std::to_string(claim.batch) +
                       (host_.replies_waiting() ? "; replies wait" : "; no reply waits");
    for (const auto& [batch, open] : batches_) {
      text += "\nbatch " + std::to_string(batch) + " from " + std::to_string(open.posted.first) +
              " to " + std::to_string(open.posted.end) + ", settled ";
      for (const bool settled : open.settled) text += settled ? '1' : '0';
    }
    return text;
  }

  // Takes every reply there is.
  void drain() {
    for (;;) {
      auto next = host_.next_reply();
      ASSERT_TRUE(next.ok()) << next.error().message;
      if (!*next) return;
      take(**next);
    }
  }

  // The worker is dead and drained: what it had not claimed goes back in the queue.
  void bury() {
    const Claim claim = host_.claim();
    for (auto& [batch, open] : batches_) {
      const auto ahead = static_cast<std::int32_t>(claim.batch - batch);
      const std::uint32_t last = open.posted.end;
      std::uint32_t claimed = ahead > 0 ? last : open.posted.first;
      if (ahead == 0) claimed = std::min(claim.items, last);
      for (std::uint32_t item = open.posted.first; item < last; ++item) {
        if (open.settled[item - open.posted.first]) continue;
        const bool doubtful = item < claimed;
        ASSERT_TRUE(!doubtful || (ahead == 0 && item + 1 == claimed))
            << "item " << item << " of batch " << batch << " was claimed, passed, and not replied";
        settle(open, item, doubtful ? Fate::lost : Fate::queued);
      }
    }
    batches_.clear();
  }

  std::uint32_t pick(std::uint32_t least, std::uint32_t most) {
    return std::uniform_int_distribution<std::uint32_t>(least, most)(random_);
  }

 private:
  struct Open {
    Posted posted;
    std::vector<std::uint32_t> tasks;
    std::vector<bool> settled;
    std::uint32_t settled_count = 0;
  };
  using Batches = std::map<std::uint32_t, Open>;

  bool settle(Open& open, std::uint32_t item, Fate fate) {
    const std::uint32_t index = item - open.posted.first;
    if (open.settled[index]) return false;
    open.settled[index] = true;
    ++open.settled_count;
    books_.set(open.tasks[index], Fate::posted, fate);
    return true;
  }

  void finish_if_done(Batches::iterator place) {
    if (place->second.settled_count < place->second.tasks.size()) return;
    host_.finish(place->second.posted);
    batches_.erase(place);
  }

  void take(const Reply& reply) {
    const auto place = batches_.find(reply.batch);
    ASSERT_NE(place, batches_.end()) << "batch " << reply.batch << " is finished";
    Open& open = place->second;
    const std::uint32_t index = reply.item - open.posted.first;
    ASSERT_LT(index, open.tasks.size());
    ASSERT_FALSE(open.settled[index]) << "second outcome of item " << reply.item;
    if (reply.kind == Kind::stopped) {
      ++books_.stops;
      settle(open, reply.item, Fate::queued);
    } else {
      ASSERT_EQ(reply.kind, Kind::reply);
      ++replies_;
      check(reply, open.tasks[index]);
      settle(open, reply.item, Fate::replied);
    }
    finish_if_done(place);
  }

  static void check(const Reply& reply, std::uint32_t expected) {
    Task task;
    ASSERT_GE(reply.payload.size(), sizeof task);
    std::memcpy(&task, reply.payload.data(), sizeof task);
    ASSERT_EQ(task.id, expected);
    ASSERT_EQ(reply.payload.size(), sizeof task + task.reply_bytes);
    const char filler = static_cast<char>('a' + task.id % 26);
    ASSERT_EQ(reply.payload.find_first_not_of(filler, sizeof task), std::string::npos);
  }

  HostEnd& host_;
  Books& books_;
  std::mt19937& random_;
  Batches batches_;
  std::uint64_t replies_ = 0;
};

}  // namespace pyhost::wire::test
