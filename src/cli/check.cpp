#include <chrono>

#include "base/file.hpp"
#include "base/json.hpp"
#include "cli/registry.hpp"
#include "core/residency/links.hpp"
#include "core/topology/parse.hpp"
#include "core/topology/reference.hpp"
#include "core/topology/sketch.hpp"
#include "core/topology/survivability.hpp"

namespace domicile::cli {
namespace {

using namespace topology;

Json json_of(const std::vector<Problem>& problems) {
  Json out = Json::array();
  for (const Problem& each : problems)
    out.push_back({{"code", each.code},
                   {"cause", each.cause},
                   {"fix", each.fix},
                   {"file", each.file},
                   {"line", each.line},
                   {"column", each.column}});
  return out;
}

Json json_of(const std::vector<Fate>& fates) {
  Json out = Json::array();
  for (const Fate& fate : fates)
    out.push_back({{"residency", fate.residency},
                   {"lost", fate.lost},
                   {"answer", name_of(fate.kind)},
                   {"to", fate.to.empty() ? Json() : Json(fate.to)},
                   {"asks", fate.asks},
                   {"writes_wait", fate.writes_wait},
                   {"by_law", fate.kind == Fate::Kind::outage && fate.could.empty()},
                   {"could", fate.could}});
  return out;
}

// One row per loss, one column per residency.
std::string table(const Topology& topology, bool colour) {
  const auto fates = survivability(topology);
  std::vector<std::string> names;
  for (const Fate& fate : fates)
    if (names.empty() || names.back() != fate.residency) names.push_back(fate.residency);
  std::size_t wide = 16;
  for (const auto& fate : fates) wide = std::max({wide, fate.lost.size(), sentence(fate).size()});
  std::string out = fmt::format("{:<{}}", "loss of", wide + 2);
  for (const auto& name : names) out += fmt::format("{:<{}}", name, wide + 2);
  const auto close = [&out] {
    out.erase(out.find_last_not_of(' ') + 1);
    out += "\n";
  };
  close();
  for (const std::string& lost : losses_of(topology)) {
    out += fmt::format("{:<{}}", lost, wide + 2);
    for (const Fate& fate : fates) {
      if (fate.lost != lost) continue;
      const char* paint = fate.kind == Fate::Kind::serve && !fate.writes_wait ? "32"
                          : fate.kind == Fate::Kind::switch_over              ? "33"
                                                                              : "31";
      const std::string cell = fmt::format("{:<{}}", sentence(fate), wide + 2);
      out += colour ? fmt::format("\033[{}m{}\033[0m", paint, cell) : cell;
    }
    close();
  }
  return out;
}

Result<void> valid_date(const std::string& text) {
  if (date_of(text)) return {};
  return fail(Kind::invalid_input, "'" + text + "' is no date such as 2027-01-31");
}

Result<void> needs_a_file(const Args& args) {
  if (!args.words.empty() || args.has("schema") || args.has("reference")) return {};
  return fail(Kind::invalid_input, "FILE is missing", "domicile check topology.yaml");
}

Result<Exit> run(const Args& args, Io& io) {
  if (args.has("schema")) return io.out << json_schema() << "\n", Exit::ok;
  if (args.has("reference")) return io.out << reference_page(), Exit::ok;
  const Date now = date_at(wall_now());
  const Date today = args.has("today") ? date_of(args.get("today")).value_or(now) : now;
  const std::string text = TRY(read_file(args.words[0]));
  const Parsed parsed = topology::parse(text, args.words[0], today);
  const auto sketched = parsed ? std::nullopt : sketch(text, parsed.error());
  if (args.has("json")) {
    Json out = {{"file", args.words[0]}, {"ok", parsed.has_value()}, {"problems", Json::array()}};
    if (parsed) {
      out["survivability"] = json_of(survivability(*parsed));
      out["policy_hash"] = residency::policy_hash(*parsed);
    } else {
      out["problems"] = json_of(parsed.error());
      if (sketched) out["survivability"] = json_of(survivability(*sketched));
    }
    io.out << dump(out) << "\n";
  } else if (parsed) {
    io.out << table(*parsed, io.terminal) << "\npolicy " << residency::policy_hash(*parsed) << "\n";
  } else {
    for (const Problem& each : parsed.error())
      io.err << each.where() << ": " << each.code << ": " << each.cause << "\n  fix: " << each.fix << "\n";
    if (sketched) io.out << table(*sketched, io.terminal);
    io.err << parsed.error().size() << (parsed.error().size() == 1 ? " problem\n" : " problems\n");
  }
  return parsed ? Exit::ok : Exit::failed;
}

}  // namespace

Verb check_verb() {
  return {"check",
          "Say everything that is wrong with a topology, and what survives the loss of what.",
          {"[FILE]"},
          {{"json", "", "Print one JSON object."},
           {"schema", "", "Print the JSON Schema of topology files, for editors."},
           {"reference", "", "Print docs/reference/topology.md."},
           {"today", "DATE", "Judge acceptances as of this day instead of today.", false, false, valid_date}},
          {"domicile check topology.yaml", "domicile check topology.yaml --json",
           "domicile check --schema > topology.schema.json"},
          run,
          needs_a_file};
}

}  // namespace domicile::cli
