// python_cache.h: remembers what interpreters answered, so that only the first start pays for it.
#pragma once

#include <process/probe.h>
#include <sys/stat.h>

#include <optional>
#include <string>

namespace pyhost::process {

// The answer remembered for the file at `path`, if it is still the file that gave it. A missing
// or damaged cache remembers nothing.
std::optional<Answer> remembered_answer(const std::string& path, const struct stat& file);

// Remembers an answer. Best effort: a cache that cannot be written costs time and no more.
void remember_answer(const std::string& path, const struct stat& file, const Answer& answer);

}  // namespace pyhost::process
