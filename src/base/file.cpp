#include "base/file.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace domicile {

Fd& Fd::operator=(Fd&& other) noexcept {
  if (this != &other) {
    reset();
    fd_ = std::exchange(other.fd_, -1);
  }
  return *this;
}

void Fd::reset() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

Error errno_error(std::string what) {
  const int saved = errno;
  const bool full = saved == ENOSPC || saved == EDQUOT;
  Error error{full ? Kind::unavailable : Kind::failed, std::move(what) + ": " + std::strerror(saved)};
  if (full) error.fix = "free some space on that volume";
  if (saved == EACCES || saved == EPERM) error.fix = "check the owner and the mode of that path";
  return error;
}

namespace {

tl::unexpected<Error> failed(std::string what) { return tl::unexpected<Error>(errno_error(std::move(what))); }

Result<void> write_all(int fd, std::string_view data, const fs::path& path) {
  while (!data.empty()) {
    const ssize_t n = ::write(fd, data.data(), data.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failed("cannot write " + path.string());
    data.remove_prefix(static_cast<std::size_t>(n));
  }
  return {};
}

Result<void> sync_directory(const fs::path& path) {
  const fs::path parent = path.has_parent_path() ? path.parent_path() : fs::path(".");
  const Fd fd(::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return failed("cannot open directory " + parent.string());
  if (::fsync(fd.get()) != 0) return failed("cannot fsync directory " + parent.string());
  return {};
}

}  // namespace

Result<std::string> read_file(const fs::path& path) {
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) {
    const int code = errno;
    Error error = errno_error("cannot read " + path.string());
    if (code == ENOENT) error.kind = Kind::invalid_input;
    return tl::unexpected<Error>(error);
  }
  std::string out;
  char buffer[65536];
  for (;;) {
    const ssize_t n = ::read(fd.get(), buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failed("cannot read " + path.string());
    if (n == 0) return out;
    out.append(buffer, static_cast<std::size_t>(n));
  }
}

Result<void> write_file(const fs::path& path, std::string_view content, mode_t mode) {
  const fs::path beside = path.string() + ".new." + std::to_string(::getpid());
  Fd fd(::open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode));
  if (!fd) return failed("cannot create " + beside.string());
  const auto written = [&]() -> Result<void> {
    CHECK_OK(write_all(fd.get(), content, beside));
    if (::fsync(fd.get()) != 0) return failed("cannot fsync " + beside.string());
    if (::rename(beside.c_str(), path.c_str()) != 0) return failed("cannot rename to " + path.string());
    return {};
  }();
  if (!written) {
    ::unlink(beside.c_str());
    return written;
  }
  return sync_directory(path);
}

Result<void> write_secret(const fs::path& path, std::string_view content) { return write_file(path, content, 0600); }

Result<std::string> read_secret(const fs::path& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return failed("cannot read " + path.string());
  if ((info.st_mode & 077) != 0)
    return fail(Kind::refused, path.string() + " holds a secret and others may read it", "chmod 600 " + path.string(),
                "DOM-E901");
  return read_file(path);
}

Result<void> make_directories(const fs::path& path, mode_t mode) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) return fail(Kind::failed, "cannot create directory " + path.string() + ": " + error.message());
  if (::chmod(path.c_str(), mode) != 0) return failed("cannot set the mode of " + path.string());
  return {};
}

Result<Fd> lock_file(const fs::path& path) {
  Fd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  if (!fd) return failed("cannot open lock " + path.string());
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) return fail(Kind::conflict, path.string() + " is held by another process");
    return failed("cannot lock " + path.string());
  }
  return fd;
}

Result<Journal> Journal::open(const fs::path& path) {
  Journal journal;
  journal.path_ = path;
  journal.lock_ = TRY(lock_file(path.string() + ".lock"));
  journal.fd_ = Fd(::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  if (!journal.fd_) return failed("cannot open journal " + path.string());
  const std::string content = TRY(read_file(path));
  std::size_t start = 0;
  for (std::size_t end; (end = content.find('\n', start)) != std::string::npos; start = end + 1)
    journal.lines_.push_back(content.substr(start, end - start));
  journal.good_size_ = start;
  if (start != content.size() && ::ftruncate(journal.fd_.get(), static_cast<off_t>(start)) != 0)
    return failed("cannot cut the torn last line of " + path.string());
  CHECK_OK(sync_directory(path));
  return journal;
}

Result<void> Journal::append(std::string_view line) { return write(line, true); }
Result<void> Journal::note(std::string_view line) { return write(line, false); }

Result<void> Journal::write(std::string_view line, bool durable) {
  std::string record(line);
  record += '\n';
  auto written = write_all(fd_.get(), record, path_);
  if (written && durable && ::fdatasync(fd_.get()) != 0) written = failed("cannot fsync " + path_.string());
  if (!written) {
    // Half a record must not be completed by the next one.
    if (::ftruncate(fd_.get(), static_cast<off_t>(good_size_)) != 0) return failed("cannot cut " + path_.string());
    return written;
  }
  good_size_ += record.size();
  return {};
}

Result<void> Journal::rewrite(const std::vector<std::string>& lines) {
  std::string content;
  for (const auto& line : lines) content += line + '\n';
  CHECK_OK(write_file(path_, content));
  Fd fresh(::open(path_.c_str(), O_RDWR | O_APPEND | O_CLOEXEC));
  if (!fresh) return failed("cannot open journal " + path_.string());
  fd_ = std::move(fresh);
  lines_ = lines;
  good_size_ = content.size();
  return {};
}

}  // namespace domicile
