// Snapshots from files into memory that is safe to read: what is broken never replaces what is good.
#pragma once
#include "core/snapshot/edge_state.hpp"
#include "core/snapshot/view.hpp"

namespace domicile::edge {

// Tells whether a path shows another file than at the last look; costs one stat.
class Watch {
 public:
  bool changed(const char* path) noexcept;

 private:
  std::uint64_t inode_ = 0, size_ = 0;
  std::int64_t seconds_ = 0, nanos_ = 0;
};

enum class Load { replaced, missing, refused };

// tenants.snap, mapped; its index copied to huge pages, which halves the cost of a cold lookup.
class TenantsFile {
 public:
  TenantsFile() = default;
  TenantsFile(const TenantsFile&) = delete;
  ~TenantsFile();
  // `floor`: no generation below it is obeyed; raised on success. Null: only the last file counts.
  Load load(const char* path, std::atomic<std::uint64_t>* floor, snapshot::Flaw& why) noexcept;
  const snapshot::TenantsView& view() const noexcept { return view_; }

 private:
  struct Mapping {
    void* file = nullptr;
    std::size_t file_size = 0;
    void* index = nullptr;
    std::size_t index_size = 0;
    void unmap() noexcept;
  };
  Mapping mapping_;
  snapshot::TenantsView view_;
};

// authority.snap, copied: it is small, and a copy cannot change under a reader.
class AuthorityFile {
 public:
  // `floors`: no epoch below them is obeyed; raised on success. Null: only the last file counts.
  Load load(const char* path, std::string_view region, snapshot::EpochFloor* floors, snapshot::Flaw& why) noexcept;
  const snapshot::AuthorityView& view() const noexcept { return view_; }

 private:
  alignas(64) char buffers_[2][snapshot::kMaxAuthorityBytes + 1];
  int current_ = 0;
  snapshot::AuthorityView view_;
};

}  // namespace domicile::edge
