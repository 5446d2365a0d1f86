#include "core/desired/seen.hpp"

#include "base/sha256.hpp"

namespace domicile::desired {
namespace {

Json of(const PublishedTable& table) {
  return {{"table", table.table}, {"columns", table.columns}, {"filter", table.filter}};
}

Json of(const SeenTable& table) {
  Json columns = Json::array(), uniques = Json::array();
  for (const auto& c : table.columns)
    columns.push_back({{"name", c.name},
                       {"type", c.type},
                       {"not_null", c.not_null},
                       {"generated", c.generated},
                       {"otherwise", c.otherwise},
                       {"steady", c.steady}});
  for (const auto& u : table.uniques)
    uniques.push_back({{"name", u.name},
                       {"columns", u.columns},
                       {"primary", u.primary},
                       {"partial", u.partial},
                       {"deferrable", u.deferrable}});
  return {{"owner", table.owner},
          {"owner_logins", table.owner_logins},
          {"kind", table.kind},
          {"persistence", table.persistence},
          {"parent", table.parent},
          {"columns", columns},
          {"uniques", uniques},
          {"identity", table.identity},
          {"identity_full", table.identity_full},
          {"guard", static_cast<int>(table.guard)},
          {"writers", table.writers},
          {"truncaters", table.truncaters},
          {"agent_granted", table.agent_granted},
          {"public_reads", table.public_reads},
          {"law", table.law},
          {"after_law", table.after_law}};
}

Json of(const SeenObject& object) {
  return {{"kind", topology::name_of(object.kind)},
          {"name", object.name},
          {"how", object.how},
          {"columns", object.columns},
          {"mapped", object.mapped},
          {"definer", object.definer},
          {"open", object.open}};
}

}  // namespace

Json to_json(const Seen& seen) {
  const auto& server = seen.server;
  Json out = {{"server",
               {{"version", server.version},
                {"database", server.database},
                {"system_id", server.system_id},
                {"wal_level", server.wal_level},
                {"fsync", server.fsync},
                {"synchronous_commit", server.synchronous_commit},
                {"max_prepared_transactions", server.max_prepared_transactions},
                {"superuser", server.superuser}}},
              {"schema_version", seen.schema_version ? Json(*seen.schema_version) : Json()},
              {"foreign_schema", seen.foreign_schema},
              {"guard", {{"form", seen.guard_form}, {"observes", seen.guard_observes}}},
              {"tables", Json::object()},
              {"publications", Json::object()},
              {"subscriptions", Json::object()},
              {"slots", seen.slots},
              {"our_slots", seen.our_slots},
              {"roles", Json::object()},
              {"replicators", seen.replicators},
              {"objects", Json::array()},
              {"settings", Json::array()}};
  for (const auto& object : seen.objects) out["objects"].push_back(of(object));
  for (const auto& s : seen.settings) out["settings"].push_back(Json::array({s.name, s.value, s.scope}));
  for (const auto& [name, table] : seen.tables) out["tables"][name] = of(table);
  for (const auto& [name, publication] : seen.publications) {
    Json tables = Json::array();
    for (const auto& table : publication.tables) tables.push_back(of(table));
    out["publications"][name] = {{"ours", publication.ours},
                                 {"all_tables", publication.all_tables},
                                 {"via_root", publication.via_root},
                                 {"publish", publication.publish},
                                 {"tables", tables}};
  }
  for (const auto& [name, s] : seen.subscriptions)
    out["subscriptions"][name] = {{"slot", s.slot}, {"enabled", s.enabled}, {"ours", s.ours}};
  for (const auto& [name, r] : seen.roles)
    out["roles"][name] = {{"login", r.login},
                          {"replication", r.replication},
                          {"superuser", r.superuser},
                          {"bypass_rls", r.bypass_rls},
                          {"ours", r.ours}};
  return out;
}

std::string base_hash(const Seen& seen) { return sha256_hex(dump(to_json(seen))); }

}  // namespace domicile::desired
