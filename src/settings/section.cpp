#include "settings/section.hpp"

namespace domicile::settings {

tl::unexpected<Error> Section::bad(const YAML::Node& at, const std::string& what) const {
  Error error{Kind::invalid_input, what, "see " + reference_, "DOM-E601"};
  const YAML::Mark mark = at.IsDefined() && !at.Mark().is_null() ? at.Mark() : node_.Mark();
  error.where = fmt::format("{}:{}:{}", file_, mark.line + 1, mark.column + 1);
  return tl::unexpected<Error>(error);
}

tl::unexpected<Error> Section::at(const char* key, Error error) const {
  auto placed = bad(node_[key], fmt::format("'{}{}': {}", path_, key, error.what)).value();
  error.what = placed.what;
  error.where = placed.where;
  return tl::unexpected<Error>(std::move(error));
}

Result<std::string> Section::text(const char* key) {
  asked_.insert(key);
  const YAML::Node value = node_[key];
  if (!value || !value.IsScalar() || value.Scalar().empty())
    return bad(value, fmt::format("'{}{}' is missing", path_, key));
  return value.Scalar();
}

Result<std::string> Section::text_or(const char* key, std::string otherwise) {
  asked_.insert(key);
  const YAML::Node value = node_[key];
  if (!value) return otherwise;
  if (!value.IsScalar()) return bad(value, fmt::format("'{}{}' must be text", path_, key));
  return value.Scalar();
}

Result<bool> Section::yes(const char* key) {
  const auto text = TRY(text_or(key, "false"));
  if (text != "true" && text != "false") return bad(node_[key], fmt::format("'{}{}' is true or false", path_, key));
  return text == "true";
}

Result<std::vector<std::string>> Section::list(const char* key) {
  asked_.insert(key);
  const YAML::Node value = node_[key];
  if (!value || !value.IsSequence()) return bad(value, fmt::format("'{}{}' must be a list", path_, key));
  std::vector<std::string> out;
  for (const auto& entry : value) {
    if (!entry.IsScalar()) return bad(entry, fmt::format("'{}{}' must be a list of texts", path_, key));
    out.push_back(entry.Scalar());
  }
  return out;
}

Result<Section> Section::section(const char* key) {
  asked_.insert(key);
  const YAML::Node value = node_[key];
  if (!value || !value.IsMap()) return bad(value, fmt::format("'{}{}' must be a mapping", path_, key));
  return Section(value, file_, path_ + key + ".", reference_);
}

std::vector<std::string> Section::keys() const {
  std::vector<std::string> out;
  for (const auto& entry : node_)
    if (entry.first.IsScalar()) out.push_back(entry.first.Scalar());
  return out;
}

Result<void> Section::finish() const {
  for (const auto& entry : node_)
    if (!entry.first.IsScalar() || !asked_.contains(entry.first.Scalar()))
      return bad(entry.first,
                 fmt::format("'{}{}' is no setting", path_, entry.first.IsScalar() ? entry.first.Scalar() : "?"));
  return {};
}

Result<TlsFiles> read_tls(Section& s) {
  TlsFiles tls;
  tls.ca = TRY(s.text("ca"));
  tls.certificate = TRY(s.text("certificate"));
  tls.key = TRY(s.text("key"));
  return tls;
}

Result<void> read_settings(const fs::path& file, const std::string& reference,
                           const std::function<Result<void>(Section&)>& read) {
  const std::string text = TRY(read_file(file));
  try {
    const YAML::Node root = YAML::Load(text);
    Section section(root, file.string(), "", reference);
    if (!root.IsMap()) return section.bad(root, "the settings of a daemon are a mapping");
    CHECK_OK(read(section));
    return section.finish();
  } catch (const YAML::Exception& e) {
    Error error{Kind::invalid_input, "not valid YAML: " + e.msg, "", "DOM-E600"};
    error.where = fmt::format("{}:{}:{}", file.string(), e.mark.line + 1, e.mark.column + 1);
    return tl::unexpected<Error>(error);
  }
}

}  // namespace domicile::settings
