// python_rows.cc: describes interpreters and tries them out.
#include <base/clock.h>
#include <base/fd.h>
#include <base/system.h>
#include <cli/bell.h>
#include <cli/chunk.h>
#include <cli/failure.h>
#include <cli/output.h>
#include <cli/python_rows.h>
#include <cli/session.h>
#include <fcntl.h>
#include <poll.h>
#include <process/probe.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>

namespace pyhost::cli {
namespace {

// An interpreter that takes longer to start than this is not usable interactively either.
constexpr auto kPatience = std::chrono::seconds(30);

std::string shown(base::Duration duration) {
  const auto microseconds = std::chrono::duration_cast<std::chrono::microseconds>(duration).count();
  if (microseconds < 10'000) return std::to_string(microseconds) + " us";
  return std::to_string(microseconds / 1000) + " ms";
}

// A folder with the function that is called, removed with everything in it.
class Trial {
 public:
  Trial() {
    std::string path = (std::filesystem::temp_directory_path() / "pyhost-doctor-XXXXXX").string();
    if (::mkdtemp(path.data()) == nullptr) return;
    folder_ = path;
    const std::string script = path + "/pyhost_trial.py";
    const base::UniqueFd fd(::open(script.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    if (fd && base::write_all(fd.get(), "def add_one(x):\n    return x + 1\n")) script_ = script;
  }
  Trial(const Trial&) = delete;
  Trial& operator=(const Trial&) = delete;
  Trial(Trial&&) = delete;
  Trial& operator=(Trial&&) = delete;
  ~Trial() {
    std::error_code ignored;
    if (!folder_.empty()) std::filesystem::remove_all(folder_, ignored);
  }
  const std::string& script() const { return script_; }

 private:
  std::string folder_;
  std::string script_;
};

// nullopt: no answer in time.
std::optional<pool::Outcome> call_once(Session& session, Rest& rest, const Bell& bell) {
  const auto chunk = std::make_shared<Chunk>(rest, 1, std::vector<std::uint64_t>{1}, 0);
  pool::Batch batch;
  batch.function = session.function();
  batch.payload = std::string(
      "\2\0\0\0\0\0\0\0"
      "41",
      10);  // one item of two bytes
  batch.sink = chunk;
  session.engine().submit(std::move(batch));
  std::optional<pool::Outcome> result;
  for (const auto deadline = base::Deadline::in(kPatience); !result && !deadline.passed();) {
    rest.set(Rest::Depth::sleep);
    chunk->collect(true, [&](std::uint32_t, pool::Outcome& outcome) {
      result = std::move(outcome);
      return true;
    });
    pollfd ring{bell.fd(), POLLIN, 0};
    if (!result && ::poll(&ring, 1, deadline.left_ms()) > 0) bell.silence();
  }
  return result;
}

Row libpython_row(const process::Python& python) {
  const std::string minor = python.version.substr(0, python.version.rfind('.'));
  if (!python.libpython.empty()) {
    return {"python", Row::State::ok, "  libpython " + python.libpython, ""};
  }
  return {"python", Row::State::note, "  no libpython, so only the image `executable`",
          "install Debian's libpython" + minor + ", or build python with --enable-shared"};
}

Row image_row(const process::Python& python) {
  const Result<process::ImageChoice> image =
      process::choose_image(python, process::Image::automatic);
  if (!image) return {"python", Row::State::missing, "  no image", image.error().message};
  return {"python", Row::State::ok,
          "  image `" + std::string(process::image_name(image->image)) + "`: " + image->reason, ""};
}

// The wheel that `cmake --install` puts beside the folder `packages`; empty in a build tree.
std::string wheel_beside(const std::string& packages) {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(
           std::filesystem::path(packages).parent_path(), ignored)) {
    if (entry.path().extension() == ".whl") return entry.path();
  }
  return "";
}

// How a plain start of the interpreter gets to this pyhost.
std::string how_to_import(const process::Python& python, const std::string& packages) {
  const std::string by_path = "export PYTHONPATH=" + packages;
  const std::string wheel = wheel_beside(packages);
  const bool venv = python.executable != python.base_executable;
  if (!venv || wheel.empty()) return by_path;
  return python.executable + " -m pip install --no-index " + wheel + ", or " + by_path;
}

Row import_row(const process::Python& python, const std::string& packages) {
  const auto found = process::ask_for_package(python.executable, base::Deadline::in(kPatience));
  if (!found) return {"python", Row::State::missing, "  `import pyhost`", found.error().message};
  if (found->empty()) {
    return {"python", Row::State::note, "  `import pyhost` works only under `pyhost run`",
            how_to_import(python, packages)};
  }
  std::error_code differs;
  if (std::filesystem::equivalent(*found, packages + "/pyhost", differs)) {
    return {"python", Row::State::ok, "  `import pyhost` from " + *found, ""};
  }
  return {"python", Row::State::note, "  `import pyhost` takes another pyhost: " + *found,
          how_to_import(python, packages)};
}

}  // namespace

std::vector<Row> python_rows(const process::Python& python) {
  std::vector<Row> rows = {
      {"python", Row::State::ok, "CPython " + python.version + " " + python.executable, ""}};
  const Result<process::RuntimeFiles> files = process::find_runtime_files(python);
  if (!files) {
    rows.front().state = Row::State::note;
    rows.push_back({"python", Row::State::note, "  no core for " + python.tag,
                    "build one: cmake -DPYHOST_PYTHONS=" + python.executable});
    return rows;
  }
  rows.push_back({"python", Row::State::ok, "  core " + files->core, ""});
  rows.push_back(image_row(python));
  rows.push_back(libpython_row(python));
  rows.push_back(import_row(python, files->packages));
  return rows;
}

Row self_test(const process::Python& python, process::Image image) {
  const std::string name =
      "CPython " + python.version + ", image `" + std::string(process::image_name(image)) + "`: ";
  const auto failed = [&](const std::string& why) {
    return Row{"self-test", Row::State::missing, name + "a pool does not run", why};
  };
  const Trial trial;
  if (trial.script().empty()) return failed("no file can be written to the folder $TMPDIR or /tmp");
  const Bell bell;
  Messages messages;
  Rest rest(bell);
  PoolOptions options;
  options.script = trial.script();
  options.python = python.executable;
  options.image = process::image_name(image);
  options.workers = 1;
  const base::Moment start = base::now();
  auto session = Session::start(options, "add_one", bell, messages);
  if (!session) return failed(headline(session.error()));
  const std::optional<pool::Outcome> first = call_once(**session, rest, bell);
  const base::Moment ready = base::now();
  if (!first) return failed("no answer within " + std::to_string(kPatience.count()) + " s");
  if (!first->ok) return failed(headline(first->error()));
  if (first->payload != "42")
    return failed("41 + 1 was `" + first->payload + "`; please report it");
  call_once(**session, rest, bell);
  return {
      "self-test", Row::State::ok,
      name + "started in " + shown(ready - start) + ", a call took " + shown(base::now() - ready),
      ""};
}

}  // namespace pyhost::cli
