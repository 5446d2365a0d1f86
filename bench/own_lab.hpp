// A lab of its own for a benchmark.
#pragma once
#include <string>

#include "base/file.hpp"
#include "base/process.hpp"

namespace domicile::bench {

// For the time of this object.
class OwnLab {
 public:
  OwnLab(fs::path domicile, int base) : domicile_(std::move(domicile)), base_(std::to_string(base)) {}
  OwnLab(const OwnLab&) = delete;
  OwnLab& operator=(const OwnLab&) = delete;
  Result<void> up() const { return lab("up"); }
  ~OwnLab() { (void)lab("down"); }

 private:
  Result<void> lab(const char* verb) const {
    const auto ran = TRY(run({{domicile_.string(), "lab", verb, "--base", base_}}, 300 * kSecond));
    if (ran.exit_code != 0) return fail(Kind::failed, ran.err);
    return {};
  }
  fs::path domicile_;
  std::string base_;
};

}  // namespace domicile::bench
