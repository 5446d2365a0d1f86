// Plans of several regions: made, shown, saved and read back.
#pragma once
#include "cli/databases.hpp"
#include "cli/plan_layers.hpp"
#include "engines/postgres/provision/provision.hpp"

namespace domicile::cli {

struct RegionPlan {
  Database database;
  postgres::Examined examined;
  desired::Desired desired;
};

struct Plans {
  std::string policy_hash;
  bool observe = false;
  std::vector<RegionPlan> regions;
  std::map<std::string, Layers> layers = {};  // by site; empty: nobody wants to see them
  bool agent_asked = false;
  bool changes() const;
  bool refuses() const;
  bool layers_differ() const;
  bool layers_unknown() const;
};

// What a region's plan is made from. Where no agent was asked, the owners are only assumed.
desired::Context context_of(const topology::Topology& topology, const std::string& region, const Ownership& ownership,
                            bool observe);
// Looks at every database of --connections; changes nothing.
Result<Plans> make_plans(const Args& args, const topology::Topology& topology, const Ownership& ownership,
                         bool observe);

// What is there, what should be, the difference; what is missing with its migration.
std::string shown(const Plans& plans, bool colour);
std::string migrations(const Plans& plans);
Json json_of(const Plans& plans);

struct SavedPlan {
  std::string policy_hash;
  bool observe = false;
  residency::Owners owners;
  std::vector<desired::Plan> plans;
};
Json to_saved(const Plans& plans, const residency::Owners& owners);
Result<SavedPlan> saved_of(std::string_view text);

}  // namespace domicile::cli
