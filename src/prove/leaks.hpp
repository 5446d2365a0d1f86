// The leaks of the self-test: each puts one canary where it must not be, by the way of its layer.
#pragma once
#include <functional>
#include <memory>

#include "census/canary.hpp"
#include "drill/field.hpp"
#include "engines/postgres/connection.hpp"
#include "prove/widened.hpp"

namespace domicile::prove {

// Where the census has to find it: the place by name, and parts of the hit's file and chain.
struct Expected {
  std::string place, file, chain = {};
};

// The scratch lab.
struct Scene : Breach {
  const drill::Field* field = nullptr;
  std::string tenant;                            // of `residency`
  drill::ClientSpec client;                      // a tenant of `served`
  drill::Gateway gateway;                        // of `site`, as clients reach it
  std::vector<std::shared_ptr<void>> kept = {};  // what has to stay open until the census has looked

  fs::path folder() const { return field->directory() / "sites" / site; }
  std::string place(const std::string& name) const { return site + ": " + name; }
  Result<postgres::Connection> sql(const std::string& region) const {
    return postgres::Connection::open(field->database(region));
  }
};
Result<Scene> open_scene(const drill::Field& field);

struct Planting {
  std::string layer, what;
  std::function<Result<Expected>(Scene&, const census::Canary&)> plant;
};
// In this order: what comes later may need what was opened before.
std::vector<Planting> database_leaks();
std::vector<Planting> salvage_leaks();
std::vector<Planting> replication_leaks();
std::vector<Planting> backup_leaks();
std::vector<Planting> gateway_leaks();
std::vector<Planting> control_leaks();
std::vector<Planting> widened_leaks();
std::vector<Planting> all_leaks();
std::vector<Planting> network_leaks();

// True as soon as `ready` is; false when it is not in time.
bool await(Micros timeout, const std::function<bool()>& ready);

}  // namespace domicile::prove
