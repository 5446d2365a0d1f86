#include "engines/postgres/moves/moves.hpp"

#include <algorithm>
#include <set>
#include <thread>

#include "engines/postgres/links/order.hpp"
#include "engines/postgres/links/parts.hpp"
#include "engines/postgres/links/sql.hpp"

namespace domicile::postgres {

using links::in_transaction;
using links::Sql;
using moves::Move;
using moves::Phase;

namespace {

// Rows of one transaction: while a receiver applies a large one it answers nobody, and its link is taken for dead.
constexpr std::int64_t kWrittenAtOnce = 5'000, kDeletedAtOnce = 5'000;

// ---- the directory's row

constexpr const char* kRow = "SELECT move FROM domicile.tenant ";

Result<Move> move_of(std::string_view text) { return moves::move_of(TRY(parse_json(text, "a tenant's move"))); }

// While a move lives: the other residency, whose rows a permit may write or delete.
Param other_of(const Move& move) {
  if (!moves::live(move.phase)) return {};
  return moves::flipped(move.phase) ? move.from : move.to;
}

// ---- rows

std::string list_of(const Sql& sql, const std::vector<std::string>& columns, const std::string& prefix = "") {
  std::string list;
  for (const auto& column : columns) list += (list.empty() ? "" : ", ") + prefix + sql.name(column);
  return list;
}

std::string row_text(const Sql& sql, const std::vector<std::string>& columns, const std::string& prefix = "") {
  return "ROW(" + list_of(sql, columns, prefix) + ")::text";
}

// Of every row of the tenant in each look: a key of one column is spared the row around it, which costs half as much.
std::string bucket_text(const Sql& sql, const MoveTable& table, const std::string& prefix = "") {
  const auto key =
      table.key.size() == 1 ? prefix + sql.name(table.key.front()) + "::text" : row_text(sql, table.key, prefix);
  return fmt::format("(pg_catalog.hashtextextended({}, 0) & {})", key, moves::kBuckets - 1);
}

std::string array_of(const std::vector<int>& numbers) {
  std::string list;
  for (const int number : numbers) list += (list.empty() ? "" : ",") + std::to_string(number);
  return "ARRAY[" + list + "]::bigint[]";
}

std::string name_of(const Sql& sql, const MoveTable& table) {
  return sql.name(table.schema) + "." + sql.name(table.name);
}

std::string belongs(const Sql& sql, const MoveTable& table, const std::string& residency, const std::string& tenant) {
  return fmt::format("{} = {} AND {}::text = {}", sql.name(table.residency_column), sql.literal(residency),
                     sql.name(table.tenant_column), sql.literal(tenant));
}

// `rows`: a query with the columns b (the part's number) and line (a row as text).
std::string sums_of(const std::string& rows) {
  return fmt::format(
      "SELECT b, count(*), pg_catalog.bit_xor(pg_catalog.hashtextextended(line, 0)), "
      "pg_catalog.bit_xor(pg_catalog.hashtextextended(line, 1)) FROM ({}) parts GROUP BY b",
      rows);
}

std::int64_t integer_of(const links::Cell& cell) { return cell ? std::strtoll(cell->c_str(), nullptr, 10) : 0; }

moves::TableSummary table_summary(const links::Table& rows) {
  moves::TableSummary summary;
  for (const auto& row : rows)
    summary[static_cast<int>(integer_of(row[0]))] = {integer_of(row[1]), integer_of(row[2]), integer_of(row[3])};
  return summary;
}

Result<std::vector<std::string>> key_of(const Sql& sql, const MoveTable& table) {
  links::MappedTable mapped;
  mapped.schema = table.schema;
  mapped.name = table.name;
  mapped.columns = table.carried;
  auto key = TRY(links::key_of(sql, mapped));
  std::erase(key, table.residency_column);
  if (key.empty())
    return fail(Kind::failed, fmt::format("table {} has no key beside its residency", table.qualified()),
                "domicile plan");
  return key;
}

Result<void> sort_parents_first(const Sql& sql, std::vector<MoveTable>& tables) {
  std::vector<std::string> names;
  for (const auto& table : tables) names.push_back(table.qualified());
  std::vector<MoveTable> sorted;
  for (const auto at : TRY(links::parents_first(sql, names))) sorted.push_back(std::move(tables[at]));
  tables = std::move(sorted);
  return {};
}

Result<void> permit(const Sql& sql, const std::string& residency) {
  CHECK_OK(sql.query("SELECT domicile.permit($1, 'move')", {residency}));
  return {};
}

// Conditions that part a table of `rows` rows, which nobody has changed since it was filled, by its blocks.
Result<std::vector<std::string>> slices_of(const Sql& sql, const std::string& table, std::int64_t rows) {
  const auto size = TRY(sql.simple(
      fmt::format("SELECT pg_catalog.pg_relation_size({}) / pg_catalog.current_setting('block_size')::bigint",
                  sql.literal(table))));
  const std::int64_t blocks = integer_of(size.at(0).at(0));
  const std::int64_t step = std::max<std::int64_t>(1, blocks * kWrittenAtOnce / std::max<std::int64_t>(1, rows));
  std::vector<std::string> out;
  for (std::int64_t block = 0; block < blocks; block += step)
    out.push_back(fmt::format("ctid >= '({},0)' AND ctid < '({},0)'", block, block + step));
  return out;
}

}  // namespace

Result<std::vector<Move>> read_moves(Connection& connection) {
  const auto rows = TRY(connection.exec(std::string(kRow) + "WHERE moving IS NOT NULL ORDER BY tenant_id"));
  std::vector<Move> out;
  for (int r = 0; r < rows.size(); ++r) out.push_back(TRY(move_of(rows.at(r, 0))));
  return out;
}

Result<std::optional<Move>> find_move(Connection& connection, const std::string& tenant) {
  const auto rows = TRY(connection.exec_params(std::string(kRow) + "WHERE tenant_id = $1", {tenant}));
  if (rows.empty())
    return fail(Kind::invalid_input, "the directory has no tenant '" + tenant + "'", "domicile tenant add", "DOM-T033");
  if (rows.null(0, 0)) return std::optional<Move>();
  return std::optional<Move>(TRY(move_of(rows.at(0, 0))));
}

Result<void> begin_move(Connection& connection, const Move& move) {
  const auto done =
      TRY(connection.exec_params("UPDATE domicile.tenant SET moving = $3, move = $4::pg_catalog.jsonb "
                                 "WHERE tenant_id = $1 AND residency = $2 AND moving IS NULL AND NOT tombstone",
                                 {move.tenant, move.from, move.to, dump(moves::json_of(move))}));
  if (done.affected() == 1) return {};
  return fail(Kind::conflict,
              fmt::format("tenant '{}' moves already, or does not live in {} any more", move.tenant, move.from),
              "domicile tenant show " + move.tenant, "DOM-E712");
}

Result<void> advance_move(Connection& connection, const Move& now, const Move& next) {
  if (now.id != next.id || !moves::follows(now.phase, next.phase))
    return fail(Kind::invalid_input,
                fmt::format("{} does not follow {}", moves::name_of(next.phase), moves::name_of(now.phase)));
  const auto done = TRY(connection.exec_params(
      "UPDATE domicile.tenant SET residency = $4, tombstone = $5::bool, moving = $6, move = $7::pg_catalog.jsonb "
      "WHERE tenant_id = $1 AND move ->> 'id' = $2 AND move ->> 'phase' = $3",
      {now.tenant, now.id, std::string(moves::name_of(now.phase)), next.residency(),
       moves::sealed(next.phase) ? "true" : "false", other_of(next), dump(moves::json_of(next))}));
  if (done.affected() == 1) return {};
  const auto found = TRY(find_move(connection, now.tenant));
  if (found && found->id == next.id && found->phase == next.phase) return {};
  return fail(Kind::conflict,
              fmt::format("the move of tenant '{}' is not {} any more", now.tenant, moves::name_of(now.phase)));
}

std::vector<MoveTable> move_tables(const topology::Topology& topology, const Move& move, const std::string& from_region,
                                   const std::string& to_region) {
  const auto* from = topology::residency_of(topology, move.from);
  const auto* to = topology::residency_of(topology, move.to);
  if (from == nullptr || to == nullptr) return {};
  const auto crossing = from_region == to_region ? topology::Form::full : topology::form_at(topology, *from, to_region);
  const auto lawful = std::min(moves::lawful_form(topology, *from, *to), crossing);
  std::vector<MoveTable> tables;
  for (const auto& table : topology.tables) {
    MoveTable out{table.schema,
                  table.name,
                  table.tenant,
                  table.residency,
                  residency::columns_for(table, crossing),
                  residency::columns_for(table, lawful),
                  {}};
    std::erase(out.moved, out.residency_column);
    tables.push_back(std::move(out));
  }
  return tables;
}

Result<TenantRows> TenantRows::open(Connection connection, std::vector<MoveTable> tables, std::string link,
                                    std::string link_role) {
  CHECK_OK(links::print_alike(connection));
  const Sql sql(connection);
  CHECK_OK(sort_parents_first(sql, tables));
  for (auto& table : tables) table.key = TRY(key_of(sql, table));
  return TenantRows(std::move(connection), std::move(tables), std::move(link), std::move(link_role));
}

// Where rows of a table are read; opens the link's outlet to it.
Result<std::string> TenantRows::source_of(const MoveTable& table) {
  const Sql sql(connection_);
  if (link_.empty()) return name_of(sql, table);
  CHECK_OK(sql.query("SELECT domicile.outlet($1, $2, $3)", {link_, link_role_, table.qualified()}));
  return std::string("pg_temp.domicile_outlet");
}

Result<moves::TableSummary> TenantRows::sums(const MoveTable& table, const std::string& where) {
  const Sql sql(connection_);
  const auto source = TRY(source_of(table));
  auto transaction = TRY(Transaction::begin(connection_, "READ ONLY"));
  // PostgreSQL expects as many parts as rows, and would sort all of them on the disk.
  CHECK_OK(sql.simple("SET LOCAL enable_sort = off"));
  if (!link_.empty()) CHECK_OK(sql.simple("SET LOCAL ROLE " + sql.name(link_role_)));
  const auto rows =
      TRY(sql.simple(sums_of(fmt::format("SELECT {} AS b, {} AS line FROM {} WHERE {}", bucket_text(sql, table),
                                         row_text(sql, table.moved), source, where))));
  CHECK_OK(transaction.commit());
  return table_summary(rows);
}

Result<moves::Summary> TenantRows::summary(const std::string& residency, const std::string& tenant) {
  moves::Summary summary;
  for (const auto& table : tables_)
    summary[table.qualified()] = TRY(sums(table, belongs(Sql(connection_), table, residency, tenant)));
  return summary;
}

Result<moves::TableSummary> TenantRows::summary(const MoveTable& table, const std::string& residency,
                                                const std::string& tenant, const std::vector<int>& buckets) {
  const Sql sql(connection_);
  return sums(table, fmt::format("{} AND {} = ANY ({})", belongs(sql, table, residency, tenant),
                                 bucket_text(sql, table), array_of(buckets)));
}

// The parts of `before` that may hold other rows by now. Who deletes leaves fewer; whoever adds or changes, their own
// transaction, which the look with that horizon has not seen.
Result<std::vector<int>> TenantRows::touched(const MoveTable& table, const std::string& where,
                                             const moves::TableSummary& before, std::uint64_t horizon) {
  const Sql sql(connection_);
  auto transaction = TRY(Transaction::begin(connection_, "READ ONLY"));
  CHECK_OK(sql.simple("SET LOCAL enable_sort = off"));
  const auto rows = TRY(sql.simple(
      fmt::format("SELECT b, count(*), pg_catalog.bool_or(later) FROM (SELECT {} AS b, pg_catalog.age(xmin) <= "
                  "pg_catalog.age('{}'::xid) AS later FROM {} WHERE {}) parts GROUP BY b",
                  bucket_text(sql, table), horizon & 0xffff'ffff, name_of(sql, table), where)));
  CHECK_OK(transaction.commit());
  std::vector<int> out;
  std::set<int> there;
  for (const auto& row : rows) {
    const int number = static_cast<int>(integer_of(row[0]));
    there.insert(number);
    const auto known = before.find(number);
    if (row[2] != "f" || known == before.end() || known->second.rows != integer_of(row[1])) out.push_back(number);
  }
  for (const auto& [number, bucket] : before)
    if (!there.contains(number)) out.push_back(number);
  return out;
}

Result<TenantRows::Look> TenantRows::look(const std::string& residency, const std::string& tenant, const Look* before) {
  const Sql sql(connection_);
  const auto horizon = TRY(sql.simple("SELECT pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot())::text"));
  Look now{{}, std::strtoull(horizon.at(0).at(0)->c_str(), nullptr, 10)};
  if (before == nullptr) {
    now.rows = TRY(summary(residency, tenant));
    return now;
  }
  for (const auto& table : tables_) {
    const auto known = before->rows.find(table.qualified());
    auto& parts = now.rows[table.qualified()];
    if (known != before->rows.end()) parts = known->second;
    const auto numbers = TRY(touched(table, belongs(sql, table, residency, tenant), parts, before->horizon));
    if (numbers.empty()) continue;
    for (const int number : numbers) parts.erase(number);
    parts.merge(TRY(summary(table, residency, tenant, numbers)));
  }
  return now;
}

Result<void> TenantRows::read(const MoveTable& table, const std::string& residency, const std::string& tenant,
                              const std::vector<int>& buckets, const RowSink& sink) {
  const Sql sql(connection_);
  const auto source = TRY(source_of(table));
  std::string columns;
  for (const auto& column : table.carried) {
    const bool goes = column == table.residency_column || std::ranges::find(table.moved, column) != table.moved.end();
    columns += (columns.empty() ? "" : ", ") + (goes ? sql.name(column) : std::string("NULL"));
  }
  auto transaction = TRY(Transaction::begin(connection_, "READ ONLY"));
  if (!link_.empty()) CHECK_OK(sql.simple("SET LOCAL ROLE " + sql.name(link_role_)));
  CHECK_OK(connection_.copy_out(
      fmt::format("COPY (SELECT {} FROM {} WHERE {} AND {} = ANY ({})) TO STDOUT", columns, source,
                  belongs(sql, table, residency, tenant), bucket_text(sql, table), array_of(buckets)),
      sink));
  return transaction.commit();
}

Result<std::int64_t> TenantRows::stage(const Move& move, const MoveTable& table, const moves::Group& group,
                                       const std::function<Result<void>(const RowSink&)>& rows) {
  const Sql sql(connection_);
  const auto index = static_cast<std::size_t>(&table - tables_.data());
  const auto name = fmt::format("domicile_move_{}", staged_.size());
  const auto target = name_of(sql, table);
  const auto where = "pg_temp." + sql.name(name);
  CHECK_OK(sql.simple(fmt::format("DROP TABLE IF EXISTS {}", where)));
  CHECK_OK(sql.simple(fmt::format("CREATE TEMPORARY TABLE {} AS SELECT {} FROM {} WITH NO DATA", sql.name(name),
                                  list_of(sql, table.carried), target)));
  CHECK_OK(connection_.begin_copy_in(fmt::format("COPY {} ({}) FROM STDIN", where, list_of(sql, table.carried))));
  const auto read = rows([&](std::string_view lines) { return connection_.put_copy(lines); });
  if (!read) {
    connection_.abort_copy_in("the source's rows ended early");
    return tl::unexpected<Error>(read.error());
  }
  const auto count = TRY(connection_.end_copy_in());
  std::string matches = fmt::format("t.{} = {}", sql.name(table.residency_column), sql.literal(move.to));
  for (const auto& column : table.key) matches += fmt::format(" AND t.{0} = s.{0}", sql.name(column));
  const auto taken =
      TRY(sql.simple(fmt::format("SELECT count(*) FROM {} t JOIN {} s ON {} WHERE t.{}::text <> {}", target, where,
                                 matches, sql.name(table.tenant_column), sql.literal(move.tenant))));
  if (integer_of(taken.at(0).at(0)) != 0)
    return fail(Kind::conflict,
                fmt::format("{} rows of {} have a key that another tenant of {} uses", *taken[0][0], table.qualified(),
                            move.to),
                "only keys that are unique over all residencies can move, such as UUIDs", "DOM-E716");
  std::string changes;
  for (const auto& column : table.moved)
    if (std::ranges::find(table.key, column) == table.key.end())
      changes += fmt::format("{}{} = excluded.{}", changes.empty() ? "" : ", ", sql.name(column), sql.name(column));
  const std::string conflict =
      changes.empty() ? "DO NOTHING"
                      : fmt::format("DO UPDATE SET {} WHERE {} IS DISTINCT FROM {}", changes,
                                    row_text(sql, table.moved, "t."), row_text(sql, table.moved, "excluded."));
  for (const auto& slice : TRY(slices_of(sql, where, count)))
    CHECK_OK(in_transaction(sql, [&]() -> Result<void> {
      CHECK_OK(permit(sql, move.to));
      CHECK_OK(
          sql.simple(fmt::format("INSERT INTO {} AS t ({}, {}) OVERRIDING SYSTEM VALUE SELECT {}, {} FROM {} WHERE "
                                 "{} ON CONFLICT ({}, {}) {}",
                                 target, sql.name(table.residency_column), list_of(sql, table.moved),
                                 sql.literal(move.to), list_of(sql, table.moved), where, slice,
                                 sql.name(table.residency_column), list_of(sql, table.key), conflict)));
      return {};
    }));
  if (group.fresh)
    CHECK_OK(sql.simple("DROP TABLE " + where));
  else
    staged_.push_back({index, name, group.buckets});
  return count;
}

Result<void> TenantRows::surplus(const Move& move) {
  const Sql sql(connection_);
  if (staged_.empty()) return {};
  CHECK_OK(in_transaction(sql, [&]() -> Result<void> {
    CHECK_OK(permit(sql, move.to));
    for (std::size_t at = tables_.size(); at-- > 0;)
      for (const auto& staged : staged_) {
        if (staged.table != at) continue;
        const auto& table = tables_[at];
        std::string same;
        for (const auto& column : table.key)
          same += fmt::format("{}s.{} = t.{}", same.empty() ? "" : " AND ", sql.name(column), sql.name(column));
        CHECK_OK(sql.simple(fmt::format(
            "DELETE FROM {} t WHERE {} AND {} = ANY ({}) AND NOT EXISTS (SELECT FROM pg_temp.{} s WHERE {})",
            name_of(sql, table), belongs(sql, table, move.to, move.tenant), bucket_text(sql, table, "t."),
            array_of(staged.buckets), sql.name(staged.name), same)));
      }
    return {};
  }));
  for (const auto& staged : staged_) CHECK_OK(sql.simple("DROP TABLE pg_temp." + sql.name(staged.name)));
  staged_.clear();
  return {};
}

Result<std::int64_t> TenantRows::remove(const std::string& residency, const std::string& tenant) {
  const Sql sql(connection_);
  std::int64_t all = 0;
  for (auto table = tables_.rbegin(); table != tables_.rend(); ++table)
    for (std::int64_t gone = -1; gone != 0; all += gone)
      CHECK_OK(in_transaction(sql, [&]() -> Result<void> {
        CHECK_OK(permit(sql, residency));
        // tableoid: a partitioned table's ctids are unique only per leaf.
        const auto rows =
            TRY(sql.simple(fmt::format("WITH gone AS (DELETE FROM {0} WHERE (tableoid, ctid) IN (SELECT tableoid, ctid "
                                       "FROM {0} WHERE {1} LIMIT {2}) "
                                       "RETURNING 1) SELECT count(*) FROM gone",
                                       name_of(sql, *table), belongs(sql, *table, residency, tenant), kDeletedAtOnce)));
        gone = integer_of(rows.at(0).at(0));
        return {};
      }));
  return all;
}

Result<bool> TenantRows::any(const std::string& residency, const std::string& tenant) {
  const Sql sql(connection_);
  for (const auto& table : tables_) {
    const auto rows = TRY(sql.simple(
        fmt::format("SELECT 1 FROM {} WHERE {} LIMIT 1", name_of(sql, table), belongs(sql, table, residency, tenant))));
    if (!rows.empty()) return true;
  }
  return false;
}

Result<void> TenantRows::wait_writers(Micros patience) {
  const Sql sql(connection_);
  const auto writing = [&](const std::string& only) {
    return sql.query(
        "SELECT DISTINCT l.virtualtransaction FROM pg_catalog.pg_locks l WHERE l.granted AND l.locktype = 'relation' "
        "AND l.mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock') "
        "AND l.pid <> pg_catalog.pg_backend_pid() AND l.relation IN (SELECT t.tgrelid FROM pg_catalog.pg_trigger t "
        "JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid WHERE p.pronamespace = 'domicile'::pg_catalog.regnamespace) "
        "AND ($1 = '' OR l.virtualtransaction = ANY (pg_catalog.string_to_array($1, ',')))",
        {only});
  };
  const Micros deadline = monotonic_now() + patience;
  // Twice: a backend may read the directory's answer an instant before the tombstone's own commit has ended, and take
  // its lock an instant after we looked.
  for (int round = 0; round < 2; ++round) {
    std::string names;
    for (const auto& row : TRY(writing(""))) names += (names.empty() ? "" : ",") + *row[0];
    for (Micros pause = kMillisecond; !names.empty(); pause = std::min(2 * pause, 20 * kMillisecond)) {
      const auto left = TRY(writing(names)).size();
      if (left == 0) break;
      if (monotonic_now() >= deadline)
        return fail(Kind::unavailable, fmt::format("{} transactions that have written are still open", left),
                    "end them, or wait until they are done");
      std::this_thread::sleep_for(std::chrono::microseconds(pause));
    }
  }
  return {};
}

}  // namespace domicile::postgres
