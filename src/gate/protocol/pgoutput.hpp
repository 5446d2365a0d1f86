// One message of pgoutput, PostgreSQL 15's logical replication stream, taken apart.
//
// Source: PostgreSQL 15 documentation, 55.9 "Logical Replication Message Formats". Of protocol versions 2 and 3 the
// pieces that a stream without `streaming` and `two_phase` never holds are recognised by their type only: whoever gets
// one has asked for something else than a subscription of ours.
#pragma once
#include <cstdint>
#include <span>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.hpp"

namespace domicile::gate {

using Lsn = std::uint64_t;

// All text and tuples point into the message or into the Decoder: they hold until its next call.
struct Column {
  bool key;  // part of the replica identity
  std::string_view name;
  std::uint32_t type;
  std::int32_t modifier;
};
struct Value {
  enum class Kind : char { null = 'n', unchanged = 'u', text = 't', binary = 'b' } kind;
  std::string_view bytes;
};
using Tuple = std::span<const Value>;
enum class OldImage { none, key, full };

struct Begin {
  Lsn final_lsn;
  std::int64_t committed_at;  // microseconds since 2000-01-01
  std::uint32_t xid;
};
struct Commit {
  std::uint8_t flags;
  Lsn lsn, end_lsn;
  std::int64_t committed_at;
};
struct Origin {
  Lsn lsn;
  std::string_view name;
};
struct Relation {
  std::uint32_t id;
  std::string_view schema, name;
  char identity;  // replica identity: d, n, f, i
  std::span<const Column> columns;
};
struct Type {
  std::uint32_t id;
  std::string_view schema, name;
};
struct Insert {
  std::uint32_t relation;
  Tuple row;
};
struct Update {
  std::uint32_t relation;
  OldImage has_old;
  Tuple old, row;
};
struct Delete {
  std::uint32_t relation;
  OldImage has_old;  // never none
  Tuple old;
};
struct Truncate {
  std::uint8_t options;
  std::vector<std::uint32_t> relations;
};
struct Foreign {  // a streamed or prepared transaction's piece, or a logical message: never asked for
  char type;
};
using Message = std::variant<Begin, Commit, Origin, Relation, Type, Insert, Update, Delete, Truncate, Foreign>;

class Decoder {
 public:
  // `corrupt` for what is no message, is cut short, or has bytes left over. The error tells the type, never a value.
  Result<Message> decode(std::string_view bytes);

 private:
  std::vector<Value> row_, old_;
  std::vector<Column> columns_;
};

}  // namespace domicile::gate
