#include "campaign/ends.hpp"

#include <algorithm>
#include <set>
#include <thread>

#include "engines/postgres/connection.hpp"

namespace domicile::campaign {
namespace {

using history::Deed;

constexpr Micros kStatement = 30 * kSecond;

// What keeps `region` from being settled; empty: nothing.
std::string unsettled(const drill::Field& field, const std::string& region) {
  const auto status = field.agent_status(region);
  if (!status || !status->contains("residencies")) return "the agent of " + region + " does not answer";
  for (const Json& each : (*status)["residencies"]) {
    const std::string name = each.value("residency", ""), owner = each.value("owner", "");
    const std::string state = each.contains("copy") ? each["copy"].value("state", "") : "unknown";
    if (each.value("mode", "") != "serving") return fmt::format("{} is not served, says {}", name, region);
    const auto newest = drill::owner_of(field, name);
    if (!newest || newest->owner != owner || newest->epoch != each.value("epoch", std::int64_t{0}))
      return fmt::format("{} does not know the owner of {}", region, name);
    const bool good = owner == region ? state == "owner" && each.contains("lease_ms") && each["lease_ms"].is_number()
                                      : state == "following";
    if (!good) return fmt::format("{} at {} is {}", name, region, state);
  }
  return "";
}

Result<std::vector<std::int64_t>> numbers(std::string text) {  // {1,2} or [1,2] or nothing
  std::ranges::replace(text, '{', '[');
  std::ranges::replace(text, '}', ']');
  std::vector<std::int64_t> all;
  if (text.empty()) return all;
  for (const Json& each : TRY(parse_json(text, "numbers"))) {
    if (!each.is_number_integer()) return fail(Kind::corrupt, "no numbers");
    all.push_back(each.get<std::int64_t>());
  }
  return all;
}

class Ends {
 public:
  Ends(postgres::Connection& connection, const std::string& residency, Recorder& recorder)
      : connection_(connection), residency_(residency), recorder_(recorder) {}

  Result<void> record(const std::string& node) {
    CHECK_OK(
        each("SELECT id, array_to_json(ARRAY[value]) FROM app.registers WHERE residency = $1", Deed::last_read, node));
    CHECK_OK(each("SELECT id, array_to_json(items) FROM app.lists WHERE residency = $1", Deed::last_list, node));
    CHECK_OK(each("SELECT bank, json_agg(balance ORDER BY number) FROM app.accounts WHERE residency = $1 GROUP BY bank",
                  Deed::last_balances, node));
    CHECK_OK(
        each("SELECT a.bank, (SELECT json_agg(id) FROM app.transfers t WHERE t.residency = $1 AND t.bank = a.bank) "
             "FROM app.accounts a WHERE a.residency = $1 AND a.number = 0",
             Deed::last_transfers, node));
    return absent(node);
  }

 private:
  Result<void> each(const char* sql, Deed deed, const std::string& node) {
    const auto rows = TRY(connection_.exec_params(sql, {residency_}, monotonic_now() + kStatement));
    for (int row = 0; row < rows.size(); ++row) {
      recorder_.note(deed, residency_, rows.text(row, 0), TRY(numbers(rows.text(row, 1))), node);
      there_.insert({deed, rows.text(row, 0)});
    }
    return {};
  }

  // What clients spoke of and nobody has.
  Result<void> absent(const std::string& node) {
    std::set<std::pair<Deed, std::string>> spoken;
    for (const auto& operation : recorder_.operations()) {
      if (operation.residency != residency_) continue;
      if (operation.deed <= Deed::cas) spoken.insert({Deed::last_read, operation.key});
      if (operation.deed == Deed::append || operation.deed == Deed::list)
        spoken.insert({Deed::last_list, operation.key});
    }
    for (const auto& [deed, key] : spoken) {
      if (there_.contains({deed, key})) continue;
      history::Operation nothing;
      nothing.deed = deed, nothing.residency = residency_, nothing.key = key, nothing.node = node;
      nothing.empty_read = deed == Deed::last_read;
      recorder_.add(std::move(nothing));
    }
    return {};
  }

  postgres::Connection& connection_;
  const std::string& residency_;
  Recorder& recorder_;
  std::set<std::pair<Deed, std::string>> there_;
};

Result<void> record_salvage(postgres::Connection& connection, const std::string& region, Recorder& recorder) {
  const auto kept = TRY(connection.exec(
      "SELECT residency, epoch, table_name, key ->> 'id', row ->> 'value', row ->> 'items' FROM domicile.salvage "
      "WHERE net <> 'came and went'",
      monotonic_now() + kStatement));
  for (int row = 0; row < kept.size(); ++row) {
    const std::string residency = kept.text(row, 0), table = kept.text(row, 2), key = kept.text(row, 3);
    const auto epoch = TRY(kept.integer(row, 1));
    if (table == "app.registers" && !kept.null(row, 4))
      recorder.note(Deed::kept_read, residency, key, {TRY(kept.integer(row, 4))}, region, epoch);
    if (table == "app.lists" && !kept.null(row, 5))
      recorder.note(Deed::kept_list, residency, key, TRY(numbers(kept.text(row, 5))), region, epoch);
    if (table == "app.transfers")
      recorder.note(Deed::kept_transfer, residency, "", {TRY(kept.integer(row, 3))}, region, epoch);
  }
  const auto lost = TRY(
      connection.exec("SELECT residency, epoch, base - '0/0'::pg_lsn, lost FROM domicile.salvage_run WHERE lost <> ''",
                      monotonic_now() + kStatement));
  for (int row = 0; row < lost.size(); ++row)
    recorder.note(Deed::lost, lost.text(row, 0), "", {TRY(lost.integer(row, 2))}, region, TRY(lost.integer(row, 1)),
                  lost.text(row, 3));
  return {};
}

}  // namespace

Result<void> await_settled(const drill::Field& field, Micros patience) {
  std::string last;
  for (const Micros deadline = monotonic_now() + patience; monotonic_now() < deadline;
       std::this_thread::sleep_for(std::chrono::milliseconds(100))) {
    last.clear();
    for (const std::string& region : field.regions())
      if (last.empty()) last = unsettled(field, region);
    if (last.empty()) return {};
  }
  return fail(Kind::unavailable, fmt::format("the regions are not settled after {} s: {}", patience / kSecond, last));
}

Result<void> record_ends(const drill::Field& field, const std::vector<std::string>& residencies, Recorder& recorder) {
  for (const std::string& region : field.regions()) {
    auto connection = TRY(postgres::Connection::open(field.database(region)));
    CHECK_OK(record_salvage(connection, region, recorder));
  }
  for (const std::string& residency : residencies) {
    const std::string owner = TRY(drill::owner_of(field, residency)).owner;
    auto connection = TRY(postgres::Connection::open(field.database(owner)));
    CHECK_OK(Ends(connection, residency, recorder).record(owner));
  }
  return {};
}

}  // namespace domicile::campaign
