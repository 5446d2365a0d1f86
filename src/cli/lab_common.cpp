#include "cli/lab_common.hpp"

#include <charconv>
#include <cstdlib>

namespace domicile::cli {

namespace {

Result<int> base_of(const std::string& text) {
  int base = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), base);
  if (code != std::errc() || end != text.data() + text.size() || base < 0 || base > 50000)
    return fail(Kind::invalid_input, fmt::format("'{}' is no base", text), "a number from 0 to 50000");
  return base;
}

Result<void> valid_base(const std::string& text) {
  (void)TRY(base_of(text));
  return {};
}

}  // namespace

Option base_option() {
  return {"base", "N", "which lab: moves its folder and its ports on this host", false, false, valid_base};
}
Option json_option() { return {"json", "", "JSON on stdout"}; }

Result<int> lab_base(const Args& args) {
  const char* set = std::getenv("DOMICILE_LAB_BASE");
  return base_of(args.get("base", set == nullptr ? "0" : set));
}

fs::path checkout() {
  std::error_code code;
  return fs::read_symlink("/proc/self/exe", code).parent_path().parent_path();
}

Result<fs::path> lab_directory(const Args& args) { return lab::default_directory(checkout(), TRY(lab_base(args))); }

Result<Exit> lab_do(const Args& args, Io& io, const std::string& verb, const Json& body, const std::string& done) {
  (void)TRY(lab::ask(TRY(lab_directory(args)), "POST", "/" + verb, body));
  io.err << done << "\n";
  return Exit::ok;
}

Result<std::int64_t> lab_figure(const std::string& text) {
  std::int64_t value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc() || end != text.data() + text.size())
    return fail(Kind::invalid_input, "'" + text + "' is no whole number");
  return value;
}

Result<Exit> lab_do_site(const Args& args, Io& io, const std::string& verb, const std::string& done) {
  const std::string& site = args.words.at(0);
  return lab_do(args, io, verb, {{"site", site}}, fmt::format("{} is {}", site, done));
}

}  // namespace domicile::cli
