#include "engines/postgres/links/parts.hpp"

#include <algorithm>
#include <charconv>
#include <unordered_map>

#include "base/sha256.hpp"

namespace domicile::postgres::links {

namespace {

constexpr std::size_t kDigits = 16;

std::uint64_t mask_of(int bits) { return (std::uint64_t{1} << bits) - 1; }

std::string list_of(const Sql& sql, const std::vector<std::string>& columns, const std::string& prefix) {
  std::string list;
  for (const auto& column : columns) list += (list.empty() ? "" : ", ") + prefix + sql.name(column);
  return list;
}

std::string hash_of(const Sql& sql, const std::vector<std::string>& key, const std::string& prefix) {
  return fmt::format("pg_catalog.hashtextextended(ROW({})::text, 0)", list_of(sql, key, prefix));
}

}  // namespace

Parts split(const Parts& parts, int bits) {
  Parts out{parts.bits + bits, {}};
  out.numbers.reserve(parts.numbers.size() << bits);
  for (const auto number : parts.numbers)
    for (std::uint32_t low = 0; low < (1U << bits); ++low) out.numbers.push_back(number | (low << parts.bits));
  return out;
}

Parts differing(const Parts& parts, const PartSums& a, const PartSums& b) {
  Parts out{parts.bits, {}};
  for (std::size_t i = 0; i < parts.numbers.size(); ++i)
    if (a.sums[i] != b.sums[i]) out.numbers.push_back(parts.numbers[i]);
  return out;
}

std::string digest_of(const PartSums& sums) { return sha256_hex(text_of(sums.sums)); }

std::string text_of(const std::vector<std::uint64_t>& sums) {
  std::string text;
  text.reserve(sums.size() * kDigits);
  for (const auto sum : sums) fmt::format_to(std::back_inserter(text), "{:016x}", sum);
  return text;
}

Result<std::vector<std::uint64_t>> sums_of(std::string_view text) {
  const auto broken = [] { return fail(Kind::corrupt, "these are no sums of parts"); };
  if (text.size() % kDigits != 0) return broken();
  std::vector<std::uint64_t> sums(text.size() / kDigits);
  for (std::size_t i = 0; i < sums.size(); ++i) {
    const char* begin = text.data() + i * kDigits;
    const auto [end, error] = std::from_chars(begin, begin + kDigits, sums[i], 16);
    if (error != std::errc{} || end != begin + kDigits) return broken();
  }
  return sums;
}

Result<void> print_alike(const Sql& sql) {
  // Sums of many parts are made in memory; the planner, which expects as many parts as rows, would sort them on disk.
  CHECK_OK(sql.simple(
      "SET datestyle = 'ISO, YMD'; SET intervalstyle = 'postgres'; SET timezone = 'UTC'; SET extra_float_digits = 1; "
      "SET bytea_output = 'hex'; SET xmlbinary = 'base64'; SET statement_timeout = '1h'; SET work_mem = '64MB'"));
  return {};
}

Result<std::vector<std::string>> key_of(const Sql& sql, const MappedTable& table) {
  const auto rows = TRY(sql.query(
      "SELECT a.attname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_index i ON i.indrelid = c.oid "
      "JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (i.indkey) "
      "WHERE c.oid = $1::pg_catalog.regclass AND (i.indisreplident OR c.relreplident = 'd' AND i.indisprimary) "
      "ORDER BY pg_catalog.array_position(i.indkey::int2[], a.attnum)",
      {sql.name(table.schema) + "." + sql.name(table.name)}));
  std::vector<std::string> key;
  for (const auto& row : rows) {
    if (std::ranges::find(table.columns, *row[0]) == table.columns.end())
      return fail(Kind::failed, fmt::format("column {} of {}'s key is not carried", *row[0], table.qualified()),
                  "domicile plan");
    key.push_back(*row[0]);
  }
  if (key.empty())
    return fail(Kind::failed, fmt::format("table {} has no replica identity", table.qualified()), "domicile plan");
  return key;
}

std::string in_parts(const Sql& sql, const std::vector<std::string>& key, const Parts& parts,
                     const std::string& prefix) {
  if (parts.whole()) return "true";
  std::string list;
  for (const auto number : parts.numbers) list += (list.empty() ? "" : ",") + std::to_string(number);
  return fmt::format("({} & {}) = ANY ('{{{}}}'::bigint[])", hash_of(sql, key, prefix), mask_of(parts.bits), list);
}

Result<PartSums> read_sums(const Sql& sql, const MappedTable& table, const std::vector<std::string>& key,
                           const std::string& source, const std::string& belongs, const Parts& of, int bits) {
  const Parts fine = split(of, bits);
  std::unordered_map<std::uint32_t, std::size_t> places;
  for (std::size_t i = 0; i < fine.numbers.size(); ++i) places[fine.numbers[i]] = i;
  const auto rows = TRY(sql.simple(fmt::format(
      "SELECT part, pg_catalog.bit_xor(pg_catalog.hashtextextended(line, 1)), pg_catalog.count(*) FROM (SELECT {} & {} "
      "AS part, ROW({})::text AS line FROM {} WHERE {} AND {}) parts GROUP BY part",
      hash_of(sql, key, ""), mask_of(fine.bits), list_of(sql, table.columns, ""), source, belongs,
      in_parts(sql, key, of))));
  PartSums out{std::vector<std::uint64_t>(fine.numbers.size(), 0), 0};
  for (const auto& row : rows) {
    const auto place = places.find(static_cast<std::uint32_t>(std::stoll(*row[0])));
    if (place == places.end()) return fail(Kind::corrupt, "PostgreSQL answered a part that nobody asked for");
    out.sums[place->second] = static_cast<std::uint64_t>(std::stoll(*row[1]));
    out.rows += std::stoll(*row[2]);
  }
  return out;
}

}  // namespace domicile::postgres::links
