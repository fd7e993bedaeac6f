// command_line_test.cc: options in any order, and what is said about wrong ones.
#include <cli/command_line.h>
#include <cli/pool_settings.h>
#include <cli/spelling.h>

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

using namespace pyhost::cli;

namespace {

using Strings = std::vector<std::string>;

CommandLine parsed(Command command, const Strings& words) {
  return parse_command_line(command, words).value();
}

std::string refusal(Command command, const Strings& words) {
  const auto line = parse_command_line(command, words);
  return line.ok() ? "" : line.error().message;
}

}  // namespace

TEST(CommandLine, TakesOptionsAnywhereAndInEveryNotation) {
  for (const Strings& words :
       {Strings{"-j", "4", "t", "in"}, Strings{"t", "-j4", "in"}, Strings{"t", "in", "--workers=4"},
        Strings{"t", "--workers", "4", "in"}, Strings{"t", "in", "-j=4"}}) {
    const CommandLine line = parsed(Command::map, words);

    EXPECT_EQ(line.options.get("workers"), "4");
    EXPECT_EQ(line.positionals, Strings({"t", "in"}));
  }
}

TEST(CommandLine, TakesFlagsTogether) {
  const CommandLine line = parsed(Command::map, {"-rR0j2", "t"});

  EXPECT_TRUE(line.options.has("raw-input"));
  EXPECT_TRUE(line.options.has("raw-output"));
  EXPECT_TRUE(line.options.has("null"));
  EXPECT_EQ(line.options.get("workers"), "2");
}

TEST(CommandLine, TheLastOfRepeatedOptionsCounts) {
  EXPECT_EQ(parsed(Command::map, {"-j2", "--workers", "-1"}).options.get("workers"), "-1");
}

TEST(CommandLine, NegativeNumbersAndDashesArePositionals) {
  EXPECT_EQ(parsed(Command::call, {"t", "-5", "-"}).positionals, Strings({"t", "-5", "-"}));
  EXPECT_EQ(parsed(Command::map, {"t", "--", "--records"}).positionals,
            Strings({"t", "--records"}));
}

TEST(CommandLine, AnUnknownOptionIsNamedWithTheClosestOne) {
  EXPECT_EQ(refusal(Command::map, {"--worker", "4"}),
            "unknown option `--worker`; did you mean `--workers`?");
  EXPECT_EQ(refusal(Command::map, {"--recrods"}),
            "unknown option `--recrods`; did you mean `--records`?");
  EXPECT_EQ(refusal(Command::map, {"--zzz"}), "unknown option `--zzz`");
  EXPECT_EQ(refusal(Command::map, {"-z"}), "unknown option `-z`");
}

TEST(CommandLine, AnOptionOfAnotherCommandIsSaidToBelongThere) {
  EXPECT_EQ(refusal(Command::call, {"--unordered"}),
            "option `--unordered` belongs to `pyhost map`, not to `pyhost call`");
}

TEST(CommandLine, AMissingOrNeedlessValueIsRefused) {
  EXPECT_EQ(refusal(Command::map, {"--workers"}),
            "option `--workers` needs a value: `--workers N`");
  EXPECT_EQ(refusal(Command::map, {"-j"}), "option `-j` needs a value: `-j N`");
  EXPECT_EQ(refusal(Command::map, {"--records=yes"}),
            "option `--records` takes no value, got `yes`");
}

TEST(PoolOptions, AreFilledFromTheOptions) {
  const CommandLine line =
      parsed(Command::map, {"--image", "executable", "--preload", "json,re", "--preload", "ast",
                            "--timeout", "500ms", "-j3", "--python", "3.11"});

  const pyhost::PoolOptions pool = pool_options(line.options, {"a.py", "", "f"}).value();

  EXPECT_EQ(pool.script, "a.py");
  EXPECT_EQ(pool.image, "executable");
  EXPECT_EQ(pool.preload, Strings({"json", "re", "ast"}));
  EXPECT_EQ(pool.timeout, std::chrono::milliseconds(500));
  EXPECT_EQ(pool.workers, 3);
  EXPECT_EQ(pool.python, "3.11");
}

TEST(PoolOptions, RefuseForkBecauseThereIsNoScriptToCopy) {
  const CommandLine line = parsed(Command::map, {"--start", "fork"});

  const auto pool = pool_options(line.options, {});

  ASSERT_FALSE(pool.ok());
  EXPECT_NE(pool.error().message.find("pyhost run"), std::string::npos);
  EXPECT_TRUE(pool_defaults_json(line.options).ok());
}

TEST(PoolOptions, WrongChoicesAreShownWithTheClosest) {
  const CommandLine line = parsed(Command::map, {"--image", "libpyton"});

  const auto pool = pool_options(line.options, {});

  ASSERT_FALSE(pool.ok());
  EXPECT_EQ(
      pool.error().message,
      "`--image libpyton` is not one of auto, libpython, executable; did you mean `libpython`?");
}

TEST(PoolDefaults, AreJsonForThePackage) {
  const CommandLine line = parsed(Command::run, {"-j4", "--timeout", "1.5"});

  const auto defaults = nlohmann::json::parse(pool_defaults_json(line.options).value());

  EXPECT_EQ(defaults["workers"], 4);
  EXPECT_EQ(defaults["timeout"], 1.5);
  EXPECT_TRUE(defaults["start"].is_null());
}

TEST(PoolDefaults, SayWhoseAreAdoptedOnlyWhenThatWasGiven) {
  const auto defaults = [](const Strings& words) {
    return nlohmann::json::parse(pool_defaults_json(parsed(Command::run, words).options).value());
  };

  EXPECT_FALSE(defaults({}).contains("adopt"));
  EXPECT_FALSE(defaults({}).contains("verbose"));
  EXPECT_EQ(defaults({"--adopt", "none", "-v"})["adopt"], nlohmann::json::array());
  EXPECT_EQ(defaults({"--verbose"})["verbose"], true);
}

TEST(Spelling, ShowsNothingThatIsNotClose) {
  const Strings names = {"map", "call", "run", "doctor", "help"};

  EXPECT_EQ(closest("docter", names), "doctor");
  EXPECT_EQ(closest("mpa", names), "map");
  EXPECT_EQ(closest("hel", names), "help");
  EXPECT_EQ(closest("sandbox", names), "");
  EXPECT_EQ(closest("", names), "");
}
