// map_loop.h: reads, submits, collects and prints, in one thread that never blocks but in poll(2).
#pragma once

#include <cli/bell.h>
#include <cli/chunk.h>
#include <cli/feed.h>
#include <cli/output.h>
#include <cli/session.h>
#include <cli/signals.h>
#include <cli/stacks.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>

namespace pyhost::cli {

struct MapSettings {
  wire::Style style = wire::Style::value;
  bool in_order = true;
  bool records = false;
  bool bare = false;  // strings without quotes
};

// One run of `pyhost map`.
//
// Threads: the main thread; results arrive through the chunks.
class MapLoop {
 public:
  MapLoop(Session& session, Feed& feed, Output& output, Messages& messages, const Signals& signals,
          const Bell& bell, Rest& rest, MapSettings settings);

  // Until everything is printed, the reader of stdout is gone, or a signal ends it. Returns the
  // exit status; `kReaderGone` when SIGPIPE is to end the process.
  int run();

 private:
  struct Open {  // a chunk that is not fully printed
    std::shared_ptr<Chunk> chunk;
    pool::Ticket ticket;
    std::size_t bytes = 0;
  };

  bool has_room() const;
  bool done() const;
  void read_some();
  void submit(Portion portion);
  void collect();
  void print(const Chunk& chunk, std::uint32_t item, pool::Outcome& outcome);
  void print_result(std::uint64_t seq, std::string_view json);
  void print_failure(const Chunk& chunk, std::uint32_t item, const Error& error);
  void look_at_signals();
  void look_at_start_up();
  void rest_until_something_happens();
  void stop_with(std::string message);
  int finish();

  Session& session_;
  Feed& feed_;
  Output& output_;
  Messages& messages_;
  const Signals& signals_;
  const Bell& bell_;
  Rest& rest_;
  const MapSettings settings_;
  Questions questions_;

  Portion portion_;  // being filled
  std::deque<Open> open_;
  std::size_t open_items_ = 0;
  std::size_t open_bytes_ = 0;
  std::uint64_t calls_ = 0;  // taken from the input
  std::uint64_t done_ = 0;   // finished by themselves, well or badly
  std::uint64_t failed_ = 0;
  std::uint64_t collected_at_ = 0;  // Rest::settled_count when last collected
  int signals_seen_ = 0;
  bool reading_ = true;
  bool dry_ = false;  // nothing to read when last tried
  bool start_seen_ = false;
  bool napped_ = false;  // the last rest ended without a ring
  bool killed_ = false;
  std::optional<std::string> fatal_;  // text for stderr: the host itself failed
};

}  // namespace pyhost::cli
