// Files that survive a crash: whole or not at all, and known to be on the disk.
#pragma once
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace domicile {

namespace fs = std::filesystem;

// An owned file descriptor; closed on destruction.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept;
  ~Fd() { reset(); }
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }
  explicit operator bool() const { return fd_ >= 0; }
  void reset();

 private:
  int fd_ = -1;
};

Error errno_error(std::string what);  // reads errno; ENOSPC and EDQUOT are `unavailable`

Result<std::string> read_file(const fs::path& path);
// Written beside, fsynced, renamed, directory fsynced: after a crash the old or the new content, never a mixture.
Result<void> write_file(const fs::path& path, std::string_view content, mode_t mode = 0644);
Result<void> write_secret(const fs::path& path, std::string_view content);  // 0600 from its first byte
// Refuses a secret that others may read.
Result<std::string> read_secret(const fs::path& path);
Result<void> make_directories(const fs::path& path, mode_t mode = 0755);

// An append-only file of records, one per line; append returns only when the line is on the disk. A torn last line, as
// a crash in the middle of an append leaves it, is cut off by open. One writer: open takes a lock that ends with the
// process.
class Journal {
 public:
  static Result<Journal> open(const fs::path& path);
  Result<void> append(std::string_view line);  // no newline inside; on failure nothing counts as written
  // Written at once, on the disk with the next append: it outlives this process, and perhaps not the machine.
  Result<void> note(std::string_view line);
  const std::vector<std::string>& lines_at_open() const { return lines_; }
  // Replaces the whole journal (compaction), atomically.
  Result<void> rewrite(const std::vector<std::string>& lines);

 private:
  Result<void> write(std::string_view line, bool durable);
  fs::path path_;
  Fd fd_, lock_;
  std::vector<std::string> lines_;
  std::uint64_t good_size_ = 0;
};

// An exclusive lock on a file for as long as it lives; `conflict` when somebody else holds it.
Result<Fd> lock_file(const fs::path& path);

}  // namespace domicile
