// A lab of its own for a benchmark.
#pragma once
#include <string>
#include <vector>

#include "base/file.hpp"
#include "base/process.hpp"

namespace domicile::bench {

// For the time of this object.
class OwnLab {
 public:
  OwnLab(fs::path domicile, int base, fs::path topology = {})
      : domicile_(std::move(domicile)), topology_(std::move(topology)), base_(std::to_string(base)) {}
  OwnLab(const OwnLab&) = delete;
  OwnLab& operator=(const OwnLab&) = delete;
  Result<void> up() const { return lab("up"); }
  ~OwnLab() { (void)lab("down"); }

 private:
  Result<void> lab(const char* verb) const {
    std::vector<std::string> words{domicile_.string(), "lab", verb, "--base", base_};
    if (!topology_.empty() && std::string_view(verb) == "up")
      words.insert(words.end(), {"--topology", topology_.string()});
    const auto ran = TRY(run({words}, 300 * kSecond));
    if (ran.exit_code != 0) return fail(Kind::failed, ran.err);
    return {};
  }
  fs::path domicile_, topology_;  // topology_: empty: the lab's usual one
  std::string base_;
};

}  // namespace domicile::bench
