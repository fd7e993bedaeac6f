// What a zygote says about scripts it is to load.
#include <runtime/worker/zygote_process.h>

namespace pyhost::test {
namespace {

using testing::Test;

class Loading : public Test {
 protected:
  // What loading this text as `script.py` fails with.
  std::string failure(const std::string& text, std::vector<std::string> functions = {}) {
    ZygoteProcess zygote;
    const auto answer = zygote.load_script(scripts_.add("script.py", text), std::move(functions));
    EXPECT_EQ(answer.header.kind, ControlKind::failed) << answer.body;
    return answer.body;
  }
  Scripts scripts_;
};

#define EXPECT_CONTAINS(text, part) \
  EXPECT_NE((text).find(part), std::string::npos) << "in: " << (text)

TEST_F(Loading, SaysReadyWithVersionAndThreads) {
  ZygoteProcess zygote;

  const auto answer = zygote.load_script(scripts_.add("fine.py", "def f(x): return x\n"), {"f"});

  EXPECT_EQ(answer.header.kind, ControlKind::ready);
  EXPECT_CONTAINS(answer.body, R"("threads": 1, "threaded_by": null)");
  EXPECT_CONTAINS(answer.body, R"("python": "3.)");
}

TEST_F(Loading, NamesTheClosestFileForAMissingScript) {
  ZygoteProcess zygote;
  scripts_.add("primes.py", "");

  const auto answer = zygote.load_script((scripts_.folder() / "prime.py").string());

  EXPECT_EQ(answer.header.kind, ControlKind::failed);
  EXPECT_CONTAINS(answer.body, "prime.py`: No such file or directory; did you mean `");
  EXPECT_CONTAINS(answer.body, "/primes.py`?");
}

TEST_F(Loading, NamesTheClosestFunctionForAMissingOne) {
  const std::string error = failure("def is_prime(n): return n == 2\n", {"is_prim"});

  EXPECT_CONTAINS(error, "no function `is_prim` in `");
  EXPECT_CONTAINS(error, "did you mean `is_prime`?");
}

TEST_F(Loading, RefusesANameThatIsNoFunction) {
  EXPECT_CONTAINS(failure("limit = 3\n", {"limit"}), "is not a function but int");
}

TEST_F(Loading, ShowsASyntaxErrorAsPythonDoes) {
  const std::string error = failure("def broken(:\n    pass\n");

  EXPECT_CONTAINS(error, "SyntaxError");
  EXPECT_CONTAINS(error, "script.py\\\", line 1\\n    def broken(:\\n");
  EXPECT_CONTAINS(error, "^\\nSyntaxError: invalid syntax");
}

TEST_F(Loading, ShowsTheTracebackOfAScriptThatRaises) {
  const std::string error = failure("def setup():\n    raise ValueError('no luck')\nsetup()\n");

  EXPECT_CONTAINS(error, "no luck");
  EXPECT_CONTAINS(error, "line 2, in setup");
  EXPECT_EQ(error.find("importlib"), std::string::npos) << "frames of the loader in: " << error;
}

TEST_F(Loading, ExplainsAScriptThatExits) {
  EXPECT_CONTAINS(failure("import sys\nsys.exit(3)\n"), "called `sys.exit(3)` while it was loaded");
}

TEST_F(Loading, ReportsAScriptThatKillsItself) {
  ZygoteProcess zygote;

  const auto answer = zygote.load_script(
      scripts_.add("script.py", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n"));

  EXPECT_EQ(answer.header.kind, ControlKind::zygote_exited);
  EXPECT_TRUE(WIFSIGNALED(answer.header.status) && WTERMSIG(answer.header.status) == SIGKILL);
}

TEST_F(Loading, KeepsTheEndOfATracebackThatIsTooLong) {
  const std::string error = failure("raise ValueError('x' * 300000 + 'the end')\n");

  EXPECT_CONTAINS(error, R"("type": "ValueError")");
  EXPECT_TRUE(error.ends_with("}"));
}

TEST_F(Loading, NamesTheImportThatStartedAThread) {
  ZygoteProcess zygote;
  const auto answer =
      zygote.load_script(scripts_.add("threaded.py",
                                      "import threading\n"
                                      "threading.Thread(target=threading.Event().wait, daemon=True)"
                                      ".start()\n"));

  EXPECT_EQ(answer.header.kind, ControlKind::ready);
  EXPECT_CONTAINS(answer.body, R"("threads": 2, "threaded_by": ")");
  EXPECT_CONTAINS(answer.body, "threaded.py");
}

TEST_F(Loading, ImportsAScriptUnderItsOwnNameAndNotAsMain) {
  ZygoteProcess zygote;
  const std::string script = scripts_.add("shapes.py",
                                          "import sibling\n"
                                          "if __name__ == '__main__': raise SystemExit\n"
                                          "class Shape: pass\n"
                                          "def names(_): return [__name__, Shape.__module__,"
                                          " sibling.value, __file__]\n");
  scripts_.add("sibling.py", "value = 5\n");
  ASSERT_EQ(zygote.load_script(script, {"names"}).header.kind, ControlKind::ready);

  WorkerProcess worker = zygote.start_worker();

  EXPECT_EQ(call(worker, "names", "0").payload, R"(["shapes","shapes",5,")" + script + "\"]");
}

TEST_F(Loading, LeavesAModuleOfTheSameNameAlone) {
  ZygoteProcess zygote;
  const std::string script =
      scripts_.add("sys.py", "import sys\ndef name(_): return [__name__, len(sys.argv)]\n");
  ASSERT_EQ(zygote.load_script(script).header.kind, ControlKind::ready);

  WorkerProcess worker = zygote.start_worker();

  EXPECT_EQ(call(worker, "name", "0").payload, R"(["pyhost_script_sys",1])");
}

TEST_F(Loading, SendsWhatAScriptPrintsWhileLoadingToStderr) {
  // The harness's own stdout stands for the results of `pyhost map`.
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  {
    ZygoteProcess zygote;
    EXPECT_EQ(zygote.load_script(scripts_.add("loud.py", "print('hello')\n")).header.kind,
              ControlKind::ready);
  }
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "hello\n");
}

TEST_F(Loading, LeavesNoCompiledFileBesideAScript) {
  ZygoteProcess zygote;

  EXPECT_EQ(zygote.load_script(scripts_.add("fine.py", "x = 1\n")).header.kind, ControlKind::ready);

  EXPECT_FALSE(std::filesystem::exists(scripts_.folder() / "__pycache__"));
}

TEST_F(Loading, ImportsAModuleByItsDottedName) {
  ZygoteProcess zygote;
  ASSERT_EQ(zygote.load({.module = "os.path", .functions = {"join"}}).header.kind,
            ControlKind::ready);

  WorkerProcess worker = zygote.start_worker();

  EXPECT_EQ(call(worker, "join", R"(["a","b"])", Style::args).payload, R"("a/b")");
}

TEST_F(Loading, NamesAModuleThatCannotBeImported) {
  ZygoteProcess zygote;

  const auto answer = zygote.load({.module = "no_such_module_here"});

  EXPECT_EQ(answer.header.kind, ControlKind::failed);
  EXPECT_CONTAINS(answer.body, "No module named 'no_such_module_here'");
}

}  // namespace
}  // namespace pyhost::test
