// report_test.cc: what people and programs read: failures, help, doctor, single calls.
#include <cli/call.h>
#include <cli/doctor.h>
#include <cli/exit_code.h>
#include <cli/failure.h>
#include <cli/help.h>
#include <cli/stacks.h>

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

using namespace pyhost::cli;
using pyhost::Code;
using pyhost::Error;

TEST(Failure, HeadlineIsOneLineWithTheTypeOfTheException) {
  Error error(Code::python_error, "bad value\nand more");
  error.type = "ValueError";

  EXPECT_EQ(headline(error), "ValueError: bad value");
  EXPECT_EQ(details(error), "  and more\n");
  error.message.clear();
  EXPECT_EQ(headline(error), "ValueError");
}

TEST(Failure, DetailsAreTheIndentedTraceback) {
  Error error(Code::python_error, "no");
  error.traceback = "Traceback (most recent call last):\n  File \"a.py\"\nValueError: no\n";

  EXPECT_EQ(details(error),
            "  Traceback (most recent call last):\n    File \"a.py\"\n  ValueError: no\n");
}

TEST(Failure, DetailsDoNotRepeatTheHeadline) {
  Error error(Code::marshal, "no");
  error.type = "pyhost.MarshalError";
  error.traceback = "pyhost.MarshalError: no\n";

  EXPECT_EQ(details(error), "");
}

TEST(Failure, DetailsOfADeadWorkerSayWhyWhatItRanAndWhereItWas) {
  Error error(Code::worker_crashed, "worker 1 (pid 812) was killed by SIGSEGV after 4.26 s in `f`");
  error.likely_cause = "segmentation fault in `_image.so`";
  error.call = "f(\"a.png\")";
  error.seconds = 4.26;
  error.peak_memory = 536661196;
  error.attempts = 2;
  error.stack = "  File \"a.py\", line 3 in f\n";
  error.stderr_tail = "last words\n";

  EXPECT_EQ(details(error),
            "  likely cause: segmentation fault in `_image.so`\n"
            "  call: f(\"a.png\"); ran 4.2 s; its worker held at most 511.8 MiB; this was attempt "
            "2\n"
            "  where it was:\n"
            "      File \"a.py\", line 3 in f\n"
            "  the last lines it wrote to stderr:\n"
            "    last words\n");
}

TEST(Failure, DetailsOfACallThatWasStoppedShowItsTracebackInsteadOfTheStack) {
  Error error(Code::timeout, "the call of `f` exceeded its limit of 0.2 s");
  error.call = "f(1)";
  error.traceback = "Traceback (most recent call last):\npyhost.TaskInterrupted\n";
  error.stack = "Thread 1:\n";

  EXPECT_EQ(details(error),
            "  call: f(1)\n  Traceback (most recent call last):\n  pyhost.TaskInterrupted\n");
}

TEST(Failure, OfACallThatWasTriedAgainSaysSo) {
  Error error(Code::python_error, "no");
  error.type = "ValueError";
  error.attempts = 3;

  EXPECT_EQ(details(error), "  call: this was attempt 3\n");
  EXPECT_EQ(nlohmann::json::parse(error_json(error))["attempts"], 3);
}

TEST(Failure, AsJsonHasWhatTheBlockSays) {
  Error error(Code::worker_crashed, "gone");
  error.likely_cause = "os._exit(3)";
  error.call = "f(1)";
  error.seconds = 0.5;
  error.peak_memory = 1000;
  error.stack = "here";

  const auto json = nlohmann::json::parse(error_json(error));

  EXPECT_EQ(json["likely_cause"], "os._exit(3)");
  EXPECT_EQ(json["call"], "f(1)");
  EXPECT_EQ(json["seconds"], 0.5);
  EXPECT_EQ(json["peak_memory"], 1000);
  EXPECT_EQ(json["attempts"], 1);
  EXPECT_EQ(json["stack"], "here");
}

TEST(Failure, AsJsonLeavesOutWhatIsNotKnown) {
  Error error(Code::worker_crashed, "gone \xFF");
  error.signal = 9;
  error.worker = 2;
  error.cause = std::make_shared<Error>(Code::python_error, "root");

  const auto json = nlohmann::json::parse(error_json(error));

  EXPECT_EQ(json["kind"], "crashed");
  EXPECT_EQ(json["signal"], 9);
  EXPECT_EQ(json["worker"], 2);
  EXPECT_EQ(json["cause"]["message"], "root");
  EXPECT_FALSE(json.contains("exit_code"));
  EXPECT_FALSE(json.contains("traceback"));
}

TEST(Stacks, SayWhatEachWorkerRunsForHowLongAndWhere) {
  std::vector<pyhost::pool::WorkerStack> stacks(3);
  stacks[0] = {0, 812, "load(\"a.csv\")", 4.26, "  File \"a.py\", line 3 in load\n"};
  stacks[1] = {1, 813, "", 0, ""};
  stacks[2] = {2, 814, "load(1)", 0.5, ""};

  EXPECT_EQ(stacks_text(stacks),
            "3 workers\n"
            "worker 0 (pid 812): load(\"a.csv\"), for 4.2 s\n"
            "    File \"a.py\", line 3 in load\n"
            "worker 1 (pid 813): idle\n"
            "worker 2 (pid 814): load(1), for 500 ms\n"
            "  it does not say where it is: it may be stopped\n");
}

TEST(ExitCode, CountsFailedCallsUpToAHundred) {
  EXPECT_EQ(exit_code_for(0), 0);
  EXPECT_EQ(exit_code_for(1), 1);
  EXPECT_EQ(exit_code_for(100), 100);
  EXPECT_EQ(exit_code_for(101), 101);
  EXPECT_EQ(exit_code_for(1'000'000), 101);
}

TEST(CallItem, PassesEveryArgumentAsItIsWritten) {
  const std::vector<std::string> arguments = {"12345678901234567890123", "\"x\"", "[1, 2]"};

  EXPECT_EQ(call_item(arguments, R"({"k": 1.0})").value(),
            R"([[12345678901234567890123,"x",[1, 2]],{"k": 1.0}])");
  EXPECT_EQ(call_item({}, "").value(), "[[],{}]");
}

TEST(CallItem, ShowsHowToQuoteABareWord) {
  const std::vector<std::string> arguments = {"1", "word"};

  const auto item = call_item(arguments, "");

  ASSERT_FALSE(item.ok());
  EXPECT_NE(item.error().message.find("argument 2 `word`"), std::string::npos);
  EXPECT_NE(item.error().message.find("'\"word\"'"), std::string::npos);
}

TEST(CallItem, RefusesKeywordsThatAreNoObject) {
  for (const char* kwargs : {"[1]", "{", "word", " "}) EXPECT_FALSE(call_item({}, kwargs).ok());
}

TEST(Help, OverviewFitsAScreenAndTopicsItsWidth) {
  std::vector<std::string> pages = {std::string(overview())};
  for (const std::string& name : topic_names()) pages.emplace_back(topic(name));
  for (const std::string& page : pages) {
    std::istringstream lines(page);
    for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 80U) << line;
  }
  EXPECT_LE(std::count(pages[0].begin(), pages[0].end(), '\n'), 24);
}

TEST(Help, EveryTopicHasAnExampleAndIsListedInTheOverview) {
  for (const std::string& name : topic_names()) {
    EXPECT_NE(topic(name).find("\n  $ "), std::string_view::npos) << name;
    EXPECT_NE(overview().find(name), std::string_view::npos) << name;
  }
  EXPECT_TRUE(topic("nothing").empty());
}

TEST(Doctor, SaysWhatToDoBelowWhatIsMissing) {
  const std::vector<Row> rows = {{"kernel", Row::State::ok, "Linux", ""},
                                 {"python", Row::State::missing, "  no core", "build one"}};

  EXPECT_EQ(rows_as_text(rows),
            "kernel\n  ok       Linux\n\npython\n  missing    no core\n           -> build one\n");
  const auto json = nlohmann::json::parse(rows_as_json(rows));
  EXPECT_EQ(json[1]["state"], "missing");
  EXPECT_EQ(json[1]["what"], "no core");
  EXPECT_EQ(json[1]["remedy"], "build one");
}
