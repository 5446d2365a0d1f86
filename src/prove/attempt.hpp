// One attempt to bring a personal value to where it may not lie, made as somebody there would make it: with the
// region's own certificates, logins and roles, and with nothing that belongs to root or to a superuser.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "census/canary.hpp"

namespace domicile::prove {

enum class Layer { gateway, database, replication, first_rows, authority, backup, logs, tenant_move, salvage };
std::string_view name_of(Layer layer);
std::optional<Layer> layer_of(std::string_view name);
const std::vector<Layer>& layers();  // in the order of the report

struct Ground;  // ground.hpp: the lab, as an attempt sees it

// What an attempt is after: an order that lies lawfully at home, with the canary in each of its personal columns.
struct Target {
  census::Canary canary;
  std::string order;         // its id
  std::string tenant, host;  // whose, and under which name clients reach it
};

// What an attempt met. Neither refused, nor answered lawfully, nor in trouble: it went through.
struct Outcome {
  bool refused = false;
  bool lawful = false;    // nobody refused it, and what it came to may lie here: `rule` says why
  std::string rule;       // in the layer's own word: a SQLSTATE, a rule of the gate, a code
  std::string denial_id;  // where the layer gives one
  std::string seen;       // all that came back; it is searched for the canary and kept nowhere
  std::string trouble;    // something else than a rule came in between: nobody knows what it shows
};
Outcome refused_by(std::string rule, std::string denial_id = {}, std::string seen = {});
// Looked at and found to be so: the row without its personal columns, a copy that is searched with the rest.
Outcome lawful_by(std::string rule, std::string seen = {});
Outcome went_through(std::string seen = {});
Outcome in_trouble(std::string why);

struct Attempt {
  std::string id;  // LAYER.NAME
  Layer layer = Layer::gateway;
  std::string what;                // for people, one line
  std::vector<std::string> rules;  // each of them is the law's own word; any other is not known to be one
  bool quick = false;              // part of the slice that --quick makes
  // Leaves a lab that is good for nothing else: only in one that is thrown away, and last.
  bool breaks = false;
  std::function<Outcome(const Ground&, const Target&)> run;
};

// All of them, each layer's in its own file.
std::vector<Attempt> gateway_attempts();
std::vector<Attempt> database_attempts();
std::vector<Attempt> replication_attempts();  // and first rows
std::vector<Attempt> authority_attempts();
std::vector<Attempt> backup_attempts();
std::vector<Attempt> log_attempts();
std::vector<Attempt> tenant_move_attempts();
std::vector<Attempt> salvage_attempts();
std::vector<Attempt> all_attempts();  // those that break come last

struct Choice {
  std::optional<Layer> layer;  // empty: every one
  bool quick = false;
  bool may_break = false;
};
std::vector<Attempt> chosen(const Choice& choice);

}  // namespace domicile::prove
