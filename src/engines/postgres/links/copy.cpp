#include "engines/postgres/links/copy.hpp"

#include <algorithm>

#include "core/desired/desired.hpp"
#include "engines/postgres/links/order.hpp"
#include "engines/postgres/links/position.hpp"
#include "engines/postgres/links/slots.hpp"

namespace domicile::postgres::links {

namespace {

// What the link's role may read of this table, for this session (schema_sql.cpp). False: the database has no such
// function, so that this is a superuser's repair by hand.
Result<bool> open_outlet(const Sql& sql, const LinkSpec& link, const MappedTable& table) {
  const auto found =
      TRY(sql.query("SELECT 1 WHERE pg_catalog.to_regprocedure('domicile.outlet(text, text, text)') IS NOT NULL"));
  if (found.empty()) return false;
  CHECK_OK(
      sql.query("SELECT domicile.outlet($1, $2, $3)", {link.name, desired::link_role(link.to), table.qualified()}));
  return true;
}

Result<void> permit(const Sql& sql, const LinkSpec& link) {
  CHECK_OK(sql.query("SELECT domicile.permit($1, 'link')", {link.residency}));
  return {};
}

Result<void> delete_rows(const Sql& sql, const LinkSpec& link, const MappedTable& table) {
  const std::string name = name_of(sql, table);
  for (bool more = true; more;) {
    CHECK_OK(in_transaction(sql, [&]() -> Result<void> {
      CHECK_OK(permit(sql, link));
      // tableoid: a partitioned table's ctids are unique only per leaf.
      const auto rows = TRY(sql.query(
          fmt::format("WITH gone AS (DELETE FROM {0} WHERE (tableoid, ctid) IN (SELECT tableoid, ctid FROM {0} "
                      "WHERE {1} LIMIT 20000) RETURNING 1) SELECT count(*) FROM gone",
                      name, belongs(sql, link, table))));
      more = *rows[0][0] != "0";
      return {};
    }));
  }
  return {};
}

Result<void> journal_table(const Sql& sql, const LinkSpec& link, const std::string& table, const std::string& session,
                           bool complete, std::int64_t rows) {
  CHECK_OK(
      sql.query("INSERT INTO domicile.copy_journal (residency, table_name, link, session, complete, rows) "
                "VALUES ($1, $2, $3, $4, $5::bool, $6::bigint) ON CONFLICT (residency, table_name) DO UPDATE SET "
                "link = excluded.link, session = excluded.session, complete = excluded.complete, rows = excluded.rows, "
                "at = now()",
                {link.residency, table, link.name, session, complete ? "true" : "false", std::to_string(rows)}));
  return {};
}

// One batch: a transaction with the permit and a COPY.
Result<void> write_batch(const Sql& sql, const LinkSpec& link, const MappedTable& table, std::string_view lines) {
  return in_transaction(sql, [&]() -> Result<void> {
    CHECK_OK(permit(sql, link));
    const std::string copy = fmt::format("COPY {} ({}) FROM STDIN", name_of(sql, table), column_list(sql, table));
    CHECK_OK(sql.connection().begin_copy_in(copy));
    CHECK_OK(sql.connection().put_copy(lines));
    CHECK_OK(sql.connection().end_copy_in());
    return {};
  });
}

Result<void> import_table(const Sql& sql, const LinkSpec& link, CopySource& source, const CopySession& session,
                          const MappedTable& table, const ImportOptions& options) {
  std::string batch;
  std::int64_t rows = 0;
  const auto flush = [&]() -> Result<void> {
    if (batch.empty()) return {};
    CHECK_OK(write_batch(sql, link, table, batch));
    batch.clear();
    if (options.progress) options.progress(table.qualified(), rows);
    return {};
  };
  CHECK_OK(source.read(session.id, table, {}, [&](std::string_view lines) -> Result<void> {
    batch += lines;
    rows += std::count(lines.begin(), lines.end(), '\n');
    return batch.size() < options.batch_bytes ? Result<void>{} : flush();
  }));
  CHECK_OK(flush());
  return journal_table(sql, link, table.qualified(), session.id, true, rows);
}

}  // namespace

Exporter::Exporter(Connection snapshot, Connection reader, LinkSpec link, CopySession session,
                   std::string snapshot_name)
    : snapshot_(std::move(snapshot)),
      reader_(std::move(reader)),
      link_(std::move(link)),
      session_(std::move(session)),
      snapshot_name_(std::move(snapshot_name)) {}

Result<Exporter> Exporter::begin(const std::string& conninfo, const LinkSpec& link, const ExportOptions& options) {
  auto reader = TRY(Connection::open(conninfo));
  const Sql sql = reader;
  CHECK_OK(print_alike(sql));
  const auto journal = TRY(read_link_journal(sql, link.name, true));
  const auto slots =
      TRY(sql.query("SELECT active FROM pg_catalog.pg_replication_slots WHERE slot_name = $1", {link.name}));
  if (!slots.empty()) {
    const bool ready = !journal || journal->state != "exporting";  // an unknown slot is as precious as a ready one
    if (ready ? !options.replace_ready : !options.replace_unfinished)
      return fail(Kind::conflict, fmt::format("slot {} already carries a link", link.name),
                  "close its salvage, then ask for a new copy");
    CHECK_OK(keep_since_slot(sql, link));
    CHECK_OK(sql.query("SELECT pg_catalog.pg_drop_replication_slot($1)", {link.name}));
  }
  const auto identity = TRY(identity_of(sql));
  // Journaled before it is made: a slot without a journal row would look like somebody else's.
  CHECK_OK(write_link_journal(sql, link.name, true, {"", identity, "exporting", ""}));

  OpenOptions walsender;
  walsender.application_name = link.name;
  auto snapshot = TRY(Connection::open(conninfo + " replication=database", walsender));
  // A replication command is under no statement_timeout; the session's deadline cancels it.
  const auto made = Sql(snapshot).simple(
      fmt::format("CREATE_REPLICATION_SLOT {} LOGICAL pgoutput (SNAPSHOT 'export')", sql.name(link.name)),
      monotonic_now() + options.slot_timeout);
  if (!made)
    return wrap(fmt::format("slot {} was not made; {} transactions are open", link.name, TRY(open_transactions(sql))),
                made.error());
  const auto& row = made->at(0);  // slot_name, consistent_point, snapshot_name, output_plugin
  Position position = identity;
  position.lsn = authority::lsn_of(*row[1]).value_or(0);
  CopySession session{fmt::format("{}:{}:{}:{}", position.system_id, position.timeline, *row[1], *row[2]), position};
  CHECK_OK(write_link_journal(sql, link.name, true, {session.id, position, "exporting", ""}));
  return Exporter(std::move(snapshot), std::move(reader), link, std::move(session), *row[2]);
}

// What the peer asks for is compared with what the link lets out: the columns are ours to choose, not the peer's.
Result<MappedTable> Exporter::own_table(const std::string& session, const MappedTable& table) const {
  if (session != session_.id) return fail(Kind::conflict, "this session of first rows is over");
  const auto tables = tables_of(link_);
  const auto own = std::find_if(tables.begin(), tables.end(),
                                [&](const MappedTable& mapped) { return mapped.qualified() == table.qualified(); });
  if (own == tables.end()) return fail(Kind::refused, table.qualified() + " is not a table of link " + link_.name);
  if (own->columns != table.columns)
    return fail(Kind::refused, "the columns of " + table.qualified() + " are not those of link " + link_.name,
                "both regions must run the same topology");
  return *own;
}

Result<void> Exporter::in_snapshot(const MappedTable& table,
                                   const std::function<Result<void>(const std::string&)>& work) {
  const Sql sql = reader_;
  const bool outlet = TRY(open_outlet(sql, link_, table));
  auto transaction = TRY(Transaction::begin(reader_, "ISOLATION LEVEL REPEATABLE READ READ ONLY"));
  CHECK_OK(sql.simple("SET TRANSACTION SNAPSHOT " + sql.literal(snapshot_name_)));
  // A policy that hides rows from this session is an error, not a copy with fewer rows.
  CHECK_OK(sql.simple("SET LOCAL row_security = off"));
  if (outlet) CHECK_OK(sql.simple("SET LOCAL ROLE " + sql.name(desired::link_role(link_.to))));
  return work(outlet ? "pg_temp.domicile_outlet" : name_of(sql, table));
}

Result<void> Exporter::read(const std::string& session, const MappedTable& table, const Parts& parts,
                            const RowSink& sink) {
  const auto own = TRY(own_table(session, table));
  const Sql sql = reader_;
  const auto key = parts.whole() ? std::vector<std::string>() : TRY(key_of(sql, own));
  return in_snapshot(own, [&](const std::string& from) -> Result<void> {
    CHECK_OK(sql.connection().copy_out(
        fmt::format("COPY (SELECT {} FROM {} WHERE {} AND {}) TO STDOUT", column_list(sql, own), from,
                    belongs(sql, link_, own), in_parts(sql, key, parts)),
        sink));
    return {};
  });
}

Result<PartSums> Exporter::sums(const std::string& session, const MappedTable& table, const Parts& parts, int bits) {
  const auto own = TRY(own_table(session, table));
  const Sql sql = reader_;
  const auto key = TRY(key_of(sql, own));
  PartSums out;
  CHECK_OK(in_snapshot(own, [&](const std::string& from) -> Result<void> {
    out = TRY(read_sums(sql, own, key, from, belongs(sql, link_, own), parts, bits));
    return {};
  }));
  return out;
}

Result<void> Exporter::close(const std::string& session) {
  if (session != session_.id) return fail(Kind::conflict, "this session of first rows is over");
  // What was said about the slot meanwhile stays: rows that its publication did not let out are missing for ever.
  const auto journal = TRY(read_link_journal(reader_, link_.name, true));
  CHECK_OK(drop_since_slot(reader_, link_));
  return write_link_journal(reader_, link_.name, true,
                            {session_.id, session_.position, "ready", journal ? journal->reason : ""});
}

Result<CopySession> import_first_rows(const Sql& sql, const LinkSpec& link, CopySource& source,
                                      const ImportOptions& options) {
  const auto session = TRY(source.session());
  return import_session(sql, link, source, session, options);
}

Result<CopySession> import_session(const Sql& sql, const LinkSpec& link, CopySource& source, const CopySession& session,
                                   const ImportOptions& options) {
  // Batches commit apart and never break a foreign key.
  const auto unordered = tables_of(link);
  std::vector<std::string> names;
  for (const auto& table : unordered) names.push_back(table.qualified());
  std::vector<MappedTable> tables;
  for (const auto at : TRY(parents_first(sql, names))) tables.push_back(unordered[at]);
  const auto journal = TRY(sql.query(
      "SELECT table_name FROM domicile.copy_journal WHERE residency = $1 AND session = $2 AND complete AND link = $3",
      {link.residency, session.id, link.name}));
  std::set<std::string> complete;
  for (const auto& row : journal) complete.insert(*row[0]);
  CHECK_OK(write_link_journal(sql, link.name, false, {session.id, session.position, "copying", ""}));
  for (auto table = tables.rbegin(); table != tables.rend(); ++table) {
    if (complete.contains(table->qualified())) continue;
    CHECK_OK(journal_table(sql, link, table->qualified(), session.id, false, 0));
    CHECK_OK(delete_rows(sql, link, *table));
  }
  for (const auto& table : tables)
    if (!complete.contains(table.qualified())) CHECK_OK(import_table(sql, link, source, session, table, options));
  CHECK_OK(write_link_journal(sql, link.name, false, {session.id, session.position, "copied", ""}));
  CHECK_OK(source.close(session.id));
  return session;
}

Result<bool> copy_complete(const Sql& sql, const LinkSpec& link) {
  const auto journal = TRY(
      sql.query("SELECT table_name FROM domicile.copy_journal WHERE residency = $1 AND complete", {link.residency}));
  const auto tables = tables_of(link);
  return std::all_of(tables.begin(), tables.end(), [&](const MappedTable& table) {
    return std::any_of(journal.begin(), journal.end(), [&](const Row& row) { return *row[0] == table.qualified(); });
  });
}

Result<void> journal_without_copy(const Sql& sql, const LinkSpec& link, const Position& position,
                                  const std::string& session) {
  return in_transaction(sql, [&]() -> Result<void> {
    for (const auto& table : tables_of(link)) CHECK_OK(journal_table(sql, link, table.qualified(), session, true, 0));
    return write_link_journal(sql, link.name, false, {session, position, "copied", ""});
  });
}

}  // namespace domicile::postgres::links
