// Reads a daemon's YAML settings: each is asked for by name and checked where it stands, and a name that nobody asked
// for is an error. Errors are DOM-E600 (no YAML) and DOM-E601, with file, line and column.
#pragma once
#include <yaml-cpp/yaml.h>

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "base/file.hpp"
#include "base/http_client.hpp"

namespace domicile::settings {

class Section {
 public:
  // `reference`: the page that a person finds the settings on.
  Section(YAML::Node node, std::string file, std::string path, std::string reference)
      : node_(std::move(node)), file_(std::move(file)), path_(std::move(path)), reference_(std::move(reference)) {}

  tl::unexpected<Error> bad(const YAML::Node& at, const std::string& what) const;
  // `error`, at the place where `key` stands.
  tl::unexpected<Error> at(const char* key, Error error) const;

  Result<std::string> text(const char* key);
  Result<std::string> text_or(const char* key, std::string otherwise);
  Result<bool> yes(const char* key);  // false when it is not there
  Result<std::vector<std::string>> list(const char* key);
  Result<Section> section(const char* key);
  bool has(const char* key) const { return static_cast<bool>(node_[key]); }
  std::vector<std::string> keys() const;
  // Every key of this mapping must have been asked for.
  Result<void> finish() const;

 private:
  YAML::Node node_;
  std::string file_, path_, reference_;
  std::set<std::string> asked_;
};

// The three files of mutual TLS: ca, certificate, key.
Result<TlsFiles> read_tls(Section& s);

// Loads `file` and reads its mapping by `read`. yaml-cpp's exceptions end here.
Result<void> read_settings(const fs::path& file, const std::string& reference,
                           const std::function<Result<void>(Section&)>& read);

}  // namespace domicile::settings
