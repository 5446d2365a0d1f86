#include "core/desired/readiness.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <tuple>

#include "core/desired/law.hpp"
#include "core/desired/objects.hpp"
#include "core/desired/plan.hpp"
#include "core/desired/value_logs.hpp"

namespace domicile::desired {
namespace {

using topology::Form;
using topology::Identifier;
using topology::Table;

std::string quote(std::string_view name) { return fmt::format("\"{}\"", name); }
std::string quoted_table(const std::string& schema, const std::string& name) {
  return quote(schema) + "." + quote(name);
}
bool contains(const std::vector<std::string>& list, std::string_view text) {
  return std::find(list.begin(), list.end(), text) != list.end();
}
bool contains(const std::vector<Identifier>& list, std::string_view text) {
  return std::any_of(list.begin(), list.end(), [&](const auto& name) { return name.str() == text; });
}

const SeenColumn* column_of(const SeenTable& table, std::string_view name) {
  for (const auto& column : table.columns)
    if (column.name == name) return &column;
  return nullptr;
}

class Examination {
 public:
  Examination(const Context& context, const Seen& seen) : context_(context), seen_(seen) {
    for (const auto& link : residency::links_of(context.topology))
      receives_reduced_ |= link.to == context.region && link.form == Form::reduced;
  }

  std::vector<Finding> run() && {
    server();
    replicators();
    publications();
    kept();
    for (const auto& table : context_.topology.tables) {
      const auto found = seen_.tables.find(table.qualified());
      if (found == seen_.tables.end()) {
        refuse("DOM-P010", table.qualified(), "the table of the topology does not exist", "",
               "create it, or take it out of the topology");
        continue;
      }
      examine(table, found->second);
      for (const auto& [name, leaf] : seen_.tables)
        if (leaf.parent == table.qualified()) partition(table, found->second, leaf);
    }
    for (auto& finding : objects(context_, seen_)) findings_.push_back(std::move(finding));
    for (auto& finding : value_logs(context_, seen_)) findings_.push_back(std::move(finding));
    std::sort(findings_.begin(), findings_.end(), [](const Finding& a, const Finding& b) {
      return std::tuple(!a.refuses, a.object, a.code, a.cause) < std::tuple(!b.refuses, b.object, b.code, b.cause);
    });
    return std::move(findings_);
  }

 private:
  void refuse(std::string code, std::string object, std::string cause, std::string migration, std::string advice = {}) {
    findings_.push_back(
        {std::move(code), true, std::move(object), std::move(cause), std::move(migration), std::move(advice)});
  }
  void warn(std::string code, std::string object, std::string cause, std::string migration, std::string advice = {}) {
    findings_.push_back(
        {std::move(code), false, std::move(object), std::move(cause), std::move(migration), std::move(advice)});
  }

  void server() {
    const auto& server = seen_.server;
    if (server.version < 150000)
      refuse("DOM-P001", "server",
             fmt::format("PostgreSQL {} has no row filters and column lists", server.version / 10000), "",
             "PostgreSQL 15 or later");
    if (server.wal_level != "logical")
      refuse("DOM-P002", "wal_level", "wal_level is " + server.wal_level + ": nothing can be decoded from it",
             "ALTER SYSTEM SET wal_level = 'logical';", "needs a restart");
    if (server.fsync != "on")
      refuse("DOM-P003", "fsync", "fsync is off: a crash may lose the fence and every acknowledged row",
             "ALTER SYSTEM SET fsync = 'on';");
    if (server.synchronous_commit == "off")
      warn("DOM-P004", "synchronous_commit", "synchronous_commit is off: a crash loses acknowledged writes",
           "ALTER SYSTEM SET synchronous_commit = 'on';");
    // The portable guard cannot see PREPARE TRANSACTION, and therefore opens nothing at all.
    if (server.max_prepared_transactions > 0 && seen_.guard_form == "portable")
      refuse("DOM-P005", "max_prepared_transactions",
             "prepared transactions are possible: the portable guard opens no residency",
             "ALTER SYSTEM SET max_prepared_transactions = 0;", "needs a restart");
    else if (server.max_prepared_transactions > 0)
      warn("DOM-P005", "max_prepared_transactions",
           "a prepared transaction outlives its session and any fence; the guard refuses them on tenant tables",
           "ALTER SYSTEM SET max_prepared_transactions = 0;", "needs a restart");
    if (!server.superuser)
      refuse("DOM-P006", "role", "the role that plans is no superuser: it could not install the guard", "",
             "use a superuser's connection for plan and apply");
    if (seen_.foreign_schema)
      refuse("DOM-P007", "domicile", "there is a schema `domicile` that this product did not create", "",
             "rename that schema");
    for (const auto& [name, role] : seen_.roles)
      if (!role.ours)
        refuse(
            "DOM-P015", name, "a role of that name exists that Domicile did not create for this database", "",
            "rename or drop it: Domicile changes nothing that it did not create, and could not take its grants back");
      else if (role.superuser || role.bypass_rls)
        refuse("DOM-P008", name, "the role has more rights than a link or agent may have",
               fmt::format("ALTER ROLE {} NOSUPERUSER NOBYPASSRLS;", quote(name)));
  }

  void replicators() {
    for (const auto& name : seen_.replicators)
      warn("DOM-P018", name,
           "the role may replicate and is not ours: past the gate it reads every publication, and as blocks everything",
           fmt::format("ALTER ROLE {} NOREPLICATION;", quote(name)),
           "keep it only for a standby or a backup under the same law");
  }

  void publications() {
    for (const auto& [name, publication] : seen_.publications) {
      if (publication.ours) continue;
      if (name.starts_with("domicile_"))
        refuse("DOM-P011", name, "a publication of that name exists that Domicile did not create", "",
               "rename it: Domicile changes nothing that it did not create");
      if (publication.all_tables) {
        refuse("DOM-P012", name, "publication FOR ALL TABLES lets out every residency, unfiltered",
               "DROP PUBLICATION " + quote(name) + ";");
        continue;
      }
      for (const auto& table : publication.tables)
        if (seen_.tables.contains(table.table))
          refuse("DOM-P013", name, "another publication lets out tenant table " + table.table,
                 fmt::format("ALTER PUBLICATION {} DROP TABLE {};", quote(name), quoted_name(table.table)));
    }
    for (const auto& [name, subscription] : seen_.subscriptions)
      if (!subscription.ours && name.starts_with("domicile_"))
        refuse("DOM-P014", name, "a subscription of that name exists that Domicile did not create", "", "rename it");
  }

  // What an ended epoch's salvage needs has to stay as it was in it: a publication changed later lets something else
  // out of the same log.
  void kept() {
    const auto want = desired_state(context_, seen_);
    for (const auto& step : held_back(want, seen_)) {
      const bool dropped = step.act == Act::drop_publication;
      const auto cause = fmt::format(
          "'{}' is held back: it may still be needed for the salvage of an epoch that ended here", step.sentence);
      const std::string advice =
          context_.owners_assumed
              ? "name the agent here (--agent SOCKET): it knows whether this region owns the residency"
              : "bring the residency back here, or make the copy here anew, then apply again";
      if (dropped)
        warn("DOM-P016", step.object, cause, "", advice);
      else
        refuse("DOM-P016", step.object, cause, "", advice);
    }
  }

  static std::string quoted_name(const std::string& qualified) {
    const auto dot = qualified.find('.');
    return quoted_table(qualified.substr(0, dot), qualified.substr(dot + 1));
  }

  void examine(const Table& table, const SeenTable& seen) {
    const auto name = table.qualified();
    if (seen.kind != "table" && seen.kind != "partitioned")
      return refuse("DOM-P020", name, "a " + seen.kind + " is neither guarded nor replicated", "", "map a table");
    if (seen.persistence != "permanent")
      refuse("DOM-P021", name, "the table is " + seen.persistence + " and writes no WAL: no other region would have it",
             "ALTER TABLE " + quoted_name(name) + " SET LOGGED;");
    columns(table, seen);
    identity(table, seen);
    uniques(table, seen);
    rights(table, seen);
    law(table, seen);
  }

  void law(const Table& table, const SeenTable& seen) {
    if (law_of(context_.topology, context_.region, table, seen).condition.empty()) return;
    after_law(seen);
  }

  void after_law(const SeenTable& seen) {
    for (const auto& trigger : seen.after_law)
      refuse("DOM-P045", seen.qualified(),
             "trigger '" + trigger + "' fires after the law's and could change a row that it let pass", "",
             fmt::format("give it a name that sorts before {}: ALTER TRIGGER … RENAME TO …", kLawTrigger));
  }

  void columns(const Table& table, const SeenTable& seen) {
    const auto name = table.qualified();
    const auto sql = "ALTER TABLE " + quoted_name(name) + " ";
    const auto residency = quote(table.residency.str());
    const auto* column = column_of(seen, table.residency.str());
    if (!column) {
      refuse(
          "DOM-P030", name, "it has no column '" + table.residency.str() + "' for the residency",
          fmt::format("{}ADD COLUMN {} text;\nUPDATE {} SET {} = '…';  -- the residency of each row's tenant\n{}ALTER "
                      "COLUMN {} SET NOT NULL;",
                      sql, residency, quoted_name(name), residency, sql, residency));
    } else {
      // A row filter accepts built-in types only: an enum or a domain is rejected (PostgreSQL 15).
      if (column->type != "text")
        refuse("DOM-P031", name, fmt::format("the residency column is {}, a row filter needs text", column->type),
               fmt::format("{}ALTER COLUMN {} TYPE text USING {}::text;", sql, residency, residency));
      if (!column->not_null)
        refuse("DOM-P032", name, "the residency column may be NULL: such a row belongs nowhere",
               fmt::format("{}ALTER COLUMN {} SET NOT NULL;", sql, residency));
      if (column->generated)
        refuse("DOM-P033", name, "the residency column is generated and cannot be published", "",
               "make it a plain column");
    }
    const auto* tenant = column_of(seen, table.tenant.str());
    if (!tenant)
      refuse("DOM-P034", name, "it has no tenant column '" + table.tenant.str() + "'",
             fmt::format("{}ADD COLUMN {} text;", sql, quote(table.tenant.str())));
    else if (!tenant->not_null)
      refuse("DOM-P035", name, "the tenant column may be NULL: such a row belongs to nobody",
             fmt::format("{}ALTER COLUMN {} SET NOT NULL;", sql, quote(table.tenant.str())));
    mapped(table, seen);
  }

  void mapped(const Table& table, const SeenTable& seen) {
    const auto name = table.qualified();
    for (const auto& list : {table.personal, table.shared})
      for (const auto& mapped_name : list) {
        const auto* column = column_of(seen, mapped_name.str());
        if (!column)
          refuse("DOM-P036", name, "column '" + mapped_name.str() + "' of the topology does not exist", "",
                 "add the column, or take it out of the topology");
        else if (column->generated)
          refuse("DOM-P037", name, "column '" + mapped_name.str() + "' is generated: each region computes its own", "",
                 "take it out of the topology");
      }
    for (const auto& column : seen.columns) {
      if (column.generated || column.name == table.tenant.str() || column.name == table.residency.str()) continue;
      const bool personal = contains(table.personal, column.name);
      if (!personal && !contains(table.shared, column.name))
        refuse("DOM-P038", name, "column '" + column.name + "' is neither personal nor shared in the topology", "",
               "say which it is; nothing unmapped crosses a border");
      // The apply worker stops at the first row whose dropped column is NOT NULL (tried).
      if (personal && column.not_null && receives_reduced_)
        refuse("DOM-P039", name,
               "personal column '" + column.name + "' is NOT NULL, and this region receives rows without it",
               fmt::format("ALTER TABLE {} ALTER COLUMN {} DROP NOT NULL;", quoted_name(name), quote(column.name)));
      // The apply worker fills it in, and the law could not tell it from a person's value.
      if (personal && !column.otherwise.empty() && !column.steady && receives_reduced_)
        refuse("DOM-P044", name,
               "the default of personal column '" + column.name +
                   "' is not one value, and this region receives rows without that column",
               fmt::format("ALTER TABLE {} ALTER COLUMN {} DROP DEFAULT;", quoted_name(name), quote(column.name)));
    }
  }

  void identity(const Table& table, const SeenTable& seen) {
    const auto name = table.qualified();
    if (!contains(seen.identity, table.residency.str())) {
      std::vector<std::string> key;
      for (const auto& unique : seen.uniques)
        if (unique.primary) key = unique.columns;
      std::erase(key, table.residency.str());
      if (key.empty()) key = {"id"};
      std::vector<std::string> names{quote(table.residency.str())};
      for (const auto& column : key) names.push_back(quote(column));
      const auto index = (table.name.str() + "_residency_key").substr(0, 63);
      refuse("DOM-P040", name,
             seen.identity_full ? "REPLICA IDENTITY FULL cannot be combined with a column list"
                                : "the replica identity lacks the residency: every UPDATE and DELETE would be refused",
             fmt::format(
                 "ALTER TABLE {0} ADD CONSTRAINT {1} UNIQUE ({2});\nALTER TABLE {0} REPLICA IDENTITY USING INDEX {1};",
                 quoted_name(name), quote(index), fmt::join(names, ", ")));
      return;
    }
    for (const auto& column : seen.identity)
      if (contains(table.personal, column))
        refuse("DOM-P041", name,
               "personal column '" + column + "' is part of the replica identity: it would have to leave", "",
               "use a key without personal data as the identity");
  }

  void uniques(const Table& table, const SeenTable& seen) {
    const auto name = table.qualified();
    for (const auto& unique : seen.uniques) {
      if (contains(unique.columns, table.residency.str()) || contains(table.globally_unique, unique.name)) continue;
      std::vector<std::string> names{quote(table.residency.str())};
      for (const auto& column : unique.columns) names.push_back(quote(column));
      const bool plain = !unique.partial && !contains(unique.columns, "");
      refuse("DOM-P042", name,
             "unique constraint '" + unique.name +
                 "' lacks the residency: two regions may both use a value, and the link stops",
             !plain ? std::string()
                    : fmt::format("ALTER TABLE {0} DROP CONSTRAINT {1};\nALTER TABLE {0} ADD {2} ({3});",
                                  quoted_name(name), quote(unique.name), unique.primary ? "PRIMARY KEY" : "UNIQUE",
                                  fmt::join(names, ", ")),
             "or, if its values are unique over all regions (UUIDs), list it under `globally_unique` in the topology");
    }
  }

  void rights(const Table& table, const SeenTable& seen) {
    const auto name = table.qualified();
    owners(
        name, seen,
        fmt::format("CREATE ROLE {0} NOLOGIN;\nALTER TABLE {1} OWNER TO {0};\nGRANT SELECT, INSERT, UPDATE, DELETE ON "
                    "{1} TO {2};",
                    quote(table.schema.str() + "_owner"), quoted_name(name), quote(seen.owner)));
    // A link's role is one of PUBLIC, and it logs in from another region.
    if (seen.public_reads)
      refuse("DOM-P052", name, "PUBLIC may read it, and so may the role of every link, whatever its form",
             "REVOKE SELECT ON " + quoted_name(name) + " FROM PUBLIC;");
    for (const auto& role : seen.truncaters)
      if (role != seen.owner)
        warn("DOM-P051", name, "role '" + role + "' may TRUNCATE it; the guard refuses that",
             fmt::format("REVOKE TRUNCATE ON {} FROM {};", quoted_name(name), quote(role)));
  }

  // A member may become the owner (SET ROLE), and an owner may switch triggers off.
  void owners(const std::string& name, const SeenTable& seen, const std::string& give_away) {
    for (const auto& login : seen.owner_logins)
      if (login == seen.owner)
        refuse("DOM-P050", name,
               "its owner '" + login + "' can log in: an application that owns a table can disable the guard",
               give_away);
      else
        refuse("DOM-P050", name,
               fmt::format("'{}' can log in and is a member of its owner '{}': it could disable the guard", login,
                           seen.owner),
               fmt::format("REVOKE {} FROM {};", quote(seen.owner), quote(login)),
               "or, if it is one through another role, take it out of that");
  }

  void partition(const Table& table, const SeenTable& root, const SeenTable& leaf) {
    const auto name = leaf.qualified();
    std::vector<std::string> a, b;
    for (const auto& column : root.columns) a.push_back(column.name);
    for (const auto& column : leaf.columns) b.push_back(column.name);
    std::sort(a.begin(), a.end());
    std::sort(b.begin(), b.end());
    if (a != b)
      refuse("DOM-P060", name, "the partition's columns are not those of " + root.qualified(), "", "attach it anew");
    if (!law_of(context_.topology, context_.region, table, root).condition.empty()) after_law(leaf);
    owners(name, leaf, "ALTER TABLE " + quoted_name(name) + " OWNER TO " + quote(root.owner) + ";");
    if (leaf.public_reads)
      refuse("DOM-P052", name, "PUBLIC may read it, and so may the role of every link, whatever its form",
             "REVOKE SELECT ON " + quoted_name(name) + " FROM PUBLIC;");
    if (leaf.kind == "foreign table")
      return refuse("DOM-P061", name, "a foreign table as partition is neither guarded nor replicated", "",
                    "detach it");
    if (leaf.persistence != "permanent")
      refuse("DOM-P021", name, "the partition is " + leaf.persistence + " and writes no WAL",
             "ALTER TABLE " + quoted_name(name) + " SET LOGGED;");
    if (leaf.kind == "table" && !contains(leaf.identity, table.residency.str()))
      refuse("DOM-P062", name, "the partition's replica identity lacks the residency", "",
             "each partition has its own: ALTER TABLE … REPLICA IDENTITY USING INDEX …");
  }

  const Context& context_;
  const Seen& seen_;
  bool receives_reduced_ = false;
  std::vector<Finding> findings_;
};

}  // namespace

std::vector<Finding> readiness(const Context& context, const Seen& seen) { return Examination(context, seen).run(); }

bool refuses(const std::vector<Finding>& findings) {
  return std::any_of(findings.begin(), findings.end(), [](const Finding& finding) { return finding.refuses; });
}

std::string migration_script(const std::vector<Finding>& findings) {
  std::string script;
  for (const auto& finding : findings)
    if (!finding.migration.empty())
      script += fmt::format("-- {} {}: {}\n{}\n", finding.code, finding.object, finding.cause, finding.migration);
  return script;
}

Json to_json(const std::vector<Finding>& findings) {
  Json list = Json::array();
  for (const auto& f : findings)
    list.push_back({{"code", f.code},
                    {"severity", f.refuses ? "error" : "warning"},
                    {"object", f.object},
                    {"cause", f.cause},
                    {"migration", f.migration},
                    {"advice", f.advice}});
  return list;
}

}  // namespace domicile::desired
