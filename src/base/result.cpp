#include "base/result.hpp"

namespace domicile {

std::string_view name_of(Kind kind) {
  switch (kind) {
    case Kind::invalid_input:
      return "invalid_input";
    case Kind::conflict:
      return "conflict";
    case Kind::refused:
      return "refused";
    case Kind::unavailable:
      return "unavailable";
    case Kind::unknown_outcome:
      return "unknown_outcome";
    case Kind::corrupt:
      return "corrupt";
    case Kind::unsafe:
      return "unsafe";
    case Kind::failed:
      return "failed";
  }
  return "failed";
}

namespace {
std::string head(const Error& error) {
  std::string out;
  if (!error.where.empty()) out += error.where + ": ";
  out += "error";
  if (!error.id.empty()) out += " [" + error.id + "]";
  return out + ": " + error.what;
}
}  // namespace

std::string render(const Error& error) {
  std::string out = head(error);
  std::string fix = error.fix;
  for (auto cause = error.cause; cause; cause = cause->cause) {
    out += "\n  because " + cause->what;
    if (!cause->fix.empty()) fix = cause->fix;
  }
  return fix.empty() ? out : out + "\n  fix: " + fix;
}

std::string one_line(const Error& error) {
  std::string out = error.what;
  for (auto cause = error.cause; cause; cause = cause->cause) out += ": " + cause->what;
  return out;
}

}  // namespace domicile
