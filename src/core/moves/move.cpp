#include "core/moves/move.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

#include "base/json.hpp"
#include "base/sha256.hpp"

namespace domicile::moves {

using topology::Form;

namespace {

constexpr std::array<std::string_view, 9> kNames{"copying",  "holding",  "sealed", "flipped", "releasing",
                                                 "deleting", "aborting", "done",   "aborted"};

}  // namespace

std::string_view name_of(Phase phase) { return kNames[static_cast<std::size_t>(phase)]; }

std::optional<Phase> phase_of(std::string_view name) {
  const auto found = std::ranges::find(kNames, name);
  if (found == kNames.end()) return {};
  return static_cast<Phase>(found - kNames.begin());
}

bool live(Phase phase) { return phase != Phase::done && phase != Phase::aborted; }
bool held(Phase phase) { return phase == Phase::holding || phase == Phase::sealed || phase == Phase::flipped; }
bool sealed(Phase phase) { return phase == Phase::sealed || phase == Phase::flipped; }
bool flipped(Phase phase) {
  return phase == Phase::flipped || phase == Phase::releasing || phase == Phase::deleting || phase == Phase::done;
}
bool abortable(Phase phase) { return phase == Phase::copying || phase == Phase::holding || phase == Phase::sealed; }

Everywhere awaited_everywhere(const Move& move) {
  switch (move.phase) {
    case Phase::holding:
    case Phase::flipped:
    case Phase::releasing:
      return {true, false, ""};
    case Phase::deleting:
      return {true, true, move.from};
    case Phase::aborting:
      return {false, false, move.to};
    case Phase::copying:
    case Phase::sealed:
    case Phase::done:
    case Phase::aborted:
      break;
  }
  return {};
}

Json json_of(const Move& move) {
  return {{"tenant", move.tenant},
          {"id", move.id},
          {"from", move.from},
          {"to", move.to},
          {"phase", name_of(move.phase)},
          {"digest", move.digest},
          {"note", move.note},
          {"without_personal", move.without_personal},
          {"reason", move.reason},
          {"by", move.by},
          {"at", move.at}};
}

Result<Move> move_of(const Json& json) {
  Move move;
  move.tenant = TRY(member<std::string>(json, "tenant"));
  move.id = TRY(member<std::string>(json, "id"));
  move.from = TRY(member<std::string>(json, "from"));
  move.to = TRY(member<std::string>(json, "to"));
  const auto phase = phase_of(TRY(member<std::string>(json, "phase")));
  if (!phase) return fail(Kind::corrupt, "a phase of a move that this version does not know");
  move.phase = *phase;
  move.digest = TRY(member_or<std::string>(json, "digest", ""));
  move.note = TRY(member_or<std::string>(json, "note", ""));
  move.without_personal = TRY(member_or<bool>(json, "without_personal", false));
  move.reason = TRY(member_or<std::string>(json, "reason", ""));
  move.by = TRY(member_or<std::string>(json, "by", ""));
  move.at = TRY(member_or<std::int64_t>(json, "at", 0));
  return move;
}

bool follows(Phase now, Phase next) {
  switch (now) {
    case Phase::copying:
      return next == Phase::holding || next == Phase::aborting;
    case Phase::holding:
      return next == Phase::sealed || next == Phase::aborting;
    case Phase::sealed:
      return next == Phase::flipped || next == Phase::aborting;
    case Phase::flipped:
      return next == Phase::releasing;
    case Phase::releasing:
      return next == Phase::deleting;
    case Phase::deleting:
      return next == Phase::done;
    case Phase::aborting:
      return next == Phase::aborted;
    case Phase::done:
    case Phase::aborted:
      return false;
  }
  return false;
}

Form lawful_form(const topology::Topology& topology, const topology::Residency& from, const topology::Residency& to) {
  for (const Form form : {Form::full, Form::reduced}) {
    const bool lawful = std::ranges::all_of(topology.regions, [&](const topology::Region& region) {
      const Form before = topology::form_in(from, region.jurisdiction);
      const Form after = std::min(form, topology::form_in(to, region.jurisdiction));
      return after <= before;
    });
    if (lawful) return form;
  }
  return Form::none;
}

std::vector<std::string> personal_columns(const topology::Topology& topology) {
  std::vector<std::string> columns;
  for (const auto& table : topology.tables)
    for (const auto& column : table.personal) columns.push_back(table.qualified() + "." + column.str());
  return columns;
}

Result<void> judge(const topology::Topology& topology, const std::string& from, const Order& order) {
  const auto* source = topology::residency_of(topology, from);
  const auto* target = topology::residency_of(topology, order.to);
  if (target == nullptr || order.to == topology::kDirectory)
    return fail(Kind::invalid_input, fmt::format("no tenant can live in a residency '{}'", order.to),
                "name a residency of the topology", "DOM-E711");
  if (source == nullptr)
    return fail(Kind::refused, fmt::format("the tenant's residency '{}' is not in the topology", from),
                "domicile check", "DOM-E711");
  if (from == order.to)
    return fail(Kind::conflict, fmt::format("tenant '{}' lives in {} already", order.tenant, from), "", "DOM-E712");
  const Form form = lawful_form(topology, *source, *target);
  if (form == Form::none)
    return fail(
        Kind::refused,
        fmt::format("the law of {} keeps every row out of a region that would get it as one of {}", from, order.to),
        "no move is lawful: export the tenant's data, and create it anew there", "DOM-E713");
  if (form == Form::full || personal_columns(topology).empty()) return {};
  if (!order.without_personal)
    return fail(Kind::refused,
                fmt::format("the law of {} keeps personal columns out of a region that would get them as rows of {}: "
                            "they stay behind, and are deleted there",
                            from, order.to),
                "export them first where they are lawful, then repeat it with --without-personal", "DOM-E714");
  if (order.reason.empty())
    return fail(Kind::refused, fmt::format("a move out of the stricter law of {} needs a written reason", from),
                "--reason TEXT", "DOM-E715");
  return {};
}

std::int64_t rows_of(const Summary& summary) {
  std::int64_t rows = 0;
  for (const auto& [table, buckets] : summary)
    for (const auto& [number, bucket] : buckets) rows += bucket.rows;
  return rows;
}

Summary changes(const Summary& before, const Summary& now) {
  Summary out;
  for (const auto& [table, buckets] : now) {
    const auto known = before.find(table);
    const TableSummary empty, &earlier = known == before.end() ? empty : known->second;
    auto& changed = out[table];
    for (const auto& [number, bucket] : buckets) {
      const auto same = earlier.find(number);
      if (same == earlier.end() || same->second != bucket) changed[number] = bucket;
    }
    for (const auto& [number, bucket] : earlier)
      if (!buckets.contains(number)) changed[number] = {};
  }
  return out;
}

Summary merged(Summary summary, const Summary& changes) {
  for (const auto& [table, buckets] : changes)
    for (const auto& [number, bucket] : buckets)
      if (bucket.rows == 0)
        summary[table].erase(number);
      else
        summary[table][number] = bucket;
  return summary;
}

std::vector<Group> differences(const TableSummary& source, const TableSummary& receiver, std::int64_t rows) {
  std::set<int> numbers;
  for (const auto* side : {&source, &receiver})
    for (const auto& [number, bucket] : *side) numbers.insert(number);
  const auto bucket_of = [](const TableSummary& side, int number) {
    const auto found = side.find(number);
    return found == side.end() ? Bucket{} : found->second;
  };
  // What is new to the receiver and what it has in another form are different work.
  std::vector<Group> groups;
  std::optional<std::size_t> open[2];
  for (const int number : numbers) {
    const Bucket theirs = bucket_of(source, number), ours = bucket_of(receiver, number);
    if (theirs == ours) continue;
    const bool fresh = ours.rows == 0;
    auto& at = open[fresh ? 1 : 0];
    if (!at || groups[*at].rows + theirs.rows > rows) {
      at = groups.size();
      groups.push_back({{}, 0, fresh});
    }
    groups[*at].buckets.push_back(number);
    groups[*at].rows += theirs.rows;
  }
  return groups;
}

std::string digest_of(const Summary& summary) { return sha256_hex(dump(json_of(summary))); }

Json json_of(const Summary& summary) {
  Json json = Json::object();
  for (const auto& [table, buckets] : summary) {
    Json& list = json[table] = Json::array();
    for (const auto& [number, bucket] : buckets) list.push_back({number, bucket.rows, bucket.a, bucket.b});
  }
  return json;
}

Result<Summary> summary_of(const Json& json) {
  const auto broken = [] { return fail(Kind::corrupt, "this is no summary of a tenant's rows"); };
  if (!json.is_object()) return broken();
  Summary summary;
  for (const auto& [table, list] : json.items()) {
    auto& buckets = summary[table];
    if (!list.is_array()) return broken();
    for (const Json& each : list) {
      if (!each.is_array() || each.size() != 4 ||
          !std::ranges::all_of(each, [](const Json& number) { return number.is_number_integer(); }))
        return broken();
      const auto number = each[0].get<std::int64_t>();
      if (number < 0 || number >= kBuckets) return broken();
      buckets[static_cast<int>(number)] = {each[1].get<std::int64_t>(), each[2].get<std::int64_t>(),
                                           each[3].get<std::int64_t>()};
    }
  }
  return summary;
}

}  // namespace domicile::moves
