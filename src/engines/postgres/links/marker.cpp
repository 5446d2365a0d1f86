#include "engines/postgres/links/marker.hpp"

#include <cmath>

#include "base/json.hpp"

namespace domicile::postgres::links {

namespace {

Result<SequenceValues> values_of(const std::string& text) {
  const auto json = TRY(parse_json(text, "sequences of a marker"));
  SequenceValues values;
  for (const auto& [name, value] : json.items())
    if (value.is_number_integer()) values[name] = value.get<std::int64_t>();
  return values;
}

}  // namespace

Result<SequenceValues> sequence_values(const Sql& sql, const std::vector<MappedTable>& tables) {
  SequenceValues values;
  for (const auto& table : tables) {
    // Dependencies 'a' (serial) and 'i' (identity) bind a sequence to a column.
    const auto rows = TRY(sql.query(
        "SELECT sn.nspname || '.' || s.relname, pg_catalog.pg_sequence_last_value(s.oid)::text "
        "FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_class s ON s.oid = d.objid AND s.relkind = 'S' "
        "JOIN pg_catalog.pg_namespace sn ON sn.oid = s.relnamespace JOIN pg_catalog.pg_class t ON t.oid = d.refobjid "
        "JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace "
        "WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.refclassid = 'pg_catalog.pg_class'::regclass "
        "AND d.deptype IN ('a', 'i') AND tn.nspname = $1 AND t.relname = $2",
        {table.schema, table.name}));
    for (const auto& row : rows)
      if (row[1]) values[*row[0]] = std::stoll(*row[1]);
  }
  return values;
}

Result<Marker> commit_marker(const Sql& sql, const std::string& residency, Epoch epoch,
                             const SequenceValues& sequences) {
  const std::int64_t clock = wall_now();
  CHECK_OK(
      sql.query("INSERT INTO domicile.marker AS m (residency, clock_us, epoch, lsn, sequences) "
                "VALUES ($1, $2::bigint, $3::bigint, pg_catalog.pg_current_wal_insert_lsn(), $4::jsonb) "
                "ON CONFLICT (residency) DO UPDATE SET clock_us = excluded.clock_us, epoch = excluded.epoch, "
                "lsn = excluded.lsn, sequences = excluded.sequences",
                {residency, std::to_string(clock), std::to_string(epoch), dump(Json(sequences))}));
  const auto lsn = TRY(sql.value("SELECT pg_catalog.pg_current_wal_flush_lsn()::text"));
  return Marker{clock, authority::lsn_of(lsn).value_or(0), epoch};
}

Result<std::optional<AppliedMarker>> applied_marker(const Sql& sql, const std::string& residency) {
  const auto rows = TRY(
      sql.query("SELECT clock_us, epoch, lsn, sequences::text FROM domicile.marker WHERE residency = $1", {residency}));
  if (rows.empty()) return std::optional<AppliedMarker>{};
  const auto& row = rows[0];
  return std::optional<AppliedMarker>{
      {{std::stoll(*row[0]), authority::lsn_of(*row[2]).value_or(0), std::stoll(*row[1])}, TRY(values_of(*row[3]))}};
}

Lag lag(const LagFacts& facts) {
  const auto unknown = [](std::string why) { return Lag{std::nullopt, std::move(why)}; };
  if (facts.resync) return unknown("the copy is in resync");
  if (!facts.copy_complete) return unknown("first rows of some table are not complete");
  if (!facts.schema_agrees) return unknown("a table differs from the owner's");
  if (!facts.enabled) return unknown("the link is not enabled");
  if (!facts.committed) return unknown("the owner's beat names no marker");
  if (!facts.applied) return unknown("no marker has arrived");
  if (facts.applied->epoch != facts.committed->epoch) return unknown("the last marker applied is of another epoch");
  return {std::max<Micros>(0, facts.committed->clock_us - facts.applied->clock_us), ""};
}

std::int64_t sequence_margin(const SequenceAdvance& advance) {
  const double seconds = static_cast<double>(std::max<Micros>(0, advance.since_marker)) / kSecond;
  const double used = std::ceil(2 * std::max(0.0, advance.per_second) * seconds);
  return std::max(advance.step, static_cast<std::int64_t>(std::min(used, 1e15)));
}

Result<SequenceValues> advance_sequences(const Sql& sql, const LinkSpec& link, const std::string& switch_id,
                                         std::int64_t margin) {
  SequenceValues reached;
  CHECK_OK(in_transaction(sql, [&]() -> Result<void> {
    const std::string key = "sequences:" + link.residency;
    const auto done = TRY(sql.query(
        "SELECT 1 FROM domicile.link_journal WHERE link = $1 AND side = 'in' AND session = $2", {key, switch_id}));
    auto values = TRY(sequence_values(sql, link.tables));
    if (!done.empty()) {
      reached = values;
      return {};
    }
    if (const auto marker = TRY(applied_marker(sql, link.residency)))
      for (const auto& [name, value] : marker->sequences) values[name] = std::max(values[name], value);
    for (const auto& [name, value] : values) {
      const auto dot = name.find('.');
      const auto rows = TRY(sql.query(
          "SELECT seqincrement::text, seqmax::text, seqmin::text, pg_catalog.format('%I.%I', n.nspname, c.relname) "
          "FROM pg_catalog.pg_sequence q JOIN pg_catalog.pg_class c ON c.oid = q.seqrelid "
          "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2",
          {name.substr(0, dot), name.substr(dot + 1)}));
      if (rows.empty()) continue;  // dropped here since the marker: drift, which health reports
      const std::int64_t increment = std::stoll(*rows[0][0]), highest = std::stoll(*rows[0][1]);
      if (increment <= 0)
        return fail(Kind::refused, "sequence " + name + " counts downwards", "use an ascending sequence or UUIDs");
      if (margin > (highest - value) / increment)
        return fail(Kind::refused, fmt::format("sequence {} would pass its maximum {}", name, highest),
                    "widen the sequence to bigint");
      const std::int64_t next = value + margin * increment;
      CHECK_OK(sql.query("SELECT pg_catalog.setval($1::regclass, $2::bigint)", {*rows[0][3], std::to_string(next)}));
      reached[name] = next;
    }
    return write_link_journal(sql, key, false, {switch_id, {"", 0, 0}, "sequences", ""});
  }));
  return reached;
}

}  // namespace domicile::postgres::links
