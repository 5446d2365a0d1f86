#include "agent/salvage_calls.hpp"

#include <algorithm>

#include "agent/bodies.hpp"
#include "agent/row_stream.hpp"
#include "engines/postgres/copy_text.hpp"
#include "engines/postgres/links/parts.hpp"
#include "engines/postgres/links/slots.hpp"

namespace domicile::agent {

using authority::Epoch;
using postgres::Deed;
using postgres::Kept;
using postgres::KeptState;
using postgres::links::MappedTable;
using postgres::links::Sql;
using salvage::Rule;
using salvage::Verdict;

namespace {

constexpr std::size_t kAtOnce = 500;  // rows that the owner writes in one transaction
constexpr Micros kApply = 60 * kSecond;

struct Which {
  std::string residency, table;
  Epoch epoch = 0;
  std::vector<std::int64_t> ids;
};

Result<Which> which(const Json& body) {
  Which out;
  out.residency = TRY(asked(member<std::string>(body, "residency")));
  out.epoch = TRY(asked(member<Epoch>(body, "epoch")));
  out.table = TRY(asked(member_or<std::string>(body, "table", "")));
  for (const Json& id : TRY(asked(member_or<Json>(body, "ids", Json::array())))) {
    if (!id.is_number_integer()) return fail(Kind::invalid_input, "'ids' holds something else than numbers");
    out.ids.push_back(id.get<std::int64_t>());
  }
  return out;
}

Result<salvage::Key> key_of(const Json& json) {
  return salvage::Key{TRY(asked(member<std::string>(json, "table"))),
                      TRY(asked(salvage::row_of(TRY(asked(member<Json>(json, "key"))))))};
}

Json json_of(const salvage::Key& key) { return {{"table", key.table}, {"key", salvage::json_of(key.columns)}}; }

// An entry beside the owner's row of today, which this region's copy has as well.
struct Judged {
  Kept kept;
  salvage::Theirs theirs;
  std::string digest;  // of the owner's row
  Verdict verdict = Verdict::conflict;
};

Result<std::vector<Judged>> judge(const Sql& sql, const std::vector<MappedTable>& tables, const Which& which) {
  CHECK_OK(postgres::links::print_alike(sql));
  std::vector<Judged> out;
  for (auto& kept : TRY(postgres::salvage_entries(sql, which.residency, which.epoch, which.ids))) {
    if (!which.table.empty() && kept.entry.key.table != which.table) continue;
    const auto table =
        std::ranges::find_if(tables, [&](const MappedTable& each) { return each.qualified() == kept.entry.key.table; });
    Judged judged{std::move(kept), {}, "", Verdict::conflict};
    if (table != tables.end()) judged.theirs.row = TRY(postgres::find_row(sql, *table, judged.kept.entry.key));
    judged.digest = postgres::digest_of(judged.theirs.row);
    const auto& since = judged.kept.since;
    judged.theirs.changed_since = since.changed || since.digest != judged.digest;
    judged.theirs.changed_at = since.at;
    judged.verdict = salvage::judge(judged.kept.entry, judged.theirs);
    out.push_back(std::move(judged));
  }
  return out;
}

Json json_of(const Judged& judged, bool values) {
  const auto& [kept, theirs, digest, verdict] = judged;
  Json json = json_of(kept.entry.key);
  json["id"] = kept.id;
  json["net"] = salvage::name_of(kept.entry.net);
  json["changes"] = kept.entry.changes;
  json["committed_at"] = iso8601(kept.entry.committed_at);
  json["first_lsn"] = authority::lsn_text(kept.entry.first);
  json["last_lsn"] = authority::lsn_text(kept.entry.last);
  json["state"] = postgres::name_of(kept.state);
  json["verdict"] = salvage::name_of(verdict);
  if (theirs.changed_at != 0) json["theirs_changed_at"] = iso8601(theirs.changed_at);
  if (kept.state != KeptState::open)
    json["decided"] = {{"by", kept.by}, {"reason", kept.reason}, {"how", kept.how}, {"at", iso8601(kept.decided_at)}};
  if (!values) return json;
  json["ours"] = salvage::json_of(kept.entry.row);
  json["theirs"] = theirs.row ? salvage::json_of(*theirs.row) : Json();
  return json;
}

// What a person said about entries.
struct Order {
  bool discard = false, dry_run = false;
  Rule conflicts = Rule::ask;
  std::string rule, reason;
  std::map<std::int64_t, Rule> choices;  // by id, before the rule
};

Result<Order> order_of(const Json& body) {
  Order order;
  const auto act = TRY(asked(member<std::string>(body, "act")));
  if (act != "apply" && act != "discard") return fail(Kind::invalid_input, "'act' is apply or discard");
  order.discard = act == "discard";
  order.dry_run = TRY(asked(member_or<bool>(body, "dry_run", false)));
  order.reason = TRY(asked(member_or<std::string>(body, "reason", "")));
  if (order.reason.empty())
    return fail(Kind::invalid_input, "a decision about salvage needs a reason", "--reason TEXT");
  order.rule = TRY(asked(member_or<std::string>(body, "rule", "ask")));
  const auto rule = salvage::rule_of(order.rule);
  if (!rule) return fail(Kind::invalid_input, "there is no rule " + order.rule, "ask, take-ours, take-theirs or newer");
  order.conflicts = *rule;
  const Json choices = TRY(asked(member_or<Json>(body, "choices", Json::object())));
  if (!choices.is_object()) return fail(Kind::invalid_input, "'choices' is no object");
  for (const auto& [id, choice] : choices.items()) {
    const auto chosen = choice.is_string() ? salvage::rule_of(choice.get<std::string>()) : std::nullopt;
    if (!chosen) return fail(Kind::invalid_input, "a choice is ask, take-ours, take-theirs or newer");
    order.choices[std::strtoll(id.c_str(), nullptr, 10)] = *chosen;
  }
  return order;
}

Json deed_json(const Deed& deed) {
  Json json = json_of(deed.key);
  json["id"] = deed.id;
  json["remove"] = deed.remove;
  json["columns"] = Json::array();
  for (const auto& [column, value] : deed.row) json["columns"].push_back(column);
  json["expected"] = deed.expected;
  return json;
}

// Without its values, which come through the gate.
Result<Deed> deed_of(const Json& json) {
  Deed deed;
  deed.id = TRY(asked(member<std::int64_t>(json, "id")));
  deed.key = TRY(key_of(json));
  deed.remove = TRY(asked(member<bool>(json, "remove")));
  deed.expected = TRY(asked(member<std::string>(json, "expected")));
  for (const Json& column : TRY(asked(member<Json>(json, "columns")))) {
    if (!column.is_string()) return fail(Kind::invalid_input, "'columns' holds something else than names");
    deed.row[column.get<std::string>()] = std::nullopt;
  }
  return deed;
}

Json run_json(const postgres::SalvageRun& run, std::int64_t open) {
  return {{"residency", run.residency},
          {"epoch", run.epoch},
          {"next_owner", run.next_owner},
          {"base", run.base == 0 ? Json() : Json(authority::lsn_text(run.base))},
          {"upto", authority::lsn_text(run.upto)},
          {"transactions", run.transactions},
          {"rows", run.rows},
          {"open", open},
          {"lost", run.lost},
          {"note", run.note},
          {"at", iso8601(run.at)}};
}

}  // namespace

Json since_question(const std::string& residency, const std::vector<salvage::Entry>& entries) {
  Json keys = Json::array();
  for (const auto& entry : entries) keys.push_back(json_of(entry.key));
  return {{"residency", residency}, {"keys", keys}};
}

Result<std::vector<postgres::Since>> since_answer(const Json& json, std::size_t count) {
  const Json list = TRY(member<Json>(json, "since"));
  if (!list.is_array() || list.size() != count)
    return fail(Kind::corrupt, "the owner did not answer for every row that it was asked about");
  std::vector<postgres::Since> out;
  for (const Json& each : list)
    out.push_back({TRY(member<bool>(each, "changed")), TRY(member<Micros>(each, "at")), TRY(member<bool>(each, "made")),
                   TRY(member<std::string>(each, "digest"))});
  return out;
}

Result<authority::Record> SalvageCalls::serving(const std::string& residency) const {
  const auto board = setup_.residencies.find(residency);
  if (board == setup_.residencies.end()) return fail(Kind::invalid_input, "this agent knows no residency " + residency);
  const auto seen = board->second->get();
  if (!seen->record || seen->record->value.mode != authority::Mode::serving)
    return fail(Kind::unavailable, "nobody serves " + residency + " now", "domicile status");
  return seen->record->value;
}

// Whoever asks the owner about rows must be one that may hold them in full; to write some, could own them itself.
Result<void> SalvageCalls::only_for(const std::string& residency, const std::string& peer, bool writes) const {
  const auto* rules = topology::residency_of(*setup_.store.topology, residency);
  const bool may =
      rules != nullptr && (writes ? topology::may_own(*rules, peer)
                                  : topology::form_at(*setup_.store.topology, *rules, peer) == topology::Form::full);
  if (!may) return fail(Kind::refused, fmt::format("{} can have no salvage of {}", peer, residency));
  if (TRY(serving(residency)).owner != setup_.config->region)
    return fail(Kind::conflict, fmt::format("{} does not own {}", setup_.config->region, residency));
  return {};
}

std::vector<MappedTable> SalvageCalls::tables_of(const std::string& residency) const {
  return residency::carried_tables(*setup_.store.topology, residency, topology::Form::full);
}

Result<Json> SalvageCalls::list() const {
  auto connection = TRY(session());
  const Sql sql(connection);
  auto open = TRY(postgres::open_salvage(sql));
  Json runs = Json::array(), repairs = Json::array();
  for (const auto& run : TRY(postgres::salvage_runs(sql)))
    runs.push_back(run_json(run, open[{run.residency, run.epoch}]));
  for (const auto& repair : TRY(postgres::repairs(sql)))
    repairs.push_back({{"residency", repair.residency},
                       {"epoch", repair.epoch},
                       {"source", repair.source},
                       {"took_ms", repair.took / kMillisecond},
                       {"bytes", repair.bytes},
                       {"whole", repair.whole},
                       {"tables", repair.tables},
                       {"at", iso8601(repair.at)}});
  return Json{{"runs", runs}, {"repairs", repairs}};
}

Result<Json> SalvageCalls::show(const Json& body, bool local) const {
  const auto which = TRY(agent::which(body));
  const bool values = TRY(asked(member_or<bool>(body, "values", false)));
  if (values && !local)
    return fail(Kind::refused, "values of salvaged rows are shown at the region's own socket only",
                "domicile salvage show on a host of that region");
  auto connection = TRY(session());
  Json list = Json::array();
  for (const auto& judged : TRY(judge(connection, tables_of(which.residency), which)))
    list.push_back(json_of(judged, values));
  return list;
}

Result<Json> SalvageCalls::decide(const Json& body, const std::string& who) const {
  const auto which = TRY(agent::which(body));
  const auto order = TRY(order_of(body));
  const auto record = TRY(serving(which.residency));
  const auto residency = which.residency;
  if (record.owner == setup_.config->region)
    return fail(Kind::conflict,
                fmt::format("{} owns {} itself now: its salvage is decided where the rows are compared with an owner's",
                            record.owner, residency),
                "apply or discard it before the switch home");
  const auto* rules = topology::residency_of(*setup_.store.topology, residency);
  if (!order.discard && (rules == nullptr || !topology::may_own(*rules, setup_.config->region)))
    return fail(Kind::refused,
                fmt::format("no link leads out of {}, which can never own {}", setup_.config->region, residency),
                "domicile salvage export, and enter the rows at the owner; then domicile salvage discard");
  if (setup_.residencies.at(residency)->get()->copy.state != authority::Copy::State::following)
    return fail(Kind::unavailable, "the copy here is not equal to the owner's yet", "domicile status");
  auto connection = TRY(session());
  const Sql sql(connection);

  std::vector<Deed> deeds;
  std::vector<std::int64_t> superseded, discarded, waiting;
  for (const auto& judged : TRY(judge(sql, tables_of(residency), which))) {
    const auto& kept = judged.kept;
    if (kept.state != KeptState::open) continue;
    if (order.discard) {
      discarded.push_back(kept.id);
      continue;
    }
    const auto choice = order.choices.find(kept.id);
    const Rule rule = choice == order.choices.end() ? order.conflicts : choice->second;
    switch (salvage::deed_of(kept.entry, judged.theirs, rule, true)) {
      case salvage::Deed::leave:
        (judged.verdict == Verdict::superseded ? superseded : discarded).push_back(kept.id);
        break;
      case salvage::Deed::wait:
        waiting.push_back(kept.id);
        break;
      case salvage::Deed::write:
      case salvage::Deed::remove:
        deeds.push_back(
            {kept.id, kept.entry.key, kept.entry.net == salvage::Net::removed, kept.entry.row, judged.digest});
        break;
    }
  }
  Json answer{{"residency", residency},          {"epoch", which.epoch},
              {"applied", deeds.size()},         {"discarded", discarded.size()},
              {"superseded", superseded.size()}, {"waiting", waiting},
              {"refused", Json::array()},        {"dry_run", order.dry_run}};
  if (order.dry_run) return answer;

  std::vector<std::int64_t> applied;
  for (std::size_t at = 0; at < deeds.size(); at += kAtOnce) {
    Json list = Json::array();
    for (std::size_t i = at; i < std::min(at + kAtOnce, deeds.size()); ++i) list.push_back(deed_json(deeds[i]));
    const auto told =
        TRY(setup_.peers->call(record.owner, "POST", "/v1/salvage/apply",
                               {{"residency", residency}, {"epoch", which.epoch}, {"deeds", list}}, kApply));
    const Json outcomes = TRY(member<Json>(told, "outcomes"));
    for (const auto& [id, why] : outcomes.items()) {
      if (!why.is_string()) return fail(Kind::corrupt, "the owner's answer is not one");
      if (why.get<std::string>().empty())
        applied.push_back(std::strtoll(id.c_str(), nullptr, 10));
      else
        answer["refused"].push_back({{"id", std::strtoll(id.c_str(), nullptr, 10)}, {"why", why}});
    }
    // At once: an entry that was applied and still looks open would be found superseded, no worse.
    TRY(postgres::decide_salvage(sql, std::exchange(applied, {}), KeptState::applied, who, order.reason, order.rule));
  }
  answer["applied"] = deeds.size() - answer["refused"].size();
  TRY(postgres::decide_salvage(sql, discarded, KeptState::discarded, who, order.reason,
                               order.discard ? "discard" : order.rule));
  TRY(postgres::decide_salvage(sql, superseded, KeptState::discarded, who, order.reason, "superseded"));
  setup_.events->ordered("salvage.decided",
                         fmt::format("epoch {}: {} rows applied, {} discarded, {} superseded, {} wait, {} refused",
                                     which.epoch, answer["applied"].get<std::size_t>(), discarded.size(),
                                     superseded.size(), waiting.size(), answer["refused"].size()),
                         fmt::format("by {}: {}", who, order.reason), residency, record.epoch);
  return answer;
}

Result<std::size_t> SalvageCalls::reapply_inserts(const std::string& residency, std::set<authority::Epoch>& offered,
                                                  const std::string& who, const std::string& reason) const {
  auto connection = TRY(session());
  const Sql sql(connection);
  std::size_t applied = 0;
  for (const auto& [run, open] : TRY(postgres::open_salvage(sql))) {
    if (run.first != residency || open == 0 || offered.contains(run.second)) continue;
    Json ids = Json::array();
    for (const auto& judged : TRY(judge(sql, tables_of(residency), {residency, "", run.second, {}})))
      if (judged.kept.state == KeptState::open && judged.kept.entry.net == salvage::Net::inserted &&
          judged.verdict == Verdict::missing)
        ids.push_back(judged.kept.id);
    if (!ids.empty())
      applied += TRY(member<std::size_t>(
          TRY(decide(
              {{"residency", residency}, {"epoch", run.second}, {"ids", ids}, {"act", "apply"}, {"reason", reason}},
              who)),
          "applied"));
    offered.insert(run.second);
  }
  return applied;
}

HttpReply SalvageCalls::rows(const Json& body, const std::string& peer) const {
  return rows_reply([&]() -> Result<RowsOut> {
    const auto which = TRY(agent::which(body));
    if (TRY(serving(which.residency)).owner != peer)
      return fail(Kind::refused, fmt::format("{} does not own {}", peer, which.residency));
    const auto tables = tables_of(which.residency);
    const auto table =
        std::ranges::find_if(tables, [&](const MappedTable& each) { return each.qualified() == which.table; });
    if (table == tables.end() || which.ids.empty()) return fail(Kind::invalid_input, "no such table, or no ids");
    auto connection = TRY(session());
    auto entries = TRY(postgres::salvage_entries(connection, which.residency, which.epoch, which.ids));
    const auto link = residency::link_name(which.residency, setup_.config->region, peer);
    return
        [this, entries = std::move(entries), table = *table, link](const std::function<bool(std::string_view)>& write) {
          GatedRows out(GateClient(setup_.config->gate_socket.string()), link, table.qualified(), table.columns, write);
          const auto done = [&]() -> Result<void> {
            for (const auto& kept : entries) {
              if (kept.entry.key.table != table.qualified()) continue;
              postgres::CopyFields fields;
              for (const auto& column : table.columns) {
                const auto value = kept.entry.row.find(column);
                fields.push_back(value == kept.entry.row.end() ? std::nullopt : value->second);
              }
              CHECK_OK(out.add(postgres::copy_line(fields)));
            }
            return out.flush();
          }();
          if (!done)
            setup_.log.warn(
                "salvage.export", "salvaged rows stop",
                {{Field::link, link}, {Field::table, table.qualified()}, {Field::reason, one_line(done.error())}});
          return done.has_value();
        };
  }());
}

// From a slot that has stood since the takeover: the one to `peer`, else another one.
Result<std::vector<postgres::Since>> SalvageCalls::changed_since(const Sql& sql, const std::string& residency,
                                                                 const std::string& peer,
                                                                 const std::vector<salvage::Key>& keys) const {
  std::vector<replication::LinkName> links;
  for (const auto& link : residency::links_of(*setup_.store.topology))
    if (link.residency == residency && link.from == setup_.config->region)
      links.insert(link.to == peer ? links.begin() : links.end(), {link.residency, link.from, link.to});
  for (const auto& name : links) {
    auto link = postgres::link_spec(*setup_.store.topology, name);
    if (!TRY(postgres::links::stands_since_takeover(sql, link))) {
      if (name.to != peer) continue;
      link.name = postgres::links::since_slot(link);  // while a repair made the link's own anew
    }
    auto since = postgres::since_takeover(sql, link, keys);
    if (since || (since.error().kind != Kind::unavailable && since.error().kind != Kind::conflict)) return since;
  }
  // Nobody knows what was changed here, so everything counts as changed.
  setup_.log.warn("salvage.since", "no slot here has stood since the takeover: what was changed since is not known",
                  {{Field::residency, residency}});
  return std::vector<postgres::Since>(keys.size(), {true, 0});
}

Result<Json> SalvageCalls::since(const Json& body, const std::string& peer) const {
  const auto residency = TRY(asked(member<std::string>(body, "residency")));
  CHECK_OK(only_for(residency, peer, false));
  std::vector<salvage::Key> keys;
  for (const Json& key : TRY(asked(member<Json>(body, "keys")))) keys.push_back(TRY(key_of(key)));
  auto connection = TRY(session());
  const Sql sql(connection);
  CHECK_OK(postgres::links::print_alike(sql));
  const auto tables = tables_of(residency);
  // Rows first: what changes behind this look is found in the log, or makes another digest later.
  std::vector<std::string> digests;
  for (const auto& key : keys) {
    const auto table =
        std::ranges::find_if(tables, [&](const MappedTable& each) { return each.qualified() == key.table; });
    digests.push_back(table == tables.end() ? "none" : postgres::digest_of(TRY(postgres::find_row(sql, *table, key))));
  }
  const auto since = TRY(changed_since(sql, residency, peer, keys));
  Json list = Json::array();
  for (std::size_t i = 0; i < keys.size(); ++i)
    list.push_back(
        {{"changed", since[i].changed}, {"at", since[i].at}, {"made", since[i].made}, {"digest", digests[i]}});
  return Json{{"since", list}};
}

// The rows of the ids that `question` names, in their order, from the gate of the region that keeps them.
Result<std::vector<salvage::Row>> SalvageCalls::fetch(const std::string& peer, const std::string& residency,
                                                      const Json& question, const MappedTable& table) const {
  const auto site = setup_.config->sites.find(peer);
  if (site == setup_.config->sites.end()) return fail(Kind::invalid_input, "no address of " + peer);
  HttpClient client(setup_.config->api.tls);
  std::vector<salvage::Row> out;
  const auto response =
      TRY(receive_lines(client, {"POST", site->second.api + "/v1/salvage/rows", {"Expect:"}, dump(question), kApply},
                        [&](std::string_view lines) -> Result<void> {
                          while (!lines.empty()) {
                            const auto end = lines.find('\n');
                            const auto fields = TRY(postgres::copy_fields(lines.substr(0, end)));
                            if (fields.size() != table.columns.size())
                              return fail(Kind::corrupt, "a salvaged row has other columns");
                            salvage::Row row;
                            for (std::size_t i = 0; i < fields.size(); ++i) row[table.columns[i]] = fields[i];
                            out.push_back(std::move(row));
                            lines.remove_prefix(end + 1);
                          }
                          return {};
                        }));
  if (response.status >= 400)
    return fail(Kind::unavailable,
                fmt::format("{} answered {} to the question for rows of {}", peer, response.status, residency));
  return out;
}

Result<Json> SalvageCalls::apply(const Json& body, const std::string& peer) const {
  const auto residency = TRY(asked(member<std::string>(body, "residency")));
  const auto epoch = TRY(asked(member<Epoch>(body, "epoch")));
  CHECK_OK(only_for(residency, peer, true));
  std::vector<Deed> deeds;
  for (const Json& json : TRY(asked(member<Json>(body, "deeds")))) deeds.push_back(TRY(deed_of(json)));
  const auto tables = tables_of(residency);
  for (const auto& table : tables) {
    std::vector<Deed*> writes;
    Json ids = Json::array();
    for (auto& deed : deeds)
      if (!deed.remove && deed.key.table == table.qualified()) {
        writes.push_back(&deed);
        ids.push_back(deed.id);
      }
    if (writes.empty()) continue;
    const auto rows =
        TRY(fetch(peer, residency,
                  {{"residency", residency}, {"epoch", epoch}, {"table", table.qualified()}, {"ids", ids}}, table));
    if (rows.size() != writes.size()) return fail(Kind::corrupt, "not every salvaged row came");
    // They come by id; deeds do as well.
    for (std::size_t i = 0; i < rows.size(); ++i)
      for (auto& [column, value] : writes[i]->row)
        if (const auto found = rows[i].find(column); found != rows[i].end()) value = found->second;
  }
  auto connection = TRY(session());
  const auto outcomes = TRY(postgres::reapply(connection, tables, deeds));
  Json told = Json::object();
  for (const auto& [id, why] : outcomes) told[std::to_string(id)] = why;
  return Json{{"outcomes", told}};
}

}  // namespace domicile::agent
