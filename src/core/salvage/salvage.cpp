#include "core/salvage/salvage.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace domicile::salvage {
namespace {

// In the order of their enumerations.
constexpr std::array<std::string_view, 4> kNets{"inserted", "updated", "removed", "came and went"};
constexpr std::array<std::string_view, 3> kVerdicts{"missing", "conflict", "superseded"};
constexpr std::array<std::string_view, 4> kRules{"ask", "take-ours", "take-theirs", "newer"};

// Was the row there before the salvage begins? The first change says so.
bool was_there(Did first) { return first != Did::insert; }

class Condenser {
 public:
  void add(const Change& change) {
    if (change.did == Did::update && change.was && *change.was != change.key) {
      // A row under another key is another row: who looks for it finds the old one gone and the new one come.
      put(*change.was, Did::remove, {}, change);
      put(change.key, Did::insert, change.row, change);
      return;
    }
    put(change.key, change.did, change.row, change);
  }
  std::vector<Entry> take() && {
    std::vector<Entry> out;
    for (auto& each : entries_) out.push_back(std::move(each.entry));
    return out;
  }

 private:
  struct Open {
    Entry entry;
    bool was_there = false;
  };

  void put(const Key& key, Did did, const Row& row, const Change& change) {
    const auto [at, fresh] = places_.try_emplace(key, entries_.size());
    if (fresh) {
      entries_.push_back({{key}, was_there(did)});
      entries_.back().entry.first = change.lsn;
    }
    auto& open = entries_[at->second];
    auto& entry = open.entry;
    entry.last = change.lsn;
    entry.committed_at = change.committed_at;
    ++entry.changes;
    if (did == Did::remove) {
      entry.row.clear();
      entry.net = open.was_there ? Net::removed : Net::came_and_went;
      return;
    }
    if (did == Did::insert) entry.row.clear();  // nothing of a row that was removed before lives on
    for (const auto& [column, value] : row) entry.row[column] = value;
    entry.net = open.was_there ? Net::updated : Net::inserted;
  }

  std::vector<Open> entries_;
  std::map<Key, std::size_t> places_;
};

bool says_the_same(const Row& ours, const Row& theirs) {
  return std::ranges::all_of(ours, [&](const auto& column) {
    const auto found = theirs.find(column.first);
    return found != theirs.end() && found->second == column.second;
  });
}

bool removes(const Entry& entry) { return entry.net == Net::removed; }

}  // namespace

std::vector<Entry> condense(const std::vector<Change>& changes) {
  Condenser condenser;
  for (const auto& change : changes) condenser.add(change);
  return std::move(condenser).take();
}

Verdict judge(const Entry& entry, const Theirs& theirs) {
  if (entry.net == Net::came_and_went) return Verdict::superseded;
  if (removes(entry) ? !theirs.row : theirs.row && says_the_same(entry.row, *theirs.row)) return Verdict::superseded;
  if (theirs.changed_since) return Verdict::conflict;
  // Untouched there, it must be as the salvage found it; else one of the two is not what its log says.
  const bool found_it_there = entry.net != Net::inserted;
  return found_it_there == theirs.row.has_value() ? Verdict::missing : Verdict::conflict;
}

Deed deed_of(const Entry& entry, const Theirs& theirs, Rule conflicts, bool apply_missing) {
  const Deed ours = removes(entry) ? Deed::remove : Deed::write;
  switch (judge(entry, theirs)) {
    case Verdict::superseded:
      return Deed::leave;
    case Verdict::missing:
      return apply_missing ? ours : Deed::wait;
    case Verdict::conflict:
      break;
  }
  switch (conflicts) {
    case Rule::ask:
      return Deed::wait;
    case Rule::take_ours:
      return ours;
    case Rule::take_theirs:
      return Deed::leave;
    case Rule::newer:
      return entry.committed_at > theirs.changed_at ? ours : Deed::leave;
  }
  return Deed::wait;
}

Json json_of(const Row& row) {
  Json json = Json::object();
  for (const auto& [column, value] : row) json[column] = value ? Json(*value) : Json();
  return json;
}

Result<Row> row_of(const Json& json) {
  if (!json.is_object()) return fail(Kind::corrupt, "a salvaged row is no object");
  Row row;
  for (const auto& [column, value] : json.items()) {
    if (!value.is_null() && !value.is_string()) return fail(Kind::corrupt, "a value of a salvaged row is no text");
    row[column] = value.is_null() ? std::nullopt : std::optional(value.get<std::string>());
  }
  return row;
}

std::optional<Net> net_of(std::string_view name) {
  const auto found = std::ranges::find(kNets, name);
  if (found == kNets.end()) return {};
  return static_cast<Net>(found - kNets.begin());
}

std::string_view name_of(Net net) { return kNets[static_cast<std::size_t>(net)]; }
std::string_view name_of(Verdict verdict) { return kVerdicts[static_cast<std::size_t>(verdict)]; }
std::string_view name_of(Rule rule) { return kRules[static_cast<std::size_t>(rule)]; }

std::optional<Rule> rule_of(std::string_view name) {
  const auto found = std::ranges::find(kRules, name);
  if (found == kRules.end()) return {};
  return static_cast<Rule>(found - kRules.begin());
}

}  // namespace domicile::salvage
