// The list of revoked certificates: serial numbers, one a line.
#pragma once
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "base/clock.hpp"
#include "base/file.hpp"

namespace domicile {

// A serial number as it is compared: capital hex digits without leading zeros. Empty: `text` is none. Colons between
// bytes and openssl's own `serial=` before them are allowed.
std::string serial_of(std::string_view text);
// `#` begins a comment, blank lines are nothing; any other line that is no serial number is an error that names it
// (DOM-E609): a list that is half understood lets a revoked certificate in.
Result<std::set<std::string>> parse_revoked(std::string_view text);

// The list as a file that is read again when it is 10 s old. Threads may share one.
class RevokedFile {
 public:
  explicit RevokedFile(fs::path path) : path_(std::move(path)) {}  // empty: nobody is revoked
  // As long as no list could be read everybody is; later a list that cannot be read keeps the last one.
  bool contains(const std::string& serial);
  std::string trouble();  // why the list is an old one, or none; empty: it is as it should be

 private:
  void refresh();
  fs::path path_;
  std::mutex mutex_;
  std::optional<std::set<std::string>> serials_;
  std::string trouble_;
  Micros read_at_ = 0;
};

}  // namespace domicile
