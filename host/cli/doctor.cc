// doctor.cc: gathers the rows and prints them.
#include <cli/command_line.h>
#include <cli/doctor.h>
#include <cli/exit_code.h>
#include <cli/failure.h>
#include <cli/help.h>
#include <cli/machine_rows.h>
#include <cli/output.h>
#include <cli/python_rows.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace pyhost::cli {
namespace {

constexpr int kCannotRun = 1;

std::string state_name(Row::State state) {
  switch (state) {
    case Row::State::ok:
      return "ok";
    case Row::State::note:
      return "note";
    case Row::State::missing:
      return "missing";
  }
  return "";
}

void append(std::vector<Row>& rows, std::vector<Row> more) {
  std::move(more.begin(), more.end(), std::back_inserter(rows));
}

// The interpreter a pool would take, in every image it has.
void try_out(const process::Python& python, std::vector<Row>& rows) {
  for (const process::Image image : {process::Image::executable, process::Image::libpython}) {
    if (process::choose_image(python, image)) rows.push_back(self_test(python, image));
  }
}

std::vector<Row> examine(const std::string& which) {
  std::vector<Row> rows;
  const Result<process::Python> chosen = process::find_python(which);
  if (chosen) {
    append(rows, python_rows(*chosen));
  } else {
    rows.push_back(
        {"python", Row::State::missing, headline(chosen.error()), details(chosen.error())});
  }
  if (which.empty()) {
    for (const process::Python& python : process::known_pythons()) {
      if (!chosen || python.executable != chosen->executable) append(rows, python_rows(python));
    }
  }
  append(rows, cpu_rows());
  append(rows, memory_rows());
  append(rows, kernel_rows());
  append(rows, limit_rows());
  if (chosen && process::find_runtime_files(*chosen)) {
    try_out(*chosen, rows);
  } else {
    rows.push_back({"self-test", Row::State::missing, "no interpreter with a core to try",
                    "name one with --python, or build a core for it"});
  }
  return rows;
}

}  // namespace

std::string rows_as_text(std::span<const Row> rows) {
  std::string text;
  std::string area;
  for (const Row& row : rows) {
    if (row.area != area) text += (area.empty() ? "" : "\n") + row.area + "\n";
    area = row.area;
    std::string state = state_name(row.state);
    state.resize(8, ' ');
    text += "  " + state + " " + row.what + "\n";
    if (!row.remedy.empty()) text += "           -> " + row.remedy + "\n";
  }
  return text;
}

std::string rows_as_json(std::span<const Row> rows) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const Row& row : rows) {
    const std::size_t start = row.what.find_first_not_of(' ');
    list.push_back({{"area", row.area},
                    {"state", state_name(row.state)},
                    {"what", start == std::string::npos ? "" : row.what.substr(start)},
                    {"remedy", row.remedy}});
  }
  return list.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

int run_doctor(std::span<const std::string> words) {
  Messages messages;
  Result<CommandLine> line = parse_command_line(Command::doctor, words);
  if (!line) return usage_error(messages, line.error(), "doctor");
  if (line->options.has("help")) return print_topic("doctor");
  if (!line->positionals.empty()) {
    return usage_error(
        messages, {Code::startup, "`pyhost doctor` takes no `" + line->positionals.front() + "`"},
        "doctor");
  }
  const std::vector<Row> rows = examine(line->options.get("python").value_or(""));
  const std::string report = line->options.has("json") ? rows_as_json(rows) : rows_as_text(rows);
  if (const int status = write_out(report, messages); status != kSuccess) return status;
  const bool runs = std::any_of(rows.begin(), rows.end(), [](const Row& row) {
    return row.area == "self-test" && row.state == Row::State::ok;
  });
  return runs ? kSuccess : kCannotRun;
}

}  // namespace pyhost::cli
