// parent_of.h: how tests find the processes between a worker and the host.
#pragma once

#include <sys/types.h>

#include <fstream>
#include <sstream>
#include <string>

namespace pyhost::tests {

// The parent of a process, from /proc; -1 when there is no such process.
inline pid_t parent_of(pid_t pid) {
  std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
  std::string text;
  std::getline(stat, text);
  const std::size_t after_name = text.rfind(')');
  if (after_name == std::string::npos) return -1;
  std::istringstream rest(text.substr(after_name + 1));
  char state = 0;
  pid_t parent = -1;
  rest >> state >> parent;
  return rest ? parent : -1;
}

}  // namespace pyhost::tests
