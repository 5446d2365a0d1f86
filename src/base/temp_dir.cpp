#include "base/temp_dir.hpp"

#include <cstdio>
#include <cstdlib>
#include <string>
#include <system_error>

namespace domicile {

TempDir::TempDir() {
  std::string pattern = (std::filesystem::temp_directory_path() / "domicile-XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr) {
    std::perror("cannot make a temporary directory");
    std::abort();
  }
  path_ = pattern;
}

TempDir::~TempDir() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace domicile
