#include "census/source.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <regex>

#include "census/wal.hpp"

namespace domicile::census {

namespace {

// A file that grows faster than it is read would be read for ever.
constexpr std::uint64_t kMostGrowth = 1ULL << 30;
constexpr std::size_t kTapeTrailer = 16;  // prev and next, of utils/sort/logtape.c

// Regular files only, and no link: whoever writes there meanwhile cannot lead the reading elsewhere. An empty Fd: gone.
Result<Fd> open_regular(const fs::path& path) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!fd && errno == ENOENT) return Fd();
  if (!fd) return tl::unexpected<Error>(errno_error("cannot be opened"));
  struct stat status {};
  if (fstat(fd.get(), &status) != 0 || !S_ISREG(status.st_mode))
    return fail(Kind::failed, "is no regular file any more");
  return fd;
}

Result<std::size_t> read_fully(int fd, std::uint64_t offset, char* into, std::size_t size) {
  std::size_t done = 0;
  while (done < size) {
    const ssize_t n = pread(fd, into + done, size - done, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return tl::unexpected<Error>(errno_error("cannot be read"));
    if (n == 0) break;
    done += static_cast<std::size_t>(n);
  }
  return done;
}

std::uint64_t size_of(int fd) {
  struct stat status {};
  return fstat(fd, &status) == 0 ? static_cast<std::uint64_t>(status.st_size) : 0;
}

class FileSource : public Source {
 public:
  FileSource(Fd fd, std::string shown) : fd_(std::move(fd)), shown_(std::move(shown)), size_(size_of(fd_.get())) {}
  Result<std::size_t> read(std::uint64_t offset, char* into, std::size_t size) override {
    if (offset > size_ + kMostGrowth) return fail(Kind::failed, "grows faster than it can be read");
    return read_fully(fd_.get(), offset, into, size);
  }
  std::uint64_t next_data(std::uint64_t offset) override {
    const off_t data = lseek(fd_.get(), static_cast<off_t>(offset), SEEK_DATA);
    if (data >= 0) return static_cast<std::uint64_t>(data);
    return errno == ENXIO ? std::max(offset, size_of(fd_.get())) : offset;
  }
  Origin origin(std::uint64_t offset) const override { return {shown_, offset}; }
  bool whole() const override { return true; }
  std::string_view name() const override { return ""; }

 private:
  Fd fd_;
  std::string shown_;
  std::uint64_t size_;
};

class PieceSource : public Source {
 public:
  PieceSource(std::vector<Fd> files, std::vector<std::string> shown, std::vector<Piece> pieces, std::string_view name)
      : files_(std::move(files)), shown_(std::move(shown)), pieces_(std::move(pieces)), name_(name) {
    std::uint64_t begin = 0;
    for (const Piece& piece : pieces_) {
      begins_.push_back(begin);
      begin += piece.length;
    }
  }
  // A segment that was truncated meanwhile ends the reading of its piece, not that of the others.
  Result<std::size_t> read(std::uint64_t offset, char* into, std::size_t size) override {
    std::size_t done = 0;
    for (std::size_t i = index(offset); i < pieces_.size() && done < size; ++i) {
      const std::uint64_t skip = offset + done - begins_[i];
      if (skip >= pieces_[i].length) break;
      const auto wanted = std::min<std::uint64_t>(size - done, pieces_[i].length - skip);
      const int fd = files_[pieces_[i].file].get();
      const std::size_t got = TRY(read_fully(fd, pieces_[i].offset + skip, into + done, wanted));
      std::fill(into + done + got, into + done + wanted, '\0');
      done += wanted;
    }
    return done;
  }
  Origin origin(std::uint64_t offset) const override {
    if (pieces_.empty()) return {};
    const std::size_t i = index(offset);
    return {shown_[pieces_[i].file], pieces_[i].offset + (offset - begins_[i])};
  }
  bool wal() const override { return name_ == "wal"; }
  std::string_view name() const override { return name_; }

 private:
  std::size_t index(std::uint64_t offset) const {
    const auto after = std::upper_bound(begins_.begin(), begins_.end(), offset);
    return after == begins_.begin() ? 0 : static_cast<std::size_t>(after - begins_.begin()) - 1;
  }
  std::vector<Fd> files_;
  std::vector<std::string> shown_;
  std::vector<Piece> pieces_;
  std::vector<std::uint64_t> begins_;
  std::string_view name_;
};

// Pages of one file whose addresses follow each other; pages that are none belong to what stands before them.
struct Run {
  std::uint32_t timeline = 0;
  std::uint64_t address = 0, next = 0;
  std::vector<Piece> pieces;
};

Result<void> add_runs(int fd, std::size_t file, std::vector<Run>& runs) {
  runs.push_back({});
  char head[40];
  for (std::uint64_t offset = 0, size = size_of(fd); offset < size; offset += kPageSize) {
    const std::size_t got = TRY(read_fully(fd, offset, head, sizeof head));
    const auto page = wal_page(View(head, got));
    if (page && (page->address != runs.back().next || page->timeline != runs.back().timeline))
      runs.push_back({page->timeline, page->address, page->address, {}});
    if (page) runs.back().next = page->address + kPageSize;
    const std::uint64_t header = page ? page->header : 0, length = std::min<std::uint64_t>(kPageSize, size - offset);
    if (length > header) runs.back().pieces.push_back({file, offset + header, length - header});
  }
  return {};
}

}  // namespace

bool is_wal_segment(const fs::path& path) {
  static const std::regex segment("[0-9A-F]{24}(\\.partial)?");
  return std::regex_match(path.filename().string(), segment);
}

OpenSource open_file(const fs::path& path, const std::string& shown) {
  Fd fd = TRY(open_regular(path));
  if (!fd) return std::unique_ptr<Source>();
  return std::unique_ptr<Source>(std::make_unique<FileSource>(std::move(fd), shown));
}

OpenSource open_wal(const std::vector<fs::path>& paths, const std::vector<std::string>& shown) {
  std::vector<Fd> files;
  std::vector<std::string> names;
  std::vector<Run> runs;
  for (std::size_t i = 0; i < paths.size(); ++i) {
    Fd fd = TRY(open_regular(paths[i]));
    if (!fd) continue;
    CHECK_OK(add_runs(fd.get(), files.size(), runs));
    files.push_back(std::move(fd));
    names.push_back(shown[i]);
  }
  std::stable_sort(runs.begin(), runs.end(), [](const Run& a, const Run& b) {
    return a.timeline != b.timeline ? a.timeline < b.timeline : a.address < b.address;
  });
  std::vector<Piece> pieces;
  for (const Run& run : runs) pieces.insert(pieces.end(), run.pieces.begin(), run.pieces.end());
  return std::unique_ptr<Source>(
      std::make_unique<PieceSource>(std::move(files), std::move(names), std::move(pieces), "wal"));
}

OpenSource open_tape(const fs::path& path, const std::string& shown) {
  std::vector<Fd> files;
  files.push_back(TRY(open_regular(path)));
  if (!files.back()) return std::unique_ptr<Source>();
  std::vector<Piece> pieces;
  for (std::uint64_t offset = 0, size = size_of(files.back().get()); offset < size; offset += kPageSize)
    pieces.push_back({0, offset, std::min<std::uint64_t>(kPageSize - kTapeTrailer, size - offset)});
  return std::unique_ptr<Source>(
      std::make_unique<PieceSource>(std::move(files), std::vector<std::string>{shown}, std::move(pieces), "tape"));
}

}  // namespace domicile::census
