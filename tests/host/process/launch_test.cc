// launch_test.cc: a launcher gets what it needs and no more, and is ended with all it started.
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <base/system.h>
#include <gtest/gtest.h>
#include <host/process/folder.h>
#include <process/control.h>
#include <process/launch.h>
#include <process/load_plan.h>

namespace pyhost::process {
namespace {

constexpr auto kPatience = std::chrono::seconds(20);

// A launcher that is a shell script: it has the control socket at descriptor 3 and does as told.
class Launch : public testing::Test {
 protected:
  Result<Started> launch_script(const std::string& text) {
    return launch(
        {.executable = "/x/python", .libpython = ""}, {.image = Image::executable, .reason = ""},
        {.launcher = folder_.program("launcher", text), .core = "/x/core.so", .packages = ""});
  }

  Folder folder_;
};

TEST_F(Launch, PassesTheCommandLineAndTheSocket) {
  const std::string seen = folder_ / "seen";
  auto started = launch_script(
      "#!/bin/sh\n{ echo \"$@\"; readlink /proc/$$/fd/0; "
      "readlink /proc/$$/fd/3; ps -o pgid= -p $$; echo $$; } > " +
      seen + ".part\nmv " + seen + ".part " + seen + "\n");
  ASSERT_TRUE(started) << started.error().message;
  ASSERT_TRUE(base::wait_exit(started->watcher.get(), base::Deadline::in(kPatience)));

  const std::string text = *base::read_file(seen);

  EXPECT_EQ(text.find("zygote executable /x/python - /x/core.so\n/dev/null\nsocket:["), 0u) << text;
  shut_down(*started, base::Deadline::in(kPatience));
}

TEST_F(Launch, GivesTheLauncherAProcessGroupOfItsOwn) {
  auto started = launch_script("#!/bin/sh\nexec sleep 1000\n");
  ASSERT_TRUE(started);

  EXPECT_EQ(getpgid(started->watcher_pid), started->watcher_pid);

  shut_down(*started, base::Deadline::in(std::chrono::milliseconds(1)));
}

TEST_F(Launch, SaysWhichLauncherCannotBeStarted) {
  auto started = launch({}, {}, {.launcher = folder_ / "nothing", .core = "", .packages = ""});

  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().code, Code::startup);
  EXPECT_NE(started.error().message.find(folder_ / "nothing"), std::string::npos);
  EXPECT_NE(started.error().message.find("ENOENT"), std::string::npos);
}

TEST_F(Launch, ShutDownAsksFirst) {
  auto started = launch_script(
      "#!/bin/sh\nexec /usr/bin/python3 -c \"import socket,struct\n"
      "s=socket.socket(fileno=3)\n"
      "open('" +
      (folder_ / "asked") + "','w').write(str(struct.unpack('i',s.recv(99)[:4])[0]))\"\n");
  ASSERT_TRUE(started);

  shut_down(*started, base::Deadline::in(kPatience));

  EXPECT_EQ(*base::read_file(folder_ / "asked"),
            std::to_string(static_cast<int>(ControlKind::stop)));
  EXPECT_EQ(started->watcher_pid, -1);
  EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1) << "reaped";
}

TEST_F(Launch, ShutDownKillsWhatDoesNotListen) {
  auto started = launch_script("#!/bin/sh\ntrap '' TERM INT HUP\nsleep 1000 &\nsleep 1000\n");
  ASSERT_TRUE(started);
  auto watcher = base::open_pidfd(started->watcher_pid);
  ASSERT_TRUE(watcher);

  shut_down(*started, base::Deadline::in(std::chrono::milliseconds(10)));

  EXPECT_TRUE(base::wait_exit(watcher->get(), base::Deadline::in(std::chrono::seconds(0))));
  EXPECT_EQ(started->watcher_pid, -1);
}

// The real launcher, where it is built, with each image that the system's interpreter has.
TEST(LaunchedInterpreter, SaysReadyAndEndsWhenAsked) {
  const Variable runtime("PYHOST_RUNTIME_DIR", PYHOST_TEST_RUNTIME);
  auto python = find_python("/usr/bin/python3");
  ASSERT_TRUE(python) << python.error().message;
  auto files = find_runtime_files(*python);
  if (!files) GTEST_SKIP() << files.error().message;
  for (const Image image : {Image::executable, Image::libpython}) {
    auto choice = choose_image(*python, image);
    if (!choice) continue;
    auto started = launch(*python, *choice, *files);
    ASSERT_TRUE(started) << started.error().message;
    const LoadPlan plan{.packages = files->packages, .core = files->core};
    ASSERT_TRUE(send_control(started->control.get(), {.kind = ControlKind::load}, to_json(plan)));

    pollfd watched{started->control.get(), POLLIN, 0};
    ASSERT_EQ(poll(&watched, 1, base::Deadline::in(kPatience).left_ms()), 1);
    auto received = receive_control(started->control.get(), false);

    ASSERT_TRUE(received && received->message) << image_name(image);
    EXPECT_EQ(received->message->header.kind, ControlKind::ready) << received->message->body;
    auto watcher = base::open_pidfd(started->watcher_pid);
    const base::Moment before = base::now();
    shut_down(*started, base::Deadline::in(kPatience));
    EXPECT_LT(base::now() - before, kPatience) << "it had to be killed";
    EXPECT_TRUE(base::wait_exit(watcher->get(), base::Deadline::in(std::chrono::seconds(0))));
  }
}

}  // namespace
}  // namespace pyhost::process
