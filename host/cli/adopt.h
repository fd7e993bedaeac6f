// adopt.h: whose pools `pyhost run` re-routes.
#pragma once

#include <pyhost/result.h>

#include <string>
#include <vector>

namespace pyhost::cli {

// The names in all `lists` (values of --adopt), each once: futures, multiprocessing, joblib; `all`
// stands for the three, `none` for none of them. Error: another word, or `none` beside others.
Result<std::vector<std::string>> parse_adopt(const std::vector<std::string>& lists);

}  // namespace pyhost::cli
