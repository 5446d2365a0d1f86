// Named points at which a test can hold or kill the process, so that a race is certain instead of likely. With no
// directory given (the normal case) a point costs one branch.
#pragma once
#include <filesystem>
#include <string_view>

namespace domicile {

// The test's side is a directory: a file NAME.stop holds the process at point NAME until it is removed (NAME.reached is
// made as soon as it stands there); a file NAME.kill ends it there with SIGKILL.
class StallPoints {
 public:
  StallPoints() = default;
  explicit StallPoints(std::filesystem::path directory) : directory_(std::move(directory)) {}
  void reach(std::string_view name) const;

 private:
  std::filesystem::path directory_;
};

}  // namespace domicile
