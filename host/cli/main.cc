// main.cc: the command `pyhost`.
#include <cli/commands.h>

#include <string>
#include <vector>

int main(int argc, char** argv) {
  return pyhost::cli::run_commands(
      std::vector<std::string>(argv + (argc > 0 ? 1 : 0), argv + argc));
}
