#include "edge/module/files.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>

namespace domicile::edge {

namespace sn = domicile::snapshot;

bool Watch::changed(const char* path) noexcept {
  struct stat now;
  if (stat(path, &now) != 0) now = {};
  const bool same = now.st_ino == inode_ && static_cast<std::uint64_t>(now.st_size) == size_ &&
                    now.st_mtim.tv_sec == seconds_ && now.st_mtim.tv_nsec == nanos_;
  inode_ = now.st_ino;
  size_ = static_cast<std::uint64_t>(now.st_size);
  seconds_ = now.st_mtim.tv_sec;
  nanos_ = now.st_mtim.tv_nsec;
  return !same;
}

void TenantsFile::Mapping::unmap() noexcept {
  if (file != nullptr) munmap(file, file_size);
  if (index != nullptr) munmap(index, index_size);
  *this = {};
}

TenantsFile::~TenantsFile() { mapping_.unmap(); }

namespace {

void raise(std::atomic<std::uint64_t>& floor, std::uint64_t to) noexcept {
  std::uint64_t known = floor.load();
  while (known < to && !floor.compare_exchange_weak(known, to)) {
  }
}

}  // namespace

Load TenantsFile::load(const char* path, std::atomic<std::uint64_t>* floor, sn::Flaw& why) noexcept {
  why = sn::Flaw::truncated;
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return Load::missing;
  struct stat info;
  Mapping next;
  if (fstat(fd, &info) == 0 && info.st_size > 0) {
    next.file_size = static_cast<std::size_t>(info.st_size);
    next.file = mmap(nullptr, next.file_size, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
    if (next.file == MAP_FAILED) next.file = nullptr;
  }
  close(fd);
  if (next.file == nullptr) return Load::refused;
  sn::TenantsView view;
  why = view.open(next.file, next.file_size);
  if (why == sn::Flaw::none && ((!view_.empty() && view.generation() < view_.generation()) ||
                                (floor != nullptr && view.generation() < floor->load())))
    why = sn::Flaw::older;
  if (why != sn::Flaw::none) {
    next.unmap();
    return Load::refused;
  }
  constexpr std::size_t huge = 2u << 20;
  if (view.index_bytes() >= huge) {
    // Aligned by hand: an anonymous mapping starts at any page.
    next.index_size = (view.index_bytes() + 2 * huge) / huge * huge;
    next.index = mmap(nullptr, next.index_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (next.index == MAP_FAILED) {
      next.index = nullptr;  // the mapped index does as well, slower
    } else {
      const auto start = (reinterpret_cast<std::uintptr_t>(next.index) + huge - 1) / huge * huge;
      auto* to = reinterpret_cast<void*>(start);
      madvise(to, next.index_size - huge, MADV_HUGEPAGE);
      std::memcpy(to, view.index(), view.index_bytes());
      // The mapped index is not read again: its pages need not stay in this process.
      const auto from = reinterpret_cast<std::uintptr_t>(view.index()) + 4095;
      madvise(reinterpret_cast<void*>(from / 4096 * 4096), view.index_bytes() / 4096 * 4096 - 4096, MADV_DONTNEED);
      view.use_index(static_cast<const sn::Bucket*>(to));
    }
  }
  mapping_.unmap();
  mapping_ = next;
  view_ = view;
  if (floor != nullptr) raise(*floor, view.generation());
  return Load::replaced;
}

namespace {

// The place of a residency's floor; null when the table is full, which kMaxResidencies names of one topology cannot do.
sn::EpochFloor* floor_of(sn::EpochFloor* floors, std::string_view residency, bool make) noexcept {
  for (std::size_t i = 0; i < sn::kMaxResidencies; ++i) {
    sn::EpochFloor& floor = floors[i];
    std::uint32_t state = floor.used.load(std::memory_order_acquire);
    if (state == 0 && !make) return nullptr;
    if (state == 0 && floor.used.compare_exchange_strong(state, 1)) {
      std::memcpy(floor.name, residency.data(), residency.size());
      floor.used.store(2, std::memory_order_release);
      return &floor;
    }
    // Somebody else names it at this moment: a few instructions, unless it was killed there.
    for (int patience = 0; patience < 10000 && floor.used.load(std::memory_order_acquire) == 1; ++patience) {
    }
    if (floor.used.load(std::memory_order_acquire) == 2 && residency == floor.name) return &floor;
  }
  return nullptr;
}

}  // namespace

Load AuthorityFile::load(const char* path, std::string_view region, sn::EpochFloor* floors, sn::Flaw& why) noexcept {
  why = sn::Flaw::truncated;
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return Load::missing;
  char* buffer = buffers_[1 - current_];
  std::size_t size = 0;
  while (size < sizeof buffers_[0]) {
    const ssize_t n = read(fd, buffer + size, sizeof buffers_[0] - size);
    if (n <= 0) break;
    size += static_cast<std::size_t>(n);
  }
  close(fd);
  sn::AuthorityView next;
  why = next.open(buffer, size);
  if (why == sn::Flaw::none && next.region() != region) why = sn::Flaw::foreign;
  if (why == sn::Flaw::none && !view_.empty() && sn::lowers_an_epoch(view_, next)) why = sn::Flaw::older;
  for (std::uint16_t i = 0; why == sn::Flaw::none && floors != nullptr && i < next.residencies(); ++i) {
    const sn::EpochFloor* floor = floor_of(floors, next.entry(i).residency, false);
    if (floor != nullptr && next.entry(i).epoch < floor->epoch.load()) why = sn::Flaw::older;
  }
  if (why != sn::Flaw::none) return Load::refused;
  for (std::uint16_t i = 0; floors != nullptr && i < next.residencies(); ++i) {
    sn::EpochFloor* floor = floor_of(floors, next.entry(i).residency, true);
    if (floor != nullptr) raise(floor->epoch, next.entry(i).epoch);
  }
  current_ = 1 - current_;
  view_ = next;
  return Load::replaced;
}

}  // namespace domicile::edge
