#include "cli/flow_view.hpp"

#include <algorithm>
#include <set>

#include "base/clock.hpp"
#include "cli/status_view.hpp"
#include "core/desired/desired.hpp"

namespace domicile::cli {
namespace {

using topology::Form;

std::string joined(const std::vector<std::string>& names) {
  std::string out;
  for (const auto& each : names) out += (out.empty() ? "" : ", ") + each;
  return out;
}

std::vector<std::string> texts_of(const Json& list) {
  std::vector<std::string> out;
  if (list.is_array())
    for (const Json& each : list)
      if (each.is_string()) out.push_back(each.get<std::string>());
  return out;
}

const Json& element(const Json& list, const char* key, const std::string& value) {
  static const Json none;
  if (list.is_array())
    for (const Json& each : list)
      if (text_at(each, key) == value) return each;
  return none;
}

std::string holds_rule(const std::string& residency, const topology::Topology& topology, const std::string& region) {
  const auto* where = topology::region_of(topology, region);
  return fmt::format("residencies.{}.holds.{}", residency, where == nullptr ? "?" : where->jurisdiction.str());
}

std::vector<FlowColumn> columns_of(const topology::Topology& topology, const residency::CarriedTable& carried,
                                   const residency::Link& link) {
  std::vector<FlowColumn> out;
  const auto* table = topology::table_of(topology, carried.qualified());
  if (table == nullptr) {
    for (const auto& column : carried.columns)
      out.push_back({column, "of the directory, which every region has", true});
    return out;
  }
  out.push_back({table->residency, "residency", true});
  out.push_back({table->tenant, "tenant", true});
  for (const auto& column : table->shared) out.push_back({column, "shared", true});
  const bool full = link.form == Form::full;
  for (const auto& column : table->personal)
    out.push_back(
        {column,
         fmt::format("personal: {} is {}", holds_rule(link.residency, topology, link.to), topology::name_of(link.form)),
         full});
  return out;
}

std::vector<FlowFact> enforced_by(const residency::Link& link, const residency::CarriedTable& table) {
  const std::string name = residency::name_of(link);
  const std::string rows = table.residency_column.empty()
                               ? std::string("all rows")
                               : "rows where " + desired::filter_text(table.residency_column, link.residency);
  return {
      {"publication", fmt::format("{}: these columns, {}; no TRUNCATE", name, rows)},
      {"first rows", fmt::format("role {}, which cannot log in, by the view of domicile.outlet: the same columns and "
                                 "rows; then the gate",
                                 desired::link_role(link.to))},
      {"gate", fmt::format("each row of the stream: table, columns{}; the first that does not fit cuts the link",
                           table.residency_column.empty() ? "" : ", residency " + link.residency)},
      {"receiver", table.residency_column.empty()
                       ? std::string("guard: rows from elsewhere only while the directory is not owned there (DM001)")
                       : fmt::format("guard: rows from elsewhere only while {} is not owned there (DM001), each "
                                     "tenant known as {} (DM002){}",
                                     link.residency, link.residency,
                                     link.form == Form::full
                                         ? ""
                                         : "; before that the law of the table: no personal value is stored (DM008)")}};
}

void compare_columns(std::vector<std::string> have, std::vector<std::string> want, const char* layer,
                     const std::string& fine, std::vector<FlowFact>& out) {
  std::ranges::sort(have);
  std::ranges::sort(want);
  std::vector<std::string> more, less;
  std::ranges::set_difference(have, want, std::back_inserter(more));
  std::ranges::set_difference(want, have, std::back_inserter(less));
  if (!more.empty()) out.push_back({layer, "lets out too much: " + joined(more), Mark::differs});
  if (!less.empty()) out.push_back({layer, "does not let out: " + joined(less), Mark::differs});
  if (more.empty() && less.empty()) out.push_back({layer, fine, Mark::same});
}

void look_at_publication(const Json& from, const residency::Link& link, const residency::CarriedTable& table,
                         std::vector<FlowFact>& out) {
  constexpr const char* kLayer = "publication";
  if (const auto unknown = text_at(from, "unknown"); !unknown.empty())
    return out.push_back({kLayer, unknown, Mark::unknown});
  const Json& publications = child_at(child_at(from, "database"), "publications");
  if (!publications.is_object()) return out.push_back({kLayer, "the agent has not looked yet", Mark::unknown});
  const Json& publication = child_at(publications, residency::name_of(link).c_str());
  if (!publication.is_object()) return out.push_back({kLayer, "is missing", Mark::differs});
  if (true_at(publication, "all_tables")) return out.push_back({kLayer, "lets out all tables, whole", Mark::differs});
  if (const auto publish = text_at(publication, "publish"); publish != "insert, update, delete")
    out.push_back({kLayer, "publishes " + publish, Mark::differs});
  const Json& seen = element(child_at(publication, "tables"), "table", table.qualified());
  if (!seen.is_object()) return out.push_back({kLayer, "does not have the table", Mark::differs});
  const std::string want =
      table.residency_column.empty() ? "" : desired::filter_text(table.residency_column, link.residency);
  const std::string filter = text_at(seen, "filter");
  if (filter != want)
    out.push_back({kLayer, filter.empty() ? std::string("has no row filter") : "has another row filter: " + filter,
                   Mark::differs});
  const auto columns = texts_of(child_at(seen, "columns"));
  // The directory's tables go whole, without a list.
  if (columns.empty() && !table.residency_column.empty())
    out.push_back({kLayer, "lets out every column", Mark::differs});
  else if (columns.empty())
    out.push_back({kLayer, "every column", Mark::same});
  else
    compare_columns(columns, table.columns, kLayer, joined(columns), out);
}

void look_at_gate(const Json& from, const Json& gate, const residency::Link& link, const residency::CarriedTable& table,
                  std::vector<FlowFact>& out) {
  const Json& told = gate.is_object() ? gate : child_at(from, "gate");
  if (!told.is_object()) {
    const auto unknown = text_at(from, "unknown");
    return out.push_back({"gate", unknown.empty() ? "its agent knows no gate" : unknown, Mark::unknown});
  }
  if (const auto trouble = text_at(told, "trouble"); !trouble.empty())
    return out.push_back({"gate", trouble, Mark::unknown});
  const Json& seen = element(child_at(told, "links"), "link", residency::name_of(link));
  if (!seen.is_object())
    return out.push_back({"gate", "knows no such link: it runs with another topology", Mark::differs});
  // The gate tells {rule, what}, the agent "rule: what".
  const Json& held = child_at(seen, "held");
  const std::string why =
      held.is_object() ? text_at(held, "rule") + ": " + text_at(held, "what") : text_at(seen, "held");
  const bool stopped = true_at(seen, "stopped") || !text_at(seen, "stops_at").empty();
  auto lag = number_at(seen, "lag_ms");
  if (!lag) lag = number_at(child_at(seen, "progress"), "lag_ms");
  const std::string behind = lag ? ", " + duration_text(*lag) + " behind" : "";
  if (!why.empty())
    out.push_back({"gate", "held by rule " + why, Mark::differs});
  else if (stopped)
    out.push_back({"gate", "stopped for a switch" + behind, Mark::same});
  else
    out.push_back({"gate", (true_at(seen, "streams") ? "streams" : "idle: nobody streams it") + behind, Mark::same});
  const Json& tables = child_at(seen, "tables");
  if (!tables.is_object()) return;
  if (!tables.contains(table.qualified()))
    return out.push_back({"gate", "does not let the table out: it runs with another topology", Mark::differs});
  compare_columns(texts_of(tables[table.qualified()]), table.columns, "gate", "lets out these columns", out);
}

const Json& register_of(const Json& from, const Json& gate) {
  return child_at(gate.is_object() ? gate : child_at(from, "gate"), "transfers");
}

std::string crossed(const Json& row) {
  const auto last = number_at(row, "last_at_us").value_or(0);
  return fmt::format("{} rows, {} bytes as {}, last {}", number_at(row, "rows").value_or(0),
                     number_at(row, "bytes").value_or(0), text_at(row, "form"), last == 0 ? "never" : iso8601(last));
}

void look_at_register(const Json& transfers, const residency::Link& link, const std::string& table,
                      std::vector<FlowFact>& out) {
  if (!transfers.is_array()) return out.push_back({"register", "nobody has told it", Mark::unknown});
  bool any = false;
  for (const Json& row : transfers) {
    if (text_at(row, "link") != residency::name_of(link) || text_at(row, "table") != table) continue;
    any = true;
    const bool lawful = text_at(row, "form") == topology::name_of(link.form);
    out.push_back({"register", crossed(row), lawful ? Mark::same : Mark::differs});
  }
  if (!any) out.push_back({"register", "nothing of it has crossed", Mark::same});
}

void look_at_copy(const Json& to, const residency::Link& link, std::vector<FlowFact>& out) {
  if (const auto unknown = text_at(to, "unknown"); !unknown.empty())
    return out.push_back({"copy", unknown, Mark::unknown});
  const Json& seen = element(child_at(to, "residencies"), "residency", link.residency);
  const auto owner = text_at(seen, "owner");
  if (!owner.empty() && owner != link.from)
    return out.push_back(
        {"copy", fmt::format("{} is owned by {} now: this link waits", link.residency, owner), Mark::same});
  const Json& copy = child_at(seen, "copy");
  if (!copy.is_object()) return out.push_back({"copy", "the agent there does not tell", Mark::unknown});
  const auto state = text_at(copy, "state"), source = text_at(copy, "source");
  const auto lag = number_at(seen, "lag_ms");
  const auto trouble = text_at(child_at(seen, "link"), "trouble");
  std::string text =
      state + (source.empty() ? "" : " " + source) + (lag ? ", " + duration_text(*lag) + " behind" : ", lag not known");
  if (!trouble.empty()) text += "; " + trouble;
  const bool fine = state == "following" && source == link.from && trouble.empty();
  out.push_back({"copy", text, fine ? Mark::same : Mark::differs});
}

std::string why_not(const topology::Topology& topology, const topology::Residency& residency,
                    const FlowQuestion& question) {
  if (!topology::may_own(residency, question.from))
    return fmt::format("{} may not own it, so nothing of it begins there: residencies.{}.home, .standby", question.from,
                       residency.name.str());
  const auto* to = topology::region_of(topology, question.to);
  if (to == nullptr) return question.to + " is a voter, which holds no rows: voters." + question.to;
  return fmt::format("{} may hold nothing of it: {}", question.to, holds_rule(residency.name, topology, question.to));
}

Flow flow_of(const topology::Topology& topology, const topology::Residency& residency, const FlowQuestion& question,
             const Json& from, const Json& to, const Json& gate) {
  Flow flow{residency.name, "", "", topology::form_at(topology, residency, question.to)};
  if (flow.form == Form::none || !topology::may_own(residency, question.from)) {
    flow.because = why_not(topology, residency, question);
    return flow;
  }
  const residency::Link link{residency.name, question.from, question.to, flow.form};
  const auto tables = residency::carried_tables(topology, residency.name.str(), flow.form);
  const auto table = std::ranges::find(tables, question.table, &residency::CarriedTable::qualified);
  if (table == tables.end()) return flow;
  flow.link = residency::name_of(link);
  flow.columns = columns_of(topology, *table, link);
  flow.enforced = enforced_by(link, *table);
  look_at_publication(from, link, *table, flow.seen);
  look_at_gate(from, gate, link, *table, flow.seen);
  look_at_register(register_of(from, gate), link, question.table, flow.seen);
  look_at_copy(to, link, flow.seen);
  return flow;
}

// Publications of no link of ours, and what has crossed by links that are none any more.
std::vector<FlowFact> beside(const topology::Topology& topology, const FlowQuestion& question, const Json& from,
                             const Json& gate) {
  std::set<std::string> ours;
  for (const auto& residency : topology.residencies) ours.insert(residency::salvage_publication(residency.name.str()));
  for (const auto& link : residency::links_of(topology)) ours.insert(residency::name_of(link));
  std::vector<FlowFact> out;
  if (const Json& publications = child_at(child_at(from, "database"), "publications"); publications.is_object())
    for (const auto& [name, publication] : publications.items()) {
      const bool has = true_at(publication, "all_tables") ||
                       element(child_at(publication, "tables"), "table", question.table).is_object();
      if (has && !ours.contains(name))
        out.push_back(
            {"publication", name + " has the table and is of no link; only the gate stops it", Mark::differs});
    }
  // Links are called domicile_RESIDENCY_FROM_TO.
  const std::string ending =
      topology::link_name("", question.from, question.to).substr(std::string("domicile_").size());
  if (const Json& transfers = register_of(from, gate); transfers.is_array())
    for (const Json& row : transfers) {
      const auto link = text_at(row, "link");
      if (text_at(row, "table") != question.table || ours.contains(link) || !link.ends_with(ending)) continue;
      out.push_back({"register", fmt::format("{}, no link any more: {}", link, crossed(row)), Mark::differs});
    }
  return out;
}

bool has_marked(const std::vector<FlowFact>& facts, Mark mark) {
  return std::ranges::any_of(facts, [&](const FlowFact& each) { return each.mark == mark; });
}

Json facts_of(const std::vector<FlowFact>& facts, bool marks) {
  Json out = Json::array();
  for (const auto& each : facts) {
    out.push_back({{"layer", each.layer}, {"text", each.text}});
    if (marks) out.back()["mark"] = name_of(each.mark);
  }
  return out;
}

std::string shown(const FlowFact& fact, bool colour) {
  const char* code = fact.mark == Mark::differs ? "33" : fact.mark == Mark::unknown ? "35" : "";
  const std::string line = fmt::format("{} {:<12} {}", sign_of(fact.mark), fact.layer, fact.text);
  return "    " + (colour && *code != 0 ? fmt::format("\033[{}m{}\033[0m", code, line) : line) + "\n";
}

}  // namespace

bool FlowAnswer::differs() const {
  return has_marked(beside, Mark::differs) ||
         std::ranges::any_of(flows, [](const Flow& flow) { return has_marked(flow.seen, Mark::differs); });
}

FlowAnswer flow_answer(const topology::Topology& topology, const FlowQuestion& question, const Json& from,
                       const Json& to, const Json& gate) {
  FlowAnswer out{question, residency::policy_hash(topology), {}, {}};
  const bool mapped = topology::table_of(topology, question.table) != nullptr;
  for (const auto& residency : topology.residencies) {
    const bool directory = residency.name.str() == topology::kDirectory;
    const auto carried = residency::carried_tables(topology, residency.name.str(), Form::full);
    if (directory ? std::ranges::find(carried, question.table, &residency::CarriedTable::qualified) != carried.end()
                  : mapped)
      out.flows.push_back(flow_of(topology, residency, question, from, to, gate));
  }
  out.beside = beside(topology, question, from, gate);
  return out;
}

std::string flow_text(const FlowAnswer& answer, bool colour) {
  const auto& [table, from, to] = answer.question;
  std::string out = fmt::format("{}: {} -> {}\n", table, from, to);
  if (answer.flows.empty())
    out += "\nnothing flows: the table is not mapped, and what is not mapped leaves by no link (rule: data)\n";
  for (const Flow& flow : answer.flows) {
    if (flow.link.empty()) {
      out += fmt::format("\nresidency {}: nothing flows: {}\n", flow.residency, flow.because);
      continue;
    }
    out += fmt::format("\nresidency {}: {}, by link {}\n  columns\n", flow.residency, topology::name_of(flow.form),
                       flow.link);
    for (const auto& column : flow.columns)
      out += fmt::format("    {} {:<20} {}\n", column.leaves ? '+' : '-', column.name, column.rule);
    out += "  enforced by\n";
    for (const auto& each : flow.enforced) out += shown(each, colour);
    out += "  observed\n";
    for (const auto& each : flow.seen) out += shown(each, colour);
  }
  if (!answer.beside.empty()) out += "\nbeside the links\n";
  for (const auto& each : answer.beside) out += shown(each, colour);
  return out + "\npolicy " + answer.policy + "\n";
}

Json flow_json(const FlowAnswer& answer) {
  Json flows = Json::array();
  for (const Flow& flow : answer.flows) {
    Json one{{"residency", flow.residency}, {"link", flow.link.empty() ? Json() : Json(flow.link)}};
    if (flow.link.empty()) {
      one["because"] = flow.because;
    } else {
      one["form"] = topology::name_of(flow.form);
      one["columns"] = Json::array();
      for (const auto& each : flow.columns)
        one["columns"].push_back({{"column", each.name}, {"leaves", each.leaves}, {"rule", each.rule}});
      one["enforced"] = facts_of(flow.enforced, false);
      one["observed"] = facts_of(flow.seen, true);
    }
    flows.push_back(std::move(one));
  }
  return {{"table", answer.question.table},
          {"from", answer.question.from},
          {"to", answer.question.to},
          {"mapped", !answer.flows.empty()},
          {"flows", flows},
          {"beside", facts_of(answer.beside, true)},
          {"differs", answer.differs()},
          {"policy_hash", answer.policy}};
}

// from -> publication -> gate -> to, a chain for each link; the worst of a layer's facts marks it.
std::string flow_mermaid(const FlowAnswer& answer) {
  Picture picture;
  picture.node("from", answer.question.from);
  picture.node("to", answer.question.to);
  for (const Flow& flow : answer.flows) {
    if (flow.link.empty()) continue;
    const auto layer = [&](const char* name) {
      FlowFact out{name, "", Mark::same};
      for (const auto& each : flow.seen) {
        if (each.layer != name) continue;
        out.text += (out.text.empty() ? "" : "\n") +
                    (each.mark == Mark::same ? "" : std::string{sign_of(each.mark), ' '}) + each.text;
        // Marks are in the order of how much they ask for a look, but for the unknown beside a difference.
        if (out.mark != Mark::differs && each.mark != Mark::same) out.mark = each.mark;
      }
      return out;
    };
    const auto publication = layer("publication"), gate = layer("gate"), crossing = layer("register"),
               copy = layer("copy");
    picture.node(flow.link, "publication " + flow.link + "\n" + publication.text, publication.mark);
    picture.node(flow.link + " gate", "gate\n" + gate.text, gate.mark);
    picture.node(flow.link + " copy", "copy of " + flow.residency + "\n" + copy.text, copy.mark);
    picture.arrow("from", flow.link, flow.residency, publication.mark);
    picture.arrow(flow.link, flow.link + " gate", answer.question.table, publication.mark);
    picture.arrow(flow.link + " gate", flow.link + " copy", crossing.text,
                  gate.mark == Mark::same ? crossing.mark : gate.mark);
    picture.arrow(flow.link + " copy", "to", "rows", copy.mark);
  }
  for (const auto& each : answer.beside) {
    picture.node(each.text, each.layer + " " + each.text, each.mark);
    picture.arrow("from", each.text, answer.question.table, each.mark);
  }
  return picture.mermaid();
}

}  // namespace domicile::cli
