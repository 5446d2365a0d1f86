// What a test says to a library that is preloaded into other processes: a wall clock's shift, a full disk.
#pragma once
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <map>
#include <string>

#include "base/file.hpp"
#include "base/temp_dir.hpp"

namespace domicile::test {

// A file of eight bytes that a preloaded library in other processes looks at all the time.
class Shared {
 public:
  Shared(const fs::path& library, const std::string& name) : name_(name) {
    fs::permissions(dir_.path(),
                    fs::perms::owner_all | fs::perms::group_all | fs::perms::others_read | fs::perms::others_exec);
    fs::copy_file(library, dir_.path() / "preload.so");
    const Fd fd(::open((dir_.path() / name).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
    if (::ftruncate(fd.get(), 8) != 0) std::abort();
    bytes_ = ::mmap(nullptr, 8, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
    if (bytes_ == MAP_FAILED) std::abort();
  }
  ~Shared() { ::munmap(bytes_, 8); }
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;
  std::map<std::string, std::string> environment(const char* variable) const {
    return {{"LD_PRELOAD", (dir_.path() / "preload.so").string()}, {variable, (dir_.path() / name_).string()}};
  }
  void number(std::int64_t value) { *static_cast<volatile std::int64_t*>(bytes_) = value; }
  void flag(bool set) { *static_cast<volatile char*>(bytes_) = set ? '1' : '0'; }

 private:
  TempDir dir_;
  std::string name_;
  void* bytes_;
};

}  // namespace domicile::test
