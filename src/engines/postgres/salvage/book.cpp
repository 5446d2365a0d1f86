#include "engines/postgres/salvage/book.hpp"

#include <algorithm>
#include <array>

#include "base/json.hpp"
#include "base/sha256.hpp"

namespace domicile::postgres {

using authority::Epoch;
using links::Sql;
using salvage::Entry;

namespace {

constexpr std::array<std::string_view, 3> kStates{"open", "applied", "discarded"};

std::int64_t integer_of(const links::Cell& cell) { return cell ? std::strtoll(cell->c_str(), nullptr, 10) : 0; }
std::uint64_t lsn_in(const links::Cell& cell) { return cell ? authority::lsn_of(*cell).value_or(0) : 0; }

std::string array_of(const std::vector<std::int64_t>& ids) {
  std::string list;
  for (const auto id : ids) list += (list.empty() ? "" : ",") + std::to_string(id);
  return "{" + list + "}";
}

Result<salvage::Row> row_in(const links::Cell& cell) {
  return salvage::row_of(TRY(parse_json(cell.value_or("{}"), "a salvaged row")));
}

Result<void> insert_entry(const Sql& sql, const SalvageRun& run, const Entry& entry, const Since& since) {
  CHECK_OK(sql.query(
      "INSERT INTO domicile.salvage (residency, epoch, table_name, key, net, row, first_lsn, last_lsn, committed_us, "
      "changes, theirs_changed, theirs_us, theirs_digest) VALUES ($1, $2::bigint, $3, $4::jsonb, $5, $6::jsonb, "
      "$7::pg_lsn, "
      "$8::pg_lsn, $9::bigint, $10::int, $11::bool, $12::bigint, $13)",
      {run.residency, std::to_string(run.epoch), entry.key.table, dump(salvage::json_of(entry.key.columns)),
       std::string(salvage::name_of(entry.net)), dump(salvage::json_of(entry.row)), authority::lsn_text(entry.first),
       authority::lsn_text(entry.last), std::to_string(entry.committed_at), std::to_string(entry.changes),
       since.changed ? "true" : "false", std::to_string(since.at), since.digest}));
  return {};
}

}  // namespace

std::string_view name_of(KeptState state) { return kStates[static_cast<std::size_t>(state)]; }

std::optional<KeptState> kept_state_of(std::string_view name) {
  const auto found = std::ranges::find(kStates, name);
  if (found == kStates.end()) return {};
  return static_cast<KeptState>(found - kStates.begin());
}

Result<void> keep_salvage(const Sql& sql, const SalvageRun& run, const std::vector<Entry>& entries,
                          const std::vector<Since>& since) {
  return links::in_transaction(sql, [&]() -> Result<void> {
    const auto made = TRY(sql.query(
        "INSERT INTO domicile.salvage_run (residency, epoch, next_owner, base, upto, transactions, rows, lost, note) "
        "VALUES ($1, $2::bigint, $3, $4::pg_lsn, $5::pg_lsn, $6::bigint, $7::bigint, $8, $9) ON CONFLICT DO NOTHING "
        "RETURNING 1",
        {run.residency, std::to_string(run.epoch), run.next_owner, authority::lsn_text(run.base),
         authority::lsn_text(run.upto), std::to_string(run.transactions), std::to_string(entries.size()), run.lost,
         run.note}));
    if (made.empty())
      return fail(Kind::conflict,
                  fmt::format("the salvage of {}'s epoch {} is kept already", run.residency, run.epoch));
    for (std::size_t i = 0; i < entries.size(); ++i) CHECK_OK(insert_entry(sql, run, entries[i], since.at(i)));
    return {};
  });
}

Result<bool> salvage_kept(const Sql& sql, const std::string& residency, Epoch epoch) {
  const auto rows = TRY(sql.query("SELECT 1 FROM domicile.salvage_run WHERE residency = $1 AND epoch = $2::bigint",
                                  {residency, std::to_string(epoch)}));
  return !rows.empty();
}

Result<std::vector<SalvageRun>> salvage_runs(const Sql& sql) {
  std::vector<SalvageRun> out;
  for (const auto& row :
       TRY(sql.query("SELECT residency, epoch, next_owner, base, upto, transactions, rows, lost, note, "
                     "(extract(epoch FROM at) * 1000000)::bigint FROM domicile.salvage_run ORDER BY at, residency")))
    out.push_back({*row[0], integer_of(row[1]), *row[2], lsn_in(row[3]), lsn_in(row[4]), integer_of(row[5]),
                   integer_of(row[6]), *row[7], *row[8], integer_of(row[9])});
  return out;
}

Result<std::vector<Kept>> salvage_entries(const Sql& sql, const std::string& residency, Epoch epoch,
                                          const std::vector<std::int64_t>& only) {
  std::vector<Kept> out;
  for (const auto& row : TRY(sql.query(
           "SELECT id, table_name, key, net, row, first_lsn, last_lsn, committed_us, changes, theirs_changed, "
           "theirs_us, theirs_digest, state, decided_by, reason, how, "
           "coalesce((extract(epoch FROM decided_at) * 1000000)::bigint, 0) "
           "FROM domicile.salvage WHERE residency = $1 AND epoch = $2::bigint "
           "AND ($3 = '{}' OR id = ANY ($3::bigint[])) ORDER BY id",
           {residency, std::to_string(epoch), array_of(only)}))) {
    const auto net = salvage::net_of(*row[3]);
    const auto state = kept_state_of(*row[12]);
    if (!net || !state) return fail(Kind::corrupt, "the salvage was kept by a version that this one does not know");
    Kept kept;
    kept.id = integer_of(row[0]);
    kept.residency = residency;
    kept.epoch = epoch;
    kept.entry = {{*row[1], TRY(row_in(row[2]))},
                  *net,
                  TRY(row_in(row[4])),
                  lsn_in(row[5]),
                  lsn_in(row[6]),
                  integer_of(row[7]),
                  static_cast<int>(integer_of(row[8]))};
    kept.since = {row[9] == "t", integer_of(row[10]), false, row[11].value_or("")};
    kept.state = *state;
    kept.by = row[13].value_or("");
    kept.reason = row[14].value_or("");
    kept.how = row[15].value_or("");
    kept.decided_at = integer_of(row[16]);
    out.push_back(std::move(kept));
  }
  return out;
}

Result<std::map<std::pair<std::string, Epoch>, std::int64_t>> open_salvage(const Sql& sql) {
  std::map<std::pair<std::string, Epoch>, std::int64_t> out;
  for (const auto& row : TRY(sql.query("SELECT residency, epoch, pg_catalog.count(*) FROM domicile.salvage WHERE state "
                                       "= 'open' GROUP BY residency, epoch")))
    out[{*row[0], integer_of(row[1])}] = integer_of(row[2]);
  return out;
}

Result<std::int64_t> decide_salvage(const Sql& sql, const std::vector<std::int64_t>& ids, KeptState state,
                                    const std::string& by, const std::string& reason, const std::string& how) {
  const auto rows = TRY(sql.query(
      "UPDATE domicile.salvage SET state = $2, decided_by = $3, reason = $4, how = $5, decided_at = pg_catalog.now() "
      "WHERE id = ANY ($1::bigint[]) AND state = 'open' RETURNING 1",
      {array_of(ids), std::string(name_of(state)), by, reason, how}));
  return static_cast<std::int64_t>(rows.size());
}

Result<void> keep_repair(const Sql& sql, const KeptRepair& repair) {
  CHECK_OK(sql.query(
      "INSERT INTO domicile.repair (residency, epoch, source, took_ms, bytes, whole, tables) "
      "VALUES ($1, $2::bigint, $3, $4::bigint, $5::bigint, $6::bool, $7::jsonb)",
      {repair.residency, std::to_string(repair.epoch), repair.source, std::to_string(repair.took / kMillisecond),
       std::to_string(repair.bytes), repair.whole ? "true" : "false", dump(repair.tables)}));
  return {};
}

Result<std::vector<KeptRepair>> repairs(const Sql& sql) {
  std::vector<KeptRepair> out;
  for (const auto& row :
       TRY(sql.query("SELECT residency, epoch, source, took_ms, bytes, whole, tables, (extract(epoch FROM at) * "
                     "1000000)::bigint FROM domicile.repair ORDER BY at DESC LIMIT 100")))
    out.push_back({*row[0], integer_of(row[1]), *row[2], integer_of(row[3]) * kMillisecond, integer_of(row[4]),
                   row[5] == "t", TRY(parse_json(*row[6], "a repair's tables")), integer_of(row[7])});
  return out;
}

Result<std::optional<salvage::Row>> find_row(const Sql& sql, const links::MappedTable& table, const salvage::Key& key) {
  std::string where;
  std::vector<links::Cell> values;
  for (const auto& [column, value] : key.columns) {
    values.push_back(value);
    where += fmt::format("{}{} = ${}", where.empty() ? "" : " AND ", sql.name(column), values.size());
  }
  const auto rows = TRY(sql.query(
      fmt::format("SELECT {} FROM {} WHERE {}", links::column_list(sql, table), links::name_of(sql, table), where),
      values));
  if (rows.empty()) return std::optional<salvage::Row>();
  salvage::Row row;
  for (std::size_t i = 0; i < table.columns.size(); ++i) row[table.columns[i]] = rows[0][i];
  return std::optional(std::move(row));
}

std::string digest_of(const std::optional<salvage::Row>& row) {
  return row ? sha256_hex(dump(salvage::json_of(*row))) : "none";
}

}  // namespace domicile::postgres
