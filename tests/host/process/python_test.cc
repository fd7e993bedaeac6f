// python_test.cc: interpreters are found as the manual says, asked once, and refused with reasons.
#include <base/system.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <host/process/folder.h>
#include <process/python.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace pyhost::process {
namespace {

constexpr const char* kSystemPython = "/usr/bin/python3";

// Says what an interpreter would, in the words of the probe, and counts how often it was asked.
std::string fake_interpreter(const std::string& implementation, const std::string& version,
                             const std::string& hex, const std::string& count_file) {
  // Three octal digits, because digits follow.
  return "#!/bin/sh\necho asked >> " + count_file +
         "\nprintf 'pyhost-probe\\000/fake/python\\000\\000" + implementation + "\\000" + version +
         "\\000" + hex + "\\000\\000\\000\\000'\n";
}

class FindPython : public testing::Test {
 protected:
  bool make_venv(const std::string& python, const std::string& where) {
    const std::string command =
        python + " -m venv --without-pip " + where + " >/dev/null 2>&1 </dev/null";
    return system(command.c_str()) == 0;
  }

  Folder folder_;
  Variable cache_{"XDG_CACHE_HOME", folder_ / "cache"};
  Variable no_venv_{"VIRTUAL_ENV", ""};
};

TEST_F(FindPython, ByPath) {
  auto python = find_python(kSystemPython);

  ASSERT_TRUE(python) << python.error().message;
  EXPECT_EQ(python->executable, kSystemPython);
  EXPECT_EQ(python->version.substr(0, 2), "3.");
  EXPECT_GE(python->hex, 0x03090000u);
  EXPECT_EQ(python->tag, "cp3" + std::to_string((python->hex >> 16) & 0xff));
}

TEST_F(FindPython, ByRelativePath) {
  std::filesystem::create_symlink(kSystemPython, folder_ / "mine");
  const std::string relative = std::filesystem::relative(folder_ / "mine");

  auto python = find_python(relative);

  ASSERT_TRUE(python) << python.error().message;
  EXPECT_EQ(python->executable.front(), '/');
}

TEST_F(FindPython, ByTheFolderOfAVirtualEnvironment) {
  if (!make_venv(kSystemPython, folder_ / "venv")) GTEST_SKIP() << "no venv module";

  auto python = find_python(folder_ / "venv");

  ASSERT_TRUE(python) << python.error().message;
  EXPECT_EQ(python->executable, folder_ / "venv/bin/python");
  EXPECT_EQ(python->base_executable.substr(0, 9), "/usr/bin/");
  EXPECT_EQ(python->libpython, find_python(kSystemPython)->libpython);
}

TEST_F(FindPython, OfTheActiveVirtualEnvironmentBeforeThatOnPath) {
  if (!make_venv(kSystemPython, folder_ / "venv")) GTEST_SKIP() << "no venv module";
  const Variable active("VIRTUAL_ENV", folder_ / "venv");

  auto python = find_python("");

  ASSERT_TRUE(python) << python.error().message;
  EXPECT_EQ(python->executable, folder_ / "venv/bin/python");
}

TEST_F(FindPython, RefusesAnActiveVirtualEnvironmentWhosePythonIsGone) {
  std::filesystem::create_directories(folder_ / "venv/bin");
  std::filesystem::create_symlink("/nowhere/python", folder_ / "venv/bin/python");
  const Variable active("VIRTUAL_ENV", folder_ / "venv");

  auto python = find_python("");

  ASSERT_FALSE(python);
  EXPECT_EQ(python.error().code, Code::startup);
  EXPECT_NE(python.error().message.find(folder_ / "venv"), std::string::npos);
}

TEST_F(FindPython, OnPathWhenNothingIsNamed) {
  const Variable path("PATH", "/usr/bin:/bin");

  auto python = find_python("");

  ASSERT_TRUE(python) << python.error().message;
  EXPECT_EQ(python->executable, kSystemPython);
}

TEST_F(FindPython, PassesOverAScriptOnPathThatFindsNoInterpreter) {
  folder_.program("bin/python3", "#!/bin/sh\necho no version chosen >&2\nexit 127\n");
  const Variable path("PATH", folder_ / "bin" + ":/usr/bin:/bin");

  auto python = find_python("");

  ASSERT_TRUE(python) << python.error().message;
  EXPECT_EQ(python->executable, kSystemPython);
}

TEST_F(FindPython, ListsAllThatWasTried) {
  folder_.program("bin/python3", "#!/bin/sh\necho no version chosen >&2\nexit 127\n");
  const Variable path("PATH", folder_ / "bin");
  const Variable active("VIRTUAL_ENV", folder_ / "gone");

  auto python = find_python("");

  ASSERT_FALSE(python);
  EXPECT_EQ(python.error().code, Code::startup);
  EXPECT_NE(python.error().message.find(folder_ / "gone"), std::string::npos);
  EXPECT_NE(python.error().message.find("no version chosen"), std::string::npos);
  EXPECT_NE(python.error().message.find("--python"), std::string::npos);
}

TEST_F(FindPython, ByMinorAndByFullVersion) {
  const auto expected = find_python(kSystemPython);
  ASSERT_TRUE(expected);
  const Variable path("PATH", "/usr/bin:/bin");
  const std::string full = expected->version;
  const std::string minor = full.substr(0, full.rfind('.'));

  for (const std::string& version : {minor, full}) {
    auto python = find_python(version);
    ASSERT_TRUE(python) << python.error().message;
    EXPECT_EQ(python->version, full);
  }
}

TEST_F(FindPython, DoesNotTakeAnotherPatchForAFullVersion) {
  const Variable path("PATH", "/usr/bin:/bin");
  const Variable no_pyenv("PYENV_ROOT", folder_ / "none");

  auto python = find_python("3.11.99");

  ASSERT_FALSE(python);
  EXPECT_NE(python.error().message.find("3.11.99"), std::string::npos);
}

TEST_F(FindPython, ByVersionAmongThoseOfPyenv) {
  bool any = false;
  const char* home = std::getenv("HOME");
  const std::string versions = std::string(home ? home : "") + "/.pyenv/versions/";
  for (const std::string version : {"3.9.18", "3.10.13", "3.11.7", "3.12.1", "3.13.0"}) {
    if (!std::filesystem::exists(versions + version)) continue;
    any = true;
    auto python = find_python(version);
    ASSERT_TRUE(python) << python.error().message;
    EXPECT_EQ(python->version, version);
    EXPECT_TRUE(python->links_libpython);
    EXPECT_EQ(python->libpython.find(versions + version + "/lib/libpython3."), 0u);
  }
  if (!any) GTEST_SKIP() << "no pyenv here";
}

TEST_F(FindPython, TakesTheLibraryOfTheBaseOfAVirtualEnvironment) {
  const char* home = std::getenv("HOME");
  const std::string base = std::string(home ? home : "") + "/.pyenv/versions/3.12.1";
  if (!make_venv(base + "/bin/python3", folder_ / "venv")) GTEST_SKIP() << "no pyenv here";

  auto python = find_python(folder_ / "venv");

  ASSERT_TRUE(python) << python.error().message;
  EXPECT_EQ(python->executable, folder_ / "venv/bin/python");
  EXPECT_EQ(python->libpython, base + "/lib/libpython3.12.so.1.0");
}

TEST_F(FindPython, ResolvesAShimToTheInterpreterItRuns) {
  const std::string shim =
      folder_.program("shim", std::string("#!/bin/sh\nexec ") + kSystemPython + " \"$@\"\n");

  auto python = find_python(shim);

  ASSERT_TRUE(python) << python.error().message;
  EXPECT_EQ(python->executable, kSystemPython);
}

TEST_F(FindPython, AsksAShimEveryTime) {
  const std::string shim = folder_.program(
      "shim", fake_interpreter("cpython", "3.12.1", std::to_string(0x030c01f0), folder_ / "asked"));

  ASSERT_TRUE(find_python(shim));
  ASSERT_TRUE(find_python(shim));

  EXPECT_EQ(*base::read_file(folder_ / "asked"), "asked\nasked\n");
}

TEST_F(FindPython, ShowsWhatABrokenInterpreterSaid) {
  const std::string broken =
      folder_.program("broken", "#!/bin/sh\necho the disk is on fire >&2\nexit 3\n");

  auto python = find_python(broken);

  ASSERT_FALSE(python);
  EXPECT_EQ(python.error().code, Code::startup);
  EXPECT_EQ(python.error().message, "`" + broken + "` exited with status 3: the disk is on fire");
}

TEST_F(FindPython, NamesTheSignalThatKilledAnInterpreter) {
  const std::string broken = folder_.program("broken", "#!/bin/sh\nkill -SEGV $$\n");

  auto python = find_python(broken);

  ASSERT_FALSE(python);
  EXPECT_EQ(python.error().message, "`" + broken + "` was killed by SIGSEGV");
}

TEST_F(FindPython, RefusesAProgramThatIsNoInterpreter) {
  auto python = find_python("/bin/true");

  ASSERT_FALSE(python);
  EXPECT_NE(python.error().message.find("is it an interpreter?"), std::string::npos);
}

TEST_F(FindPython, RefusesAFileThatCannotBeRun) {
  const std::string file = folder_.program("data", "no program at all");

  auto python = find_python(file);

  ASSERT_FALSE(python);
  EXPECT_NE(python.error().message.find("ENOEXEC"), std::string::npos) << python.error().message;
}

TEST_F(FindPython, RefusesAMissingFileAndAFolderWithoutInterpreter) {
  auto missing = find_python(folder_ / "nothing");
  auto folder = find_python(folder_.path());
  auto name = find_python("no-such-python");

  ASSERT_FALSE(missing || folder || name);
  EXPECT_NE(missing.error().message.find("ENOENT"), std::string::npos);
  EXPECT_NE(folder.error().message.find("without bin/python"), std::string::npos);
  EXPECT_NE(name.error().message.find("no-such-python"), std::string::npos);
}

TEST_F(FindPython, RefusesAVersionThatIsTooOld) {
  const std::string old = folder_.program(
      "old", fake_interpreter("cpython", "3.8.1", std::to_string(0x030801f0), "/dev/null"));

  auto python = find_python(old);

  ASSERT_FALSE(python);
  EXPECT_EQ(python.error().message,
            "`/fake/python` is CPython 3.8.1; pyhost needs 3.9 or newer; choose one with --python");
}

TEST_F(FindPython, RefusesARealPythonThatIsTooOld) {
  const char* home = std::getenv("HOME");
  bool any = false;
  for (const std::string version : {"2.7.18", "3.8.18"}) {
    const std::string path = std::string(home ? home : "") + "/.pyenv/versions/" + version;
    if (!std::filesystem::exists(path)) continue;
    any = true;
    auto python = find_python(path);
    ASSERT_FALSE(python);
    EXPECT_NE(python.error().message.find("is CPython " + version), std::string::npos)
        << python.error().message;
  }
  if (!any) GTEST_SKIP() << "no old Python here";
}

TEST_F(FindPython, RefusesAnotherImplementation) {
  const std::string other = folder_.program(
      "other", fake_interpreter("pypy", "3.10.13", std::to_string(0x030a0df0), "/dev/null"));

  auto python = find_python(other);

  ASSERT_FALSE(python);
  EXPECT_NE(python.error().message.find("pypy 3.10.13"), std::string::npos);
}

TEST_F(FindPython, IsNotMisledByModulesInTheCurrentFolder) {
  folder_.program("sysconfig.py", "raise SystemExit('wrong module')");
  const std::filesystem::path before = std::filesystem::current_path();
  std::filesystem::current_path(folder_.path());

  auto python = find_python(kSystemPython);

  std::filesystem::current_path(before);
  EXPECT_TRUE(python) << python.error().message;
}

// Rewrites what the cache remembers, which shows whether it is used.
void edit_cache(const std::string& file, const std::string& from, const std::string& to) {
  std::string text = *base::read_file(file);
  const std::size_t at = text.find(from);
  ASSERT_NE(at, std::string::npos) << text;
  std::ofstream(file) << text.replace(at, from.size(), to);
}

class PythonCache : public FindPython {
 protected:
  // A copy, so that the test may touch it.
  std::string copy_of_python() {
    std::filesystem::copy_file(std::filesystem::canonical(kSystemPython), folder_ / "copy");
    return folder_ / "copy";
  }
  std::string cache_file() { return folder_ / "cache/pyhost/pythons.json"; }
};

TEST_F(PythonCache, IsUsedWhileTheFileIsTheSame) {
  const std::string copy = copy_of_python();
  const auto first = find_python(copy);
  ASSERT_TRUE(first) << first.error().message;
  edit_cache(cache_file(), "\"version\": \"" + first->version, "\"version\": \"3.77.7");

  auto second = find_python(copy);

  ASSERT_TRUE(second);
  EXPECT_EQ(second->version, "3.77.7");
}

TEST_F(PythonCache, IsNotUsedForAFileThatChanged) {
  const std::string copy = copy_of_python();
  const auto first = find_python(copy);
  ASSERT_TRUE(first);
  edit_cache(cache_file(), "\"version\": \"" + first->version, "\"version\": \"3.77.7");
  const std::array<timespec, 2> times{{{1000, 0}, {1000, 0}}};
  ASSERT_EQ(utimensat(AT_FDCWD, copy.c_str(), times.data(), 0), 0);

  auto second = find_python(copy);

  ASSERT_TRUE(second);
  EXPECT_EQ(second->version, first->version);
}

TEST_F(PythonCache, ThatIsDamagedIsReplaced) {
  std::filesystem::create_directories(folder_ / "cache/pyhost");
  for (const char* damage : {"", "{", "[1]", "null", R"({"format":1,"pythons":[]})",
                             R"({"format":1,"pythons":{"/usr/bin/python3":7}})"}) {
    std::ofstream(cache_file()) << damage;
    auto python = find_python(kSystemPython);
    ASSERT_TRUE(python) << damage << ": " << python.error().message;
    EXPECT_NE(base::read_file(cache_file())->find(python->version), std::string::npos);
  }
}

TEST_F(PythonCache, ThatCannotBeWrittenIsNotMissed) {
  std::ofstream(folder_ / "cache") << "a file where a folder should be";

  EXPECT_TRUE(find_python(kSystemPython));
}

TEST_F(PythonCache, LeavesNoFileBesideItself) {
  ASSERT_TRUE(find_python(kSystemPython));

  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder_ / "cache/pyhost")) {
    EXPECT_EQ(entry.path(), cache_file());
    ++files;
  }
  EXPECT_EQ(files, 1);
}

TEST(KnownPythons, ListsEachInterpreterOnce) {
  const Folder folder;
  const Variable cache("XDG_CACHE_HOME", folder.path());
  const Variable path("PATH", "/usr/bin:/usr/bin/:/usr/bin");

  const auto known = known_pythons();

  ASSERT_FALSE(known.empty());
  for (std::size_t i = 0; i < known.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) EXPECT_NE(known[i].executable, known[j].executable);
  }
}

}  // namespace
}  // namespace pyhost::process
