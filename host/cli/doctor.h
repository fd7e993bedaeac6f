// doctor.h: `pyhost doctor`: what is there, what is missing, what to do.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace pyhost::cli {

// One line of the report.
struct Row {
  enum class State : std::uint8_t { ok, note, missing };
  std::string area;  // "python", "cpus", "kernel", "limits", "self-test"
  State state = State::ok;
  std::string what;
  std::string remedy;  // what to do; empty when nothing has to be done
};

std::string rows_as_text(std::span<const Row> rows);
std::string rows_as_json(std::span<const Row> rows);  // an array of objects, one per row

// Returns the exit status: 0 when a pool can run, else 1.
int run_doctor(std::span<const std::string> words);

}  // namespace pyhost::cli
