// Named points at which a test can hold or kill the process, so that a race is certain instead of likely. With no
// directory given (the normal case) a point costs one branch.
#pragma once
#include <filesystem>
#include <string>
#include <string_view>

namespace domicile {

// The test's side is a directory: a file NAME.stop holds the process at point NAME until it is removed (NAME.reached is
// made as soon as it stands there); a file NAME.kill ends it there with SIGKILL.
class StallPoints {
 public:
  StallPoints() = default;
  explicit StallPoints(std::filesystem::path directory) : directory_(std::move(directory)) {}
  // `subject`: the residency that it concerns, where there is one. NAME@SUBJECT is then a point as well, for a test
  // that holds two of them apart.
  void reach(std::string_view name, std::string_view subject = {}) const;

 private:
  void reach_one(const std::string& name) const;
  std::filesystem::path directory_;
};

}  // namespace domicile
