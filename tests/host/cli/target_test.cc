// target_test.cc: `file.py:function` and `package.module:function`.
#include <cli/target.h>

#include <gtest/gtest.h>

using pyhost::cli::parse_target;

TEST(Target, IsAFunctionOfAFile) {
  const auto target = parse_target("some/where/etl.py:load").value();

  EXPECT_EQ(target.script, "some/where/etl.py");
  EXPECT_EQ(target.module, "");
  EXPECT_EQ(target.function, "load");
}

TEST(Target, IsAFunctionOfAModule) {
  const auto target = parse_target("package.module:Class.method").value();

  EXPECT_EQ(target.script, "");
  EXPECT_EQ(target.module, "package.module");
  EXPECT_EQ(target.function, "Class.method");
}

TEST(Target, MayHaveColonsInItsPath) {
  EXPECT_EQ(parse_target("./a:b/c:d.py:f").value().script, "./a:b/c:d.py");
}

TEST(Target, WithoutAFunctionIsRefusedWithAnExample) {
  for (const char* text : {"etl.py", "etl.py:", "a:b/etl.py", "", "package.module"}) {
    const auto target = parse_target(text);
    ASSERT_FALSE(target.ok()) << text;
    EXPECT_NE(target.error().message.find("names no function"), std::string::npos) << text;
    EXPECT_NE(target.error().message.find(":FUNCTION`"), std::string::npos) << text;
  }
}

TEST(Target, WithoutAPlaceOrWithNonsenseIsRefused) {
  for (const char* text : {":load", "etl.py:a b", "etl.py:1st", "two words:load", "a..b:load"}) {
    EXPECT_FALSE(parse_target(text).ok()) << text;
  }
}
