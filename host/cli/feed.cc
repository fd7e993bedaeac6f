// feed.cc: lines are framed straight into the payload of the batch, without a string each.
#include <base/system.h>
#include <cli/feed.h>
#include <cli/text.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace pyhost::cli {
namespace {

bool is_blank(std::string_view line) {
  return line.find_first_not_of(" \t\r\f\v") == std::string_view::npos;
}

Error unreadable(const std::string& file, int error_number) {
  return base::system_error(Code::startup, "cannot read `" + file + "`", error_number);
}

Result<base::UniqueFd> open_input(const std::string& file) {
  // A duplicate of stdin, so that each reader owns its descriptor.
  base::UniqueFd fd(file == "-" ? ::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
                                : ::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return unreadable(file == "-" ? "stdin" : file, errno);
  struct stat info {};
  if (::fstat(fd.get(), &info) == 0 && S_ISDIR(info.st_mode)) return unreadable(file, EISDIR);
  return fd;
}

std::size_t begin_item(std::string& payload) {
  payload.append(sizeof(std::uint64_t), '\0');
  return payload.size();
}

void end_item(std::string& payload, std::size_t start) {
  const std::uint64_t length = payload.size() - start;
  std::memcpy(payload.data() + start - sizeof length, &length, sizeof length);
}

}  // namespace

void Portion::clear() {
  payload.clear();
  lines.clear();
  failure.reset();
}

Feed::Feed(std::vector<std::string> files, FeedOptions options)
    : files_(std::move(files)), options_(options) {}

Result<Feed> Feed::open(std::vector<std::string> files, FeedOptions options) {
  if (files.empty()) files.emplace_back("-");
  // Named pipes are left alone: opening and closing one would tell its writer to stop.
  for (const std::string& file : files) {
    struct stat info {};
    if (file != "-" && ::stat(file.c_str(), &info) != 0) return unreadable(file, errno);
    if (file != "-" && S_ISFIFO(info.st_mode)) continue;
    Result<base::UniqueFd> fd = open_input(file);
    if (!fd) return fd.error();
  }
  return Feed(std::move(files), options);
}

std::string_view Feed::source_name(std::size_t source) const {
  return files_[source] == "-" ? std::string_view("stdin") : files_[source];
}

Result<void> Feed::open_next() {
  Result<base::UniqueFd> fd = open_input(files_[source_]);
  if (!fd) return fd.error();
  reader_.emplace(std::move(*fd), options_.separator, options_.longest_line);
  return {};
}

// False: nothing there at this moment.
Result<bool> Feed::read_more() {
  pollfd ready{reader_->fd(), POLLIN, 0};
  if (::poll(&ready, 1, 0) == 0) return false;
  Result<void> filled = reader_->fill();
  if (filled) return true;
  Error error = std::move(filled).error();
  error.message =
      "cannot go on reading `" + std::string(source_name(source_)) + "`: " + error.message;
  return error;
}

void Feed::fail_line(std::string message) {
  Portion& portion = failed_.emplace();
  portion.source = source_;
  portion.lines.push_back(reader_->line_number());
  portion.failure.emplace(Code::marshal, std::move(message));
}

void Feed::add_line(std::string_view line, Portion& portion) {
  if (!options_.raw) {
    if (is_blank(line)) return;
    const std::size_t start = begin_item(portion.payload);
    portion.payload += line;
    end_item(portion.payload, start);
    portion.lines.push_back(reader_->line_number());
    return;
  }
  if (options_.separator == '\n' && line.ends_with('\r')) line.remove_suffix(1);
  const std::size_t start = begin_item(portion.payload);
  if (const auto bad = append_json_string(line, portion.payload)) {
    portion.payload.resize(start - sizeof(std::uint64_t));
    fail_line("the line is not UTF-8: byte " + std::to_string(*bad) + " is 0x" +
              "0123456789abcdef"[static_cast<unsigned char>(line[*bad]) >> 4] +
              "0123456789abcdef"[static_cast<unsigned char>(line[*bad]) & 15] +
              "; convert the input, for example with `iconv -t UTF-8`");
    return;
  }
  end_item(portion.payload, start);
  portion.lines.push_back(reader_->line_number());
}

Result<Feed::Fed> Feed::next(std::size_t count, std::size_t bytes, Portion& portion) {
  for (;;) {
    if (failed_ && portion.count() == 0) {
      portion = std::move(*failed_);
      failed_.reset();
      return Fed::full;
    }
    if (failed_ || portion.count() >= count || portion.payload.size() >= bytes) return Fed::full;
    if (!reader_) {
      if (source_ == files_.size()) return Fed::end;
      if (portion.count() > 0 && portion.source != source_) return Fed::full;
      if (Result<void> opened = open_next(); !opened) return opened.error();
      portion.source = source_;
    }
    if (portion.count() == 0) portion.source = source_;
    std::string_view line;
    switch (reader_->next(line)) {
      case LineReader::Got::line:
        add_line(line, portion);
        break;
      case LineReader::Got::overlong:
        fail_line("the line has " + std::to_string(reader_->line_bytes()) + " bytes; the most is " +
                  std::to_string(options_.longest_line) +
                  ": split it, or pass the name of a file instead");
        break;
      case LineReader::Got::end:
        reader_.reset();
        ++source_;
        break;
      case LineReader::Got::dry: {
        Result<bool> read = read_more();
        if (!read) return read.error();
        if (!*read) return Fed::dry;
      }
    }
  }
}

}  // namespace pyhost::cli
