#include "gate/config.hpp"

#include <charconv>

#include "core/desired/desired.hpp"
#include "core/residency/links.hpp"
#include "settings/section.hpp"

namespace domicile::gate {
namespace {

constexpr std::size_t kMegabyte = 1U << 20;

Result<void> read_listen(settings::Section& s, GateFile& file) {
  const auto listen = TRY(s.text("listen"));
  const auto colon = listen.rfind(':');
  const std::string port = colon == std::string::npos ? "" : listen.substr(colon + 1);
  const auto [end, problem] = std::from_chars(port.data(), port.data() + port.size(), file.port);
  if (port.empty() || problem != std::errc{} || end != port.data() + port.size() || file.port < 1 || file.port > 65535)
    return s.at("listen", {Kind::invalid_input, "write ip:port"});
  file.host = listen.substr(0, colon);
  return {};
}

Result<void> read_root(settings::Section& s, GateFile& file) {
  file.region = TRY(s.text("region"));
  file.topology = TRY(s.text("topology"));
  file.state = TRY(s.text("state"));
  file.socket = TRY(s.text("socket"));
  CHECK_OK(read_listen(s, file));
  file.tls = TRY(settings::read_tls(s));
  file.database = TRY(s.text("database"));
  file.name = TRY(s.text("database_name"));
  file.revoked_file = TRY(s.text_or("revoked_file", ""));
  const auto largest = TRY(s.text_or("largest_row_mb", "256"));
  std::size_t megabytes = 0;
  const auto [end, problem] = std::from_chars(largest.data(), largest.data() + largest.size(), megabytes);
  if (problem != std::errc{} || end != largest.data() + largest.size() || megabytes < 1 || megabytes > 1024)
    return s.at("largest_row_mb", {Kind::invalid_input, "write a number from 1 to 1024"});
  file.largest_row = megabytes * kMegabyte;
  const auto format = TRY(s.text_or("log", "text"));
  if (format != "text" && format != "json") return s.at("log", {Kind::invalid_input, "write text or json"});
  file.log = format == "json" ? Log::Format::json : Log::Format::text;
  return {};
}

LinkTable carried(const residency::CarriedTable& table) {
  return {table.schema, table.name, table.residency_column, table.columns};
}

}  // namespace

Result<GateFile> read_gate_file(const fs::path& file) {
  GateFile out;
  CHECK_OK(settings::read_settings(file, "docs/reference/gate.md",
                                   [&](settings::Section& s) -> Result<void> { return read_root(s, out); }));
  return out;
}

std::vector<GateLink> gate_links(const topology::Topology& topology, const std::string& region) {
  std::vector<GateLink> out;
  for (const auto& link : residency::links_of(topology)) {
    if (link.from != region) continue;
    GateLink one{{residency::name_of(link), link.residency, {}}, link.to, std::string(topology::name_of(link.form))};
    for (const auto& table : residency::carried_tables(topology, link.residency, link.form))
      one.rule.tables.push_back(carried(table));
    one.rule.tables.push_back(carried(residency::marker_table()));
    out.push_back(std::move(one));
  }
  return out;
}

std::map<std::string, std::string> gate_peers(const std::vector<GateLink>& links) {
  std::map<std::string, std::string> peers;
  for (const auto& link : links) peers[desired::link_role(link.to)] = link.to;
  return peers;
}

}  // namespace domicile::gate
