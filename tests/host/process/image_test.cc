// image_test.cc: the image and the files that fit an interpreter, or the reason why none does.
#include <gtest/gtest.h>
#include <host/process/folder.h>
#include <process/load_plan.h>
#include <process/python.h>
#include <sys/stat.h>

#include <fstream>

namespace pyhost::process {
namespace {

Python built_in() {
  return {.executable = "/usr/bin/python3",
          .base_executable = "/usr/bin/python3.11",
          .version = "3.11.2",
          .hex = 0x030b02f0,
          .tag = "cp311"};
}

Python linked() {
  Python python = built_in();
  python.libpython = "/opt/lib/libpython3.11.so.1.0";
  python.links_libpython = true;
  return python;
}

TEST(ChooseImage, TakesTheExecutableThatHoldsTheInterpreter) {
  Python python = built_in();
  python.libpython = "/usr/lib/libpython3.11.so.1.0";

  auto choice = choose_image(python, Image::automatic);

  ASSERT_TRUE(choice);
  EXPECT_EQ(choice->image, Image::executable);
  EXPECT_FALSE(choice->reason.empty());
}

TEST(ChooseImage, TakesTheLibraryThatTheExecutableUsesItself) {
  auto choice = choose_image(linked(), Image::automatic);

  ASSERT_TRUE(choice);
  EXPECT_EQ(choice->image, Image::libpython);
}

TEST(ChooseImage, TakesWhatWasAskedFor) {
  EXPECT_EQ(choose_image(linked(), Image::executable)->image, Image::executable);
  EXPECT_EQ(choose_image(linked(), Image::libpython)->image, Image::libpython);
}

TEST(ChooseImage, NamesThePackageThatHoldsAMissingLibrary) {
  auto choice = choose_image(built_in(), Image::libpython);

  ASSERT_FALSE(choice);
  EXPECT_EQ(choice.error().code, Code::startup);
  EXPECT_NE(choice.error().message.find("install the package `libpython3.11`"), std::string::npos)
      << choice.error().message;
}

TEST(ChooseImage, TakesTheLibraryWhereThereIsNoExecutable) {
  Python python = linked();
  python.executable = "/nowhere/python3";

  EXPECT_EQ(choose_image(python, Image::automatic)->image, Image::libpython);
  EXPECT_FALSE(choose_image(python, Image::executable));
}

TEST(ChooseImage, RefusesAPythonWithNeither) {
  Python python = built_in();
  python.executable = "/nowhere/python3";

  EXPECT_FALSE(choose_image(python, Image::automatic));
}

class RuntimeFolder : public testing::Test {
 protected:
  RuntimeFolder() {
    folder_.program("pyhost-worker", "");
    folder_.program("pyhost-core-cp311.so", "");
    folder_.program("pyhost-core-cp39.so", "");
    folder_.program("python/pyhost/__init__.py", "");
  }

  Folder folder_;
  Variable named_{"PYHOST_RUNTIME_DIR", folder_.path()};
};

TEST_F(RuntimeFolder, HoldsLauncherCoreAndPackage) {
  auto files = find_runtime_files(built_in());

  ASSERT_TRUE(files) << files.error().message;
  EXPECT_EQ(files->launcher, folder_ / "pyhost-worker");
  EXPECT_EQ(files->core, folder_ / "pyhost-core-cp311.so");
  EXPECT_EQ(files->packages, folder_ / "python");
}

TEST_F(RuntimeFolder, ListsItsCores) {
  EXPECT_EQ(available_cores(), (std::vector<std::string>{"cp311", "cp39"}));
}

TEST_F(RuntimeFolder, WithoutACoreForTheVersionIsRefusedNamingBoth) {
  Python python = built_in();
  python.executable = "/x/python3.12";
  python.version = "3.12.1";
  python.tag = "cp312";

  auto files = find_runtime_files(python);

  ASSERT_FALSE(files);
  EXPECT_EQ(files.error().code, Code::startup);
  EXPECT_EQ(files.error().message,
            "no core for CPython 3.12 (`/x/python3.12` is 3.12.1); this build has cores for 3.11, "
            "3.9; add the interpreter to PYHOST_PYTHONS and rebuild, or choose another with "
            "--python");
}

TEST_F(RuntimeFolder, ThatIsNamedButHoldsNothingIsRefused) {
  const Variable wrong("PYHOST_RUNTIME_DIR", folder_ / "python");

  auto files = find_runtime_files(built_in());

  ASSERT_FALSE(files);
  EXPECT_NE(files.error().message.find("PYHOST_RUNTIME_DIR"), std::string::npos);
  EXPECT_TRUE(available_cores().empty());
}

TEST(RuntimeFiles, AreFoundBesideTheCodeThatAsks) {
  const Variable unnamed("PYHOST_RUNTIME_DIR", "");
  if (!std::filesystem::exists(PYHOST_TEST_RUNTIME "/pyhost-worker")) {
    GTEST_SKIP() << "the launcher is not built";
  }

  for (const std::string& tag : available_cores()) {
    Python python = built_in();
    python.tag = tag;
    auto files = find_runtime_files(python);
    ASSERT_TRUE(files) << files.error().message;
    EXPECT_TRUE(std::filesystem::equivalent(files->launcher, PYHOST_TEST_RUNTIME "/pyhost-worker"));
  }
}

TEST(LoadPlanText, LeavesOutWhatIsEmpty) {
  EXPECT_EQ(to_json(LoadPlan()), "{}");
}

TEST(LoadPlanText, NamesKeysAsTheMembersAreNamed) {
  const LoadPlan plan{.script = "a \"b\".py", .functions = {"f", "g"}, .core = "/c.so"};

  EXPECT_EQ(to_json(plan), R"({"core":"/c.so","functions":["f","g"],"script":"a \"b\".py"})");
}

TEST(LoadPlanText, SurvivesNamesThatAreNotUtf8) {
  EXPECT_EQ(to_json({.script = "a\xff.py"}), "{\"script\":\"a\xef\xbf\xbd.py\"}");
}

}  // namespace
}  // namespace pyhost::process
