#include <cli/adopt.h>
#include <cli/spelling.h>
#include <cli/text.h>
#include <pyhost/error.h>

#include <algorithm>

namespace pyhost::cli {
namespace {

const std::vector<std::string> kAdopted = {"futures", "multiprocessing", "joblib"};
const std::string kAllowed = "all, none, or some of futures, multiprocessing, joblib";

bool among(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

Error refused(const std::string& value, const std::string& problem) {
  return {Code::startup, "`--adopt " + value + "` " + problem};
}

}  // namespace

Result<std::vector<std::string>> parse_adopt(const std::vector<std::string>& lists) {
  const std::vector<std::string> given = split_lists(lists);
  if (given.empty() && !lists.empty()) {
    return refused(lists.back(), "names nothing; write " + kAllowed);
  }
  std::vector<std::string> known = kAdopted;
  known.insert(known.end(), {"all", "none"});
  for (const std::string& name : given) {
    if (!among(known, name)) {
      return refused(name, "is not one of " + kAllowed + suggestion(name, known));
    }
  }
  if (among(given, "none")) {
    if (given.size() == 1) return std::vector<std::string>();
    return refused(lists.back(), "says none and more; write " + kAllowed);
  }
  std::vector<std::string> adopted;
  for (const std::string& name : kAdopted) {
    if (among(given, name) || among(given, "all")) adopted.push_back(name);
  }
  return adopted;
}

}  // namespace pyhost::cli
