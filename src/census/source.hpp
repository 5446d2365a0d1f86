// What is searched: a file, or files that belong together, as one run of bytes that is read piece by piece.
#pragma once
#include <memory>
#include <vector>

#include "base/file.hpp"
#include "census/bytes.hpp"

namespace domicile::census {

struct Origin {
  std::string file;
  std::uint64_t offset = 0;
};

class Source {
 public:
  Source() = default;
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;
  virtual ~Source() = default;
  // Up to `size` bytes; fewer only where the source ends. Files may grow and shrink meanwhile.
  virtual Result<std::size_t> read(std::uint64_t offset, char* into, std::size_t size) = 0;
  // The first byte at `offset` or later that is not in a hole of the file.
  virtual std::uint64_t next_data(std::uint64_t offset) { return offset; }
  virtual Origin origin(std::uint64_t offset) const = 0;
  virtual bool wal() const { return false; }    // records of WAL without page headers
  virtual bool whole() const { return false; }  // offset 0 is a file's first byte
  virtual std::string_view name() const = 0;    // first word of a hit's chain; may be empty
};

// A part of a file.
struct Piece {
  std::size_t file = 0;
  std::uint64_t offset = 0, length = 0;
};

using OpenSource = Result<std::unique_ptr<Source>>;  // null: the file is gone, and so are its bytes

// `shown`: how reports call it.
OpenSource open_file(const fs::path& path, const std::string& shown);
// All segments of one directory in the order of their pages' addresses, without page headers: a value that crosses a
// page or a segment is in one piece. A recycled segment counts where its old content belongs.
OpenSource open_wal(const std::vector<fs::path>& paths, const std::vector<std::string>& shown);
// A file of sort runs (base/pgsql_tmp): each block ends with the numbers of its neighbours, in the middle of a value.
OpenSource open_tape(const fs::path& path, const std::string& shown);

// 24 hex digits, perhaps with .partial: a segment of WAL.
bool is_wal_segment(const fs::path& path);

}  // namespace domicile::census
