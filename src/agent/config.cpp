#include "agent/config.hpp"

#include <yaml-cpp/yaml.h>

#include <set>

#include "core/topology/reader.hpp"

namespace domicile::agent {
namespace {

// Reads one mapping: what was asked for by name; a name that nobody asked for is an error at the end.
class Section {
 public:
  Section(YAML::Node node, std::string file, std::string path)
      : node_(std::move(node)), file_(std::move(file)), path_(std::move(path)) {}

  tl::unexpected<Error> bad(const YAML::Node& at, const std::string& what) const {
    Error error{Kind::invalid_input, what, "see docs/reference/agent.md", "DOM-E601"};
    const YAML::Mark mark = at.IsDefined() && !at.Mark().is_null() ? at.Mark() : node_.Mark();
    error.where = fmt::format("{}:{}:{}", file_, mark.line + 1, mark.column + 1);
    return tl::unexpected<Error>(error);
  }

  Result<std::string> text(const char* key) {
    asked_.insert(key);
    const YAML::Node value = node_[key];
    if (!value || !value.IsScalar()) return bad(value, fmt::format("'{}{}' is missing", path_, key));
    return value.Scalar();
  }
  Result<std::string> text_or(const char* key, std::string otherwise) {
    asked_.insert(key);
    const YAML::Node value = node_[key];
    if (!value) return otherwise;
    if (!value.IsScalar()) return bad(value, fmt::format("'{}{}' must be text", path_, key));
    return value.Scalar();
  }
  Result<std::vector<std::string>> list(const char* key) {
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
  bool has(const char* key) const { return static_cast<bool>(node_[key]); }
  Result<Section> section(const char* key) {
    asked_.insert(key);
    const YAML::Node value = node_[key];
    if (!value || !value.IsMap()) return bad(value, fmt::format("'{}{}' must be a mapping", path_, key));
    return Section(value, file_, path_ + key + ".");
  }
  std::vector<std::string> keys() const {
    std::vector<std::string> out;
    for (const auto& entry : node_)
      if (entry.first.IsScalar()) out.push_back(entry.first.Scalar());
    return out;
  }
  // Every key of this mapping must have been asked for.
  Result<void> finish() const {
    for (const auto& entry : node_)
      if (!entry.first.IsScalar() || !asked_.contains(entry.first.Scalar()))
        return bad(entry.first,
                   fmt::format("'{}{}' is no setting", path_, entry.first.IsScalar() ? entry.first.Scalar() : "?"));
    return {};
  }

 private:
  YAML::Node node_;
  std::string file_, path_;
  std::set<std::string> asked_;
};

Result<TlsFiles> read_tls(Section& s) {
  TlsFiles tls;
  tls.ca = TRY(s.text("ca"));
  tls.certificate = TRY(s.text("certificate"));
  tls.key = TRY(s.text("key"));
  return tls;
}

Result<EtcdConfig> read_etcd(Section s) {
  EtcdConfig etcd;
  etcd.endpoints = TRY(s.list("endpoints"));
  etcd.user = TRY(s.text("user"));
  etcd.password_file = TRY(s.text("password_file"));
  etcd.tls = TRY(read_tls(s));
  CHECK_OK(s.finish());
  return etcd;
}

Result<std::map<std::string, std::vector<std::string>>> read_roles(Section s) {
  std::map<std::string, std::vector<std::string>> roles;
  for (const auto& name : s.keys()) roles[name] = TRY(s.list(name.c_str()));
  return roles;
}

Result<ApiConfig> read_api(Section s) {
  ApiConfig api;
  const auto listen = TRY(s.text("listen"));
  const auto colon = listen.rfind(':');
  if (colon == std::string::npos) return s.bad({}, "'api.listen' must be host:port");
  api.host = listen.substr(0, colon);
  api.port = std::atoi(listen.c_str() + colon + 1);
  if (api.port < 1 || api.port > 65535) return s.bad({}, "'api.listen' has no port between 1 and 65535");
  api.socket = TRY(s.text("socket"));
  api.tls = TRY(read_tls(s));
  if (s.has("roles")) api.roles = TRY(read_roles(TRY(s.section("roles"))));
  api.revoked_file = TRY(s.text_or("revoked_file", ""));
  CHECK_OK(s.finish());
  return api;
}

Result<std::map<std::string, SiteConfig>> read_sites(Section s) {
  std::map<std::string, SiteConfig> sites;
  for (const auto& name : s.keys()) {
    Section one = TRY(s.section(name.c_str()));
    SiteConfig& site = sites[name];
    site.api = TRY(one.text("api"));
    site.link = TRY(one.text_or("link", ""));
    site.tunnel = TRY(one.text_or("tunnel", ""));
    site.forward = TRY(one.text_or("forward", ""));
    CHECK_OK(one.finish());
  }
  return sites;
}

Result<AgentConfig> read_root(Section s) {
  AgentConfig config;
  config.region = TRY(s.text("region"));
  config.topology = TRY(s.text("topology"));
  config.state = TRY(s.text("state"));
  config.database = TRY(s.text_or("database", ""));
  config.etcd = TRY(read_etcd(TRY(s.section("etcd"))));
  config.api = TRY(read_api(TRY(s.section("api"))));
  if (s.has("gateway")) {
    Section gateway = TRY(s.section("gateway"));
    config.gateway = GatewayConfig{TRY(gateway.text("directory"))};
    CHECK_OK(gateway.finish());
  }
  config.sites = TRY(read_sites(TRY(s.section("sites"))));
  const auto format = TRY(s.text_or("log", "text"));
  if (format != "text" && format != "json") return s.bad({}, "'log' must be text or json");
  config.log = format == "json" ? Log::Format::json : Log::Format::text;
  config.drift_period = topology::duration_of(TRY(s.text_or("drift_period", "5s"))).value_or(0);
  if (config.drift_period < 100 * kMillisecond) return s.bad({}, "'drift_period' must be a duration of at least 100ms");
  config.stall_directory = TRY(s.text_or("stall_directory", ""));
  CHECK_OK(s.finish());
  return config;
}

}  // namespace

Result<AgentConfig> read_agent_config(const fs::path& file) {
  const std::string text = TRY(read_file(file));
  try {
    const YAML::Node root = YAML::Load(text);
    Section section(root, file.string(), "");
    if (!root.IsMap()) return section.bad(root, "an agent's configuration is a mapping");
    return read_root(section);
  } catch (const YAML::Exception& e) {  // yaml-cpp speaks by exceptions; they end here
    Error error{Kind::invalid_input, "not valid YAML: " + e.msg, "", "DOM-E600"};
    error.where = fmt::format("{}:{}:{}", file.string(), e.mark.line + 1, e.mark.column + 1);
    return tl::unexpected<Error>(error);
  }
}

}  // namespace domicile::agent
