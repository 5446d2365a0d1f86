#include "cli/explain_layers.hpp"

#include <cstring>
#include <limits>
#include <set>

#include "agent/snapshot_words.hpp"
#include "base/clock.hpp"
#include "cli/agent_client.hpp"
#include "cli/status_view.hpp"
#include "core/residency/links.hpp"
#include "core/snapshot/compile.hpp"
#include "core/topology/parse.hpp"
#include "engines/postgres/connection.hpp"

namespace domicile::cli {
namespace {

using snapshot::Action;

std::vector<snapshot::Bucket> aligned(const std::string& bytes) {
  std::vector<snapshot::Bucket> out(bytes.size() / sizeof(snapshot::Bucket) + 1);
  std::memcpy(static_cast<void*>(out.data()), bytes.data(), bytes.size());
  return out;
}

std::string sentence(const snapshot::Decision& decision, const std::string& owner) {
  switch (decision.action) {
    case Action::serve:
      return "serve here";
    case Action::tunnel:
      return "tunnel to " + owner + ", undecrypted";
    case Action::forward:
      return "forward to " + owner + " by mutual TLS";
    case Action::hold:
      return decision.reason == snapshot::Reason::tenant_moving ? "hold until the tenant has moved"
                                                                : "hold until the switch ends";
    case Action::misdirected_421:
      return "421: another connection finds its way home";
    case Action::refuse_451:
      return "451: may not be held here, by law";
    case Action::unavailable_503:
      return "503: nobody may serve it now";
    case Action::unknown_504:
      return "504: outcome unknown";
    case Action::bad_400:
      return "400: contradictory identities";
  }
  return "?";
}

// One row per host of a tenant, or one row with a null host.
Result<postgres::Rows> ask_directory(const std::string& conninfo, const char* where, const std::string& value) {
  postgres::OpenOptions options;
  options.statement_timeout = 10 * kSecond;
  auto connection = TRY(postgres::Connection::open(conninfo, options));
  return connection.exec_params(std::string("SELECT t.tenant_id, t.residency, h.host FROM domicile.tenant t LEFT JOIN "
                                            "domicile.host h USING (tenant_id) WHERE NOT t.tombstone AND ") +
                                    where + " = $1 ORDER BY h.host",
                                {value});
}

Subject subject_of(const postgres::Rows& rows) {
  Subject subject{rows.text(0, 0), rows.text(0, 1), {}, 0, "domicile.tenant, domicile.host"};
  for (int i = 0; i < rows.size(); ++i)
    if (!rows.null(i, 2)) subject.hosts.push_back(rows.text(i, 2));
  subject.host_count = subject.hosts.size();
  return subject;
}

std::string tenants_source(const snapshot::TenantsView& view) {
  return fmt::format("tenants.snap, generation {}", view.generation());
}

tl::unexpected<Error> unknown(const std::string& what) {
  return fail(Kind::refused, what + ": it is refused everywhere", "domicile tenant add, or correct the name");
}

}  // namespace

std::vector<Option> with_explain_options(std::vector<Option> own) {
  own.push_back({"config", "FILE", std::string("agent.yaml: names topology and gateway (") + kAgentConfig + ")."});
  own.push_back({"topology", "FILE", "The topology, when it is another one."});
  own.push_back({"gateway", "DIR", "The folder of tenants.snap and authority.snap, when it is another one."});
  own.push_back({"database", "CONNINFO", "Read the directory from this database instead of tenants.snap."});
  own.push_back({"json", "", "Print one JSON object."});
  return own;
}

std::string layers_text(const std::vector<LayerDecision>& layers, bool colour) {
  std::vector<std::vector<std::string>> rows = {{"LAYER", "DECISION", "RULE"}};
  for (const LayerDecision& each : layers) rows.push_back({each.layer, each.decision, each.rule});
  return columns_text(rows, {colour, 0});
}

Json layers_json(const std::vector<LayerDecision>& layers) {
  Json out = Json::array();
  for (const LayerDecision& each : layers)
    out.push_back({{"layer", each.layer}, {"decision", each.decision}, {"rule", each.rule}});
  return out;
}

Result<void> GatewayWorld::open(std::string tenants, std::string authority, std::string_view boot_id) {
  tenants_bytes_ = aligned(tenants);
  authority_bytes_ = aligned(authority);
  if (!tenants.empty())
    if (const auto flaw = tenants_.open(tenants_bytes_.data(), tenants.size()); flaw != snapshot::Flaw::none)
      return fail(Kind::corrupt, fmt::format("tenants.snap is {}", snapshot::name_of(flaw)));
  if (!authority.empty())
    if (const auto flaw = authority_.open(authority_bytes_.data(), authority.size()); flaw != snapshot::Flaw::none)
      return fail(Kind::corrupt, fmt::format("authority.snap is {}", snapshot::name_of(flaw)));
  world_.bind(&tenants_, &authority_, boot_id);
  return {};
}

Result<std::unique_ptr<Explainer>> Explainer::of(const Args& args) {
  std::string topology_file = args.get("topology"), gateway = args.get("gateway");
  if (topology_file.empty() || gateway.empty()) {
    const auto config = TRY(agent::read_agent_config(args.get("config", kAgentConfig)));
    if (topology_file.empty()) topology_file = config.topology;
    if (gateway.empty() && !config.gateway)
      return fail(Kind::invalid_input, "this agent has no gateway whose snapshots could be read", "--gateway DIR");
    if (gateway.empty()) gateway = config.gateway->directory;
  }
  auto out = std::make_unique<Explainer>();
  out->topology_ = TRY(topology::load(TRY(read_file(topology_file)), topology_file));
  out->database_ = args.get("database");
  const auto authority = TRY(read_file(fs::path(gateway) / "authority.snap"));
  const auto tenants = out->database_.empty() ? TRY(read_file(fs::path(gateway) / "tenants.snap")) : std::string();
  CHECK_OK(out->files_.open(tenants, authority, host_boot_id()));
  out->authority_bytes_ = authority;
  return out;
}

Result<Subject> Explainer::tenant(const std::string& id) {
  if (!database_.empty()) {
    const auto rows = TRY(ask_directory(database_, "t.tenant_id", id));
    if (rows.empty()) return unknown("the directory knows no tenant " + id);
    return routed(subject_of(rows));
  }
  // The index is by host; for a person's question all of it may be read.
  const auto& view = files_.tenants();
  Subject subject{id, "", {}, 0, tenants_source(view)};
  const std::size_t buckets = view.index_bytes() / sizeof(snapshot::Bucket);
  for (std::size_t i = 0; i < buckets; ++i)
    for (std::size_t slot = 0; slot < 4; ++slot) {
      const snapshot::Bucket& bucket = view.index()[i];
      if (bucket.fingerprint[slot] == 0) continue;
      const snapshot::Found found{bucket.residency[slot], bucket.record[slot]};
      snapshot::TenantId text;
      if (!view.tenant(found, text) || text.view() != id) continue;
      subject.residency = std::string(view.residency(found.residency));
      ++subject.host_count;
    }
  if (subject.host_count == 0) return unknown("no host in tenants.snap belongs to a tenant " + id);
  return routed(subject);
}

Result<Subject> Explainer::host(const std::string& name) {
  if (!database_.empty()) {
    const auto rows = TRY(ask_directory(database_, "h.host", name));
    if (rows.empty()) return unknown("the directory knows no host " + name);
    return routed(subject_of(rows));
  }
  const auto& view = files_.tenants();
  const auto found = view.find(name);
  snapshot::TenantId text;
  if (found.residency == snapshot::kNone || !view.same_host(found, name) || !view.tenant(found, text))
    return unknown("no tenant has the host " + name);
  return routed(
      {std::string(text.view()), std::string(view.residency(found.residency)), {name}, 1, tenants_source(view)});
}

Subject Explainer::routed(Subject subject) const {
  const auto& view = files_.authority();
  subject.listed = subject.residency;
  for (std::uint16_t i = 0; i < view.moves(); ++i) {
    if (view.move(i).tenant != subject.tenant) continue;
    subject.residency = view.move(i).residency;
    subject.moves = true;
    subject.held = view.move(i).held != 0;
  }
  return subject;
}

const snapshot::AuthorityEntry* Explainer::entry_of(const Subject& subject) const {
  const auto index = files_.authority().find(subject.residency);
  return index == snapshot::kNone ? nullptr : &files_.authority().entry(index);
}

const topology::Residency* Explainer::residency_of(const Subject& subject) const {
  return topology::residency_of(topology_, subject.residency);
}

LayerDecision Explainer::directory(const Subject& subject) const {
  return {"directory",
          fmt::format("tenant {} has residency {}, {} host{}", subject.tenant, subject.listed, subject.host_count,
                      subject.host_count == 1 ? "" : "s"),
          subject.source};
}

std::optional<LayerDecision> Explainer::move(const Subject& subject) const {
  if (!subject.moves) return {};
  return LayerDecision{
      "move",
      subject.held
          ? "it moves to another residency: until it has, all of its requests wait"
          : fmt::format("it has moved: its residency is {}, also where the directory is behind", subject.residency),
      fmt::format("authority.snap of {}, generation {}", files_.authority().region(), files_.authority().generation())};
}

LayerDecision Explainer::unknown_host(std::string_view host) const {
  return {"directory", fmt::format("no tenant has the host {}", host),
          database_.empty() ? tenants_source(files_.tenants()) : "domicile.tenant, domicile.host"};
}

LayerDecision Explainer::law(const Subject& subject, const topology::Region& region) const {
  const auto* residency = residency_of(subject);
  if (subject.residency.empty()) return {"law", "nothing may be held anywhere", "no tenant, no residency"};
  if (residency == nullptr)
    return {"law", "nothing may be held anywhere", "the topology has no residency " + subject.residency};
  const auto form = topology::form_in(*residency, region.jurisdiction);
  return {"law",
          fmt::format("{} may hold {}", region.name.str(),
                      form == topology::Form::none ? "nothing of it" : fmt::format("it {}", topology::name_of(form))),
          fmt::format("residencies.{}.holds.{}", subject.residency, region.jurisdiction.str())};
}

LayerDecision Explainer::owners(const Subject& subject) const {
  const auto* residency = residency_of(subject);
  if (residency == nullptr) return {"ownership", "nobody may ever own it", "no such residency"};
  std::string all;
  for (const auto& each : topology::owners_of(*residency)) all += (all.empty() ? "" : ", ") + each.str();
  return {"ownership", "may be owned by " + all, fmt::format("residencies.{}.home, .standby", subject.residency)};
}

LayerDecision Explainer::authority(const Subject& subject) const {
  const auto* entry = entry_of(subject);
  const std::string rule =
      fmt::format("authority.snap of {}, generation {}", files_.authority().region(), files_.authority().generation());
  if (entry == nullptr) return {"authority", "not known", rule};
  return {"authority",
          fmt::format("{} owns it, {}, epoch {}", entry->owner[0] == 0 ? "nobody" : entry->owner,
                      snapshot::name_of(entry->current_mode()), entry->epoch),
          rule};
}

std::vector<LayerDecision> Explainer::links(const Subject& subject) const {
  std::vector<LayerDecision> out;
  const auto* entry = entry_of(subject);
  if (entry == nullptr) return out;
  for (const auto& link : residency::active_links(topology_, {{subject.residency, entry->owner}}))
    if (link.residency == subject.residency)
      out.push_back({"replication", fmt::format("{} -> {}, {}", link.from, link.to, topology::name_of(link.form)),
                     residency::name_of(link)});
  return out;
}

LayerDecision Explainer::guard(const Subject& subject) const {
  if (subject.held) return {"database", "no row of it is written until it has moved", "guard: DM006"};
  if (subject.tenant.empty()) return {"database", "no row of an unknown tenant is written", "guard: DM002"};
  return {"database",
          fmt::format("rows of {} are written at the owner only, while its lease lasts, and only as {}", subject.tenant,
                      subject.residency),
          "guard: DM001, DM002"};
}

// The same records as this gateway's, as `region`'s would have them: its own form, its lease open where it owns.
Result<void> Explainer::seen_from(const std::string& region, const Subject& subject, GatewayWorld& world) const {
  constexpr const char* kSomeAddress = "192.0.2.1:443";
  snapshot::AuthoritySnapshot snap{
      files_.authority().generation(), region, std::string(files_.authority().policy_hash()), "assumed", {}};
  const auto* entry = entry_of(subject);
  const auto* residency = residency_of(subject);
  if (entry != nullptr && residency != nullptr) {
    snapshot::AuthorityRow row;
    row.residency = subject.residency;
    row.owner = entry->owner;
    row.epoch = entry->epoch;
    row.mode = entry->current_mode();
    row.switch_id = entry->switch_id;
    row.here = agent::form_of(topology::form_at(topology_, *residency, region));
    row.reads_stale = entry->reads_stale != 0;
    if (row.owner == region)
      row.lease_end = std::numeric_limits<Micros>::max();
    else
      row.tunnel = row.forward = kSomeAddress;
    snap.rows.push_back(row);
  }
  if (subject.moves) snap.moves.push_back({subject.tenant, subject.residency, subject.held});
  snapshot::TenantsSnapshot tenants;
  tenants.generation = 1;
  if (!subject.tenant.empty()) tenants.hosts.push_back({"subject.invalid", subject.tenant, subject.residency});
  const bool own = region == files_.authority().region();
  const std::string boot = own ? host_boot_id() : "assumed";
  return world.open(TRY(snapshot::compile(tenants)), own ? authority_bytes_ : TRY(snapshot::compile(snap)), boot);
}

std::optional<LayerDecision> Explainer::assumed(const std::string& region) const {
  const std::string_view own = files_.authority().region();
  if (region == own) return {};
  return LayerDecision{
      "assumed",
      fmt::format("{} has the records and the tenants that {} has, its topology is this one, a lease that it "
                  "owns is open, its peers answer; not known: its load and what its workers obey",
                  region, own),
      fmt::format("ask there: domicile explain request --from {} at {}", region, region)};
}

Result<LayerDecision> Explainer::connection(const Subject& subject, const std::string& region) const {
  GatewayWorld world;
  CHECK_OK(seen_from(region, subject, world));
  const auto decision = snapshot::decide_connection(world.world(), "subject.invalid", false);
  const auto* entry = entry_of(subject);
  const std::string text = decision.action == Action::serve ? "decrypt it here"
                           : decision.action == Action::misdirected_421
                               ? "the TLS alert unrecognized_name"
                               : sentence(decision, entry == nullptr ? "" : entry->owner);
  return LayerDecision{"connection", fmt::format("at {}: {}", region, text),
                       std::string(snapshot::name_of(decision.reason))};
}

Result<LayerDecision> Explainer::request(const Subject& subject, const std::string& region,
                                         const std::string& method) const {
  GatewayWorld world;
  CHECK_OK(seen_from(region, subject, world));
  snapshot::Question question;
  question.host = "subject.invalid";
  question.write = snapshot::is_write(method);
  question.via = snapshot::Via::tls;
  question.now = boottime_now();
  const auto decision = snapshot::decide(world.world(), question);
  const auto* entry = entry_of(subject);
  return LayerDecision{
      "request",
      fmt::format("{} decrypted at {}: {}", method, region, sentence(decision, entry == nullptr ? "" : entry->owner)),
      std::string(snapshot::name_of(decision.reason))};
}

void Explainer::print(const Json& head, const std::vector<LayerDecision>& layers, const Args& args, Io& io) const {
  const std::string hash = residency::policy_hash(topology_), used(files_.authority().policy_hash());
  // The gateway keeps one byte less than all of it.
  const bool same = hash.starts_with(used) && !used.empty();
  if (args.has("json")) {
    Json out = head;
    out["layers"] = layers_json(layers);
    out["policy_hash"] = hash;
    out["gateway_has_this_policy"] = same;
    io.out << dump(out) << "\n";
  } else {
    io.out << layers_text(layers, io.terminal) << "\npolicy " << hash << "\n";
  }
  if (!same) io.err << "the gateway works by another policy: " << used << "\n";
}

}  // namespace domicile::cli
