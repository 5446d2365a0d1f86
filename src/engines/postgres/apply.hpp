// Makes a database as a plan says, and takes everything of ours away again.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "core/desired/plan.hpp"
#include "core/desired/readiness.hpp"
#include "engines/postgres/connection.hpp"

namespace domicile::postgres {

// The guard in one of its forms, as SQL. A port: the schema can be installed and tested without it.
struct GuardSql {
  std::string form;     // c, portable
  std::string install;  // idempotent; everything it makes lies in schema `domicile`
  std::function<std::string(const std::string& schema, const std::string& table, const topology::Table& mapped)>
      guard_table;
  // One with an empty condition takes the law off.
  std::function<std::string(const std::string& schema, const std::string& table, const desired::Law& law)> law_table;
  std::string uninstall;  // before the schema is dropped; gives back what install took from PUBLIC
};

struct Examined {
  desired::Seen seen;
  desired::Plan plan;
  std::vector<desired::Finding> findings;
};

// What is there, what should be, and what is missing for it.
Result<Examined> examine(Connection& connection, const desired::Context& context);

using StepDone = std::function<void(const desired::Step&)>;

// Does the plan's steps that are not the agents' in one transaction. `conflict` when the database is no longer what the
// plan was made from; `refused` when readiness refuses. Either way nothing was changed.
Result<void> apply(Connection& connection, const desired::Context& context, const desired::Plan& plan,
                   const GuardSql& guard, const StepDone& done = {});

// The registered subscriptions alone. They let go of their slots first: the peer keeps its own.
Result<std::vector<std::string>> remove_subscriptions(Connection& connection);
// Takes away exactly what the registry names, subscriptions included. A slot that a peer still reads stops it: remove
// the peers' subscriptions first.
// `refused` while something that is not ours depends on it.
Result<std::vector<std::string>> remove(Connection& connection, const GuardSql& guard);

}  // namespace domicile::postgres
