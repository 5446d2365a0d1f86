#include "engines/postgres/links/link.hpp"

namespace domicile::postgres::links {

std::vector<MappedTable> tables_of(const LinkSpec& link) {
  auto tables = link.tables;
  tables.push_back(marker_table());
  return tables;
}

std::string name_of(const Sql& sql, const MappedTable& table) {
  return sql.name(table.schema) + "." + sql.name(table.name);
}

std::string column_list(const Sql& sql, const MappedTable& table) {
  std::string list;
  for (const auto& column : table.columns) list += (list.empty() ? "" : ", ") + sql.name(column);
  return list;
}

std::string belongs(const Sql& sql, const LinkSpec& link, const MappedTable& table) {
  if (table.residency_column.empty()) return "true";
  return fmt::format("{} = {}", sql.name(table.residency_column), sql.literal(link.residency));
}

Result<std::optional<LinkJournal>> read_link_journal(const Sql& sql, const std::string& link, bool outbound) {
  const auto rows =
      TRY(sql.query("SELECT session, system_id, timeline, lsn, state, reason FROM domicile.link_journal WHERE link = "
                    "$1 AND side = $2",
                    {link, outbound ? "out" : "in"}));
  if (rows.empty()) return std::optional<LinkJournal>{};
  const auto& row = rows[0];
  return std::optional<LinkJournal>{
      {*row[0], {*row[1], std::stoll(*row[2]), authority::lsn_of(*row[3]).value_or(0)}, *row[4], *row[5]}};
}

Result<void> write_link_journal(const Sql& sql, const std::string& link, bool outbound, const LinkJournal& journal) {
  CHECK_OK(sql.query(
      "INSERT INTO domicile.link_journal AS j (link, side, session, system_id, timeline, lsn, state, reason) "
      "VALUES ($1, $2, $3, $4, $5::bigint, $6::pg_lsn, $7, $8) ON CONFLICT (link, side) DO UPDATE SET "
      "session = excluded.session, system_id = excluded.system_id, timeline = excluded.timeline, lsn = excluded.lsn, "
      "state = excluded.state, reason = excluded.reason, at = now()",
      {link, outbound ? "out" : "in", journal.session, journal.position.system_id,
       std::to_string(journal.position.timeline), authority::lsn_text(journal.position.lsn), journal.state,
       journal.reason}));
  return {};
}

}  // namespace domicile::postgres::links
