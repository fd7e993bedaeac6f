// run_test.cc: taking `pyhost run` apart, and the command that replaces it.
#include <cli/run.h>

#include <gtest/gtest.h>

#include <string>
#include <vector>

using namespace pyhost::cli;
namespace process = pyhost::process;

namespace {

using Strings = std::vector<std::string>;

RunLine parsed(const Strings& words) {
  return parse_run_line(words).value();
}

std::string refusal(const Strings& words) {
  const auto line = parse_run_line(words);
  return line.ok() ? "" : line.error().message;
}

process::Python a_python() {
  process::Python python;
  python.executable = "/usr/bin/python3";
  python.libpython = "/lib/libpython.so";
  return python;
}

const process::RuntimeFiles kFiles = {"/l/worker", "/l/core.so", "/l/python"};

}  // namespace

TEST(RunLine, TakesOptionsBeforeAndAfterTheScript) {
  for (const Strings& words : {Strings{"-j", "4", "s.py", "--", "-x", "a"},
                               Strings{"s.py", "--workers", "4", "--", "-x", "a"}}) {
    const RunLine line = parsed(words);

    EXPECT_EQ(line.mode, RunMode::file);
    EXPECT_EQ(line.target, "s.py");
    EXPECT_EQ(line.options.get("workers"), "4");
    EXPECT_EQ(line.arguments, Strings({"-x", "a"}));
  }
}

TEST(RunLine, PassesEverythingBehindTheDashesToTheScript) {
  EXPECT_EQ(parsed({"s.py", "--", "--", "--workers", "-"}).arguments,
            Strings({"--", "--workers", "-"}));
}

TEST(RunLine, TakesPythonsFlagsInPythonsNotations) {
  const RunLine line = parsed({"-BOO", "-Xdev", "-W", "error", "-uX", "utf8", "s.py"});

  EXPECT_EQ(line.python_flags,
            Strings({"-B", "-O", "-O", "-X", "dev", "-W", "error", "-u", "-X", "utf8"}));
  EXPECT_EQ(line.target, "s.py");
}

TEST(RunLine, APromptNeedsNoScript) {
  EXPECT_EQ(parsed({"-qi"}).target, "-");
  EXPECT_EQ(parsed({"-i", "s.py"}).target, "s.py");
}

TEST(RunLine, TakesModulesAndCode) {
  EXPECT_EQ(parsed({"-m", "pkg.tool", "-j2"}).mode, RunMode::module);
  EXPECT_EQ(parsed({"-Bmpkg.tool"}).target, "pkg.tool");
  EXPECT_EQ(parsed({"-c", "print(1)", "--", "x"}).mode, RunMode::command);
  EXPECT_EQ(parsed({"-c", "print(1)", "--", "x"}).arguments, Strings({"x"}));
  EXPECT_EQ(parsed({"-c", ""}).mode, RunMode::command);
}

TEST(RunLine, AnUnknownOptionPointsToTheDashes) {
  EXPECT_EQ(
      refusal({"s.py", "--worker", "4"}),
      "unknown option `--worker`; did you mean `--workers`? arguments for the script go after "
      "`--`");
  EXPECT_NE(refusal({"s.py", "-x"}).find("after `--`"), std::string::npos);
  EXPECT_NE(refusal({"s.py", "-O"}).find("before the script"), std::string::npos);
  EXPECT_NE(refusal({"s.py", "input.txt"}).find("`pyhost run s.py -- input.txt`"),
            std::string::npos);
  EXPECT_NE(refusal({"-k", "s.py"}).find("`-k`"), std::string::npos);
}

TEST(RunLine, NeedsSomethingToRun) {
  EXPECT_NE(refusal({}).find("needs a script"), std::string::npos);
  EXPECT_NE(refusal({"-m"}).find("needs a value"), std::string::npos);
  EXPECT_NE(refusal({"-B", "--"}).find("needs a script"), std::string::npos);
}

TEST(RunCommand, OfTheExecutableIsPythonWithTheBootLine) {
  const RunLine line = parsed({"-B", "-m", "tool", "--", "a"});

  const Strings command = run_command(line, a_python(), process::Image::executable, kFiles, "{}");

  ASSERT_EQ(command.size(), 11U);
  EXPECT_EQ(command[0], "/usr/bin/python3");
  EXPECT_EQ(command[1], "-B");
  EXPECT_EQ(command[2], "-c");
  EXPECT_EQ(Strings(command.begin() + 4, command.end()),
            Strings({"/l/core.so", "run", "/l/python", "{}", "module", "tool", "a"}));
}

TEST(RunCommand, OfLibpythonIsTheLauncherWithPythonsOwnArguments) {
  const RunLine line = parsed({"-X", "dev", "-c", "pass", "--", "a"});

  EXPECT_EQ(run_command(line, a_python(), process::Image::libpython, kFiles, "{}"),
            Strings({"/l/worker", "run", "/lib/libpython.so", "/l/core.so", "/l/python", "{}",
                     "/usr/bin/python3", "-X", "dev", "-c", "pass", "a"}));
}
