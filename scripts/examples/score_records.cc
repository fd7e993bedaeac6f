// score_records.cc: scores records with a Python function, `score` of scorer.py.
//
// Usage: score_records SCORER.py < records.jsonl      one JSON object per line; prints name and
// score
#include <pyhost/pyhost.h>

#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: score_records SCORER.py < records.jsonl\n";
    return 2;
  }
  std::vector<nlohmann::json> records;
  for (std::string line; std::getline(std::cin, line);) {
    records.push_back(nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false));
    if (records.back().is_discarded()) {
      std::cerr << "line " << records.size() << " is not JSON\n";
      return 1;
    }
  }

  auto pool = pyhost::Pool::start({.script = argv[1], .workers = 2});
  if (!pool.ok()) {
    std::cerr << pool.error().what() << "\n";
    return 1;
  }
  std::size_t i = 0;
  for (pyhost::Result<double>& result : pool.value().map<double>("score", records)) {
    const std::string name = records[i++].value("name", "?");
    // A record that cannot be scored is one failed result; the others are not affected.
    std::cout << name << ": " << (result.ok() ? std::to_string(*result) : result.error().what())
              << "\n";
  }
}
