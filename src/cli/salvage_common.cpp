#include "cli/salvage_common.hpp"

#include <set>

#include "cli/status_view.hpp"

namespace domicile::cli {
namespace {

constexpr Micros kPatience = 600 * kSecond;

Result<void> valid_id(const std::string& value) {
  if (!value.empty() && value.find_first_not_of("0123456789") == std::string::npos) return {};
  return fail(Kind::invalid_input, "an id is a number, as domicile salvage show prints it");
}

std::string key_text(const Json& key) {
  std::string text;
  for (const auto& [column, value] : key.items())
    if (column != "residency")
      text += fmt::format("{}{}={}", text.empty() ? "" : " ", column,
                          value.is_string() ? value.get<std::string>() : "null");
  return text;
}

std::string values_text(const Json& entry) {
  if (!entry.contains("ours")) return "";
  std::string text;
  const Json& ours = entry["ours"];
  const Json& theirs = entry["theirs"];
  const auto value = [](const Json& row, const std::string& column) {
    if (!row.is_object()) return std::string("-");
    const auto found = row.find(column);
    if (found == row.end()) return std::string("(as it was)");
    return found->is_string() ? found->get<std::string>() : std::string("null");
  };
  std::set<std::string> columns;
  for (const Json* row : {&ours, &theirs})
    if (row->is_object())
      for (const auto& [column, unused] : row->items()) columns.insert(column);
  for (const auto& column : columns) {
    const auto a = value(ours, column), b = value(theirs, column);
    text += fmt::format("    {:<24} ours {}   theirs {}{}\n", column, a, b, a == b ? "" : "   <- differs");
  }
  return text;
}

std::int64_t count(const Json& json, const char* key) { return number_at(json, key).value_or(0); }

}  // namespace

std::vector<Option> salvage_options(std::vector<Option> own) {
  own.insert(own.begin(),
             {{"epoch", "N", "Which ended epoch; the last one that is kept here.", false, false, valid_count},
              {"table", "SCHEMA.TABLE", "Only rows of this table."},
              {"id", "N", "Only this row; may be repeated.", false, true, valid_id}});
  return with_agent_options(std::move(own));
}

Result<Json> salvage_question(AgentClient& agent, const Args& args) {
  Json question{{"residency", args.words[0]}};
  if (args.has("epoch")) {
    question["epoch"] = std::strtoll(args.get("epoch").c_str(), nullptr, 10);
  } else {
    const Json list = TRY(agent.get("/v1/salvage"));
    for (const Json& run : child_at(list, "runs"))
      if (text_at(run, "residency") == args.words[0]) question["epoch"] = run["epoch"];
    if (!question.contains("epoch"))
      return fail(Kind::failed, fmt::format("no salvage of {} is kept in this region", args.words[0]),
                  "domicile salvage list");
  }
  if (args.has("table")) question["table"] = args.get("table");
  for (const auto& id : args.all("id")) question["ids"].push_back(std::strtoll(id.c_str(), nullptr, 10));
  return question;
}

std::string salvage_runs_text(const Json& list) {
  std::string text;
  const Json& runs = child_at(list, "runs");
  if (!runs.is_array() || runs.empty()) text = "no salvage is kept here\n";
  for (const Json& run : runs) {
    text += fmt::format("{}  epoch {}, ended by {}: {} rows of {} transactions that nobody else had, {} open\n",
                        text_at(run, "residency"), count(run, "epoch"), text_at(run, "next_owner"), count(run, "rows"),
                        count(run, "transactions"), count(run, "open"));
    const auto base = text_at(run, "base");
    text += fmt::format("    found {}, from {} to {}\n", text_at(run, "at"), base.empty() ? "its first log" : base,
                        text_at(run, "upto"));
    if (const auto lost = text_at(run, "lost"); !lost.empty()) text += "    LOST: " + lost + "\n";
  }
  const Json& repairs = child_at(list, "repairs");
  if (!repairs.is_array() || repairs.empty()) return text;
  text += "\ncopies made equal to their owner again\n";
  for (const Json& repair : repairs) {
    text += fmt::format("{}  {} from {} in {}, {} bytes{}\n", text_at(repair, "residency"), text_at(repair, "at"),
                        text_at(repair, "source"), duration_text(count(repair, "took_ms")), count(repair, "bytes"),
                        true_at(repair, "whole") ? ", copied anew" : "");
    for (const Json& table : child_at(repair, "tables"))
      text +=
          fmt::format("    {:<28} {:>9} rows, {} written, {} removed, both sides {:.12}\n", text_at(table, "table"),
                      count(table, "rows"), count(table, "written"), count(table, "removed"), text_at(table, "digest"));
  }
  return text;
}

std::string salvage_entries_text(const Json& entries) {
  if (entries.empty()) return "no such rows\n";
  std::string text = fmt::format("{:>6}  {:<11} {:<14} {:<10} row\n", "id", "verdict", "done there", "state");
  for (const Json& entry : entries) {
    text += fmt::format("{:>6}  {:<11} {:<14} {:<10} {} {}\n", count(entry, "id"), text_at(entry, "verdict"),
                        text_at(entry, "net"), text_at(entry, "state"), text_at(entry, "table"),
                        key_text(child_at(entry, "key")));
    if (const Json& decided = child_at(entry, "decided"); decided.is_object())
      text += fmt::format("        {} by {} at {}: {}\n", text_at(decided, "how"), text_at(decided, "by"),
                          text_at(decided, "at"), text_at(decided, "reason"));
    text += values_text(entry);
  }
  return text;
}

std::string salvage_outcome_text(const Json& outcome) {
  const bool dry = true_at(outcome, "dry_run");
  std::string text = fmt::format(
      "{}{} of {}'s epoch {}: {} written at the owner, {} discarded, {} superseded, {} wait\n", dry ? "would be " : "",
      "decided", text_at(outcome, "residency"), count(outcome, "epoch"), count(outcome, "applied"),
      count(outcome, "discarded"), count(outcome, "superseded"), child_at(outcome, "waiting").size());
  for (const Json& refused : child_at(outcome, "refused"))
    text += fmt::format("  refused: id {}: {}\n", count(refused, "id"), text_at(refused, "why"));
  return text;
}

Result<Exit> salvage_decide(AgentClient& agent, Json question, const Args& args, Io& io) {
  const bool json = args.has("json");
  Json dry = question;
  dry["dry_run"] = true;
  const Json plan = TRY(agent.post("/v1/salvage/decide", dry, kPatience));
  if (args.has("dry-run")) {
    io.out << (json ? dump(plan) + "\n" : salvage_outcome_text(plan));
    return Exit::ok;
  }
  if (!args.has("yes")) {
    if (io.in == nullptr) return fail(Kind::invalid_input, "there is nobody to ask", "--yes, or run it on a terminal");
    io.err << salvage_outcome_text(plan) << "Do it? [y/N] " << std::flush;
    std::string line;
    if (!std::getline(*io.in, line) || (line != "y" && line != "Y" && line != "yes"))
      return fail(Kind::failed, "not confirmed, nothing was done");
  }
  const Json done = TRY(agent.post("/v1/salvage/decide", question, kPatience));
  io.out << (json ? dump(done) + "\n" : salvage_outcome_text(done));
  return child_at(done, "refused").empty() ? Exit::ok : Exit::failed;
}

}  // namespace domicile::cli
