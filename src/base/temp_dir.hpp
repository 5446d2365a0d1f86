// A temporary directory that is removed with everything in it. For tests, benches and scratch labs.
#pragma once
#include <filesystem>

namespace domicile {

class TempDir {
 public:
  TempDir();  // aborts when none can be made: nothing sensible can follow
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace domicile
