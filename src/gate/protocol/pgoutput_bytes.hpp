// Writes pgoutput messages, for tests.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace domicile::gate::bytes {

inline std::string number(std::uint64_t value, int size) {
  std::string out;
  for (int shift = (size - 1) * 8; shift >= 0; shift -= 8) out += static_cast<char>(value >> shift & 0xff);
  return out;
}
inline std::string text(const std::string& value) { return value + '\0'; }

inline std::string begin(std::uint64_t final_lsn = 90, std::uint32_t xid = 7) {
  return "B" + number(final_lsn, 8) + number(0, 8) + number(xid, 4);
}
inline std::string commit(std::uint64_t lsn = 90, std::uint64_t end = 100) {
  return "C" + number(0, 1) + number(lsn, 8) + number(end, 8) + number(0, 8);
}
inline std::string relation(std::uint32_t id, const std::string& schema, const std::string& name,
                            const std::vector<std::string>& columns) {
  std::string out = "R" + number(id, 4) + text(schema) + text(name) + "i" + number(columns.size(), 2);
  for (const auto& column : columns)
    out += number(column == "residency" || column == "id", 1) + text(column) + number(25, 4) + number(~0U, 4);
  return out;
}
// A cell: its text, or one of these.
inline const std::string kNull = "\1n", kUnchanged = "\1u", kBinary = "\1b";
inline std::string tuple(const std::vector<std::string>& cells) {
  std::string out = number(cells.size(), 2);
  for (const auto& cell : cells) {
    if (cell == kNull || cell == kUnchanged)
      out += cell[1];
    else if (cell == kBinary)
      out += "b" + number(2, 4) + "us";
    else
      out += "t" + number(cell.size(), 4) + cell;
  }
  return out;
}
inline std::string insert(std::uint32_t id, const std::vector<std::string>& row) {
  return "I" + number(id, 4) + "N" + tuple(row);
}
inline std::string update(std::uint32_t id, const std::vector<std::string>& row) {
  return "U" + number(id, 4) + "N" + tuple(row);
}
inline std::string update(std::uint32_t id, char image, const std::vector<std::string>& old,
                          const std::vector<std::string>& row) {
  return "U" + number(id, 4) + image + tuple(old) + "N" + tuple(row);
}
inline std::string removal(std::uint32_t id, char image, const std::vector<std::string>& old) {
  return "D" + number(id, 4) + image + tuple(old);
}
inline std::string truncate(const std::vector<std::uint32_t>& ids) {
  std::string out = "T" + number(ids.size(), 4) + number(0, 1);
  for (const auto id : ids) out += number(id, 4);
  return out;
}

}  // namespace domicile::gate::bytes
