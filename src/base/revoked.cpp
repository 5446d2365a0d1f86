#include "base/revoked.hpp"

#include <cctype>

namespace domicile {
namespace {

constexpr Micros kFresh = 10 * kSecond;

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r");
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

}  // namespace

std::string serial_of(std::string_view text) {
  constexpr std::string_view kOpenssl = "serial=";
  if (text.starts_with(kOpenssl)) text.remove_prefix(kOpenssl.size());
  std::string out;
  bool digit = false;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == ':') {
      if (!digit) return {};  // at the beginning, or two of them
      digit = false;
      continue;
    }
    if (std::isxdigit(byte) == 0) return {};
    digit = true;
    out += static_cast<char>(std::toupper(byte));
  }
  if (!digit) return {};
  const auto first = out.find_first_not_of('0');
  return first == out.npos ? "0" : out.substr(first);
}

Result<std::set<std::string>> parse_revoked(std::string_view text) {
  std::set<std::string> out;
  for (int line = 1; !text.empty(); ++line) {
    const auto end = text.find('\n');
    std::string_view one = text.substr(0, end);
    text.remove_prefix(end == text.npos ? text.size() : end + 1);
    one = trimmed(one.substr(0, one.find('#')));
    if (one.empty()) continue;
    auto serial = serial_of(one);
    if (serial.empty())
      return fail(Kind::invalid_input, fmt::format("line {} is no serial number of a certificate", line),
                  "write hex digits as openssl x509 -noout -serial prints them, one certificate a line", "DOM-E609");
    out.insert(std::move(serial));
  }
  return out;
}

void RevokedFile::refresh() {
  if (read_at_ != 0 && monotonic_now() - read_at_ <= kFresh) return;
  const auto text = read_file(path_);
  auto list = text ? parse_revoked(*text) : Result<std::set<std::string>>(tl::unexpect, text.error());
  trouble_ = list ? "" : fmt::format("{}: {}", path_.string(), one_line(list.error()));
  // A list that cannot be read or understood keeps the last one: it must not let a revoked certificate in again.
  if (list) serials_ = std::move(*list);
  read_at_ = monotonic_now();
}

bool RevokedFile::contains(const std::string& serial) {
  if (path_.empty()) return false;
  const std::lock_guard lock(mutex_);
  refresh();
  return !serials_ || serials_->contains(serial_of(serial));
}

std::string RevokedFile::trouble() {
  if (path_.empty()) return "";
  const std::lock_guard lock(mutex_);
  refresh();
  return trouble_;
}

}  // namespace domicile
