#include "gate/protocol/pgoutput.hpp"

#include <optional>

#include "gate/protocol/reader.hpp"

namespace domicile::gate {
namespace {

std::optional<Tuple> read_tuple(Reader& in, std::vector<Value>& into) {
  into.clear();
  const int count = in.u16();
  for (int i = 0; i < count && in.good(); ++i) {
    const char kind = static_cast<char>(in.u8());
    switch (kind) {
      case 'n':
      case 'u':
        into.push_back({static_cast<Value::Kind>(kind), {}});
        break;
      case 't':
      case 'b':
        into.push_back({static_cast<Value::Kind>(kind), in.bytes(in.u32())});
        break;
      default:
        return {};
    }
  }
  if (!in.good()) return {};
  return Tuple(into);
}

std::optional<OldImage> old_image(char tag) {
  if (tag == 'K') return OldImage::key;
  if (tag == 'O') return OldImage::full;
  return {};
}

std::optional<Relation> read_relation(Reader& in, std::vector<Column>& columns) {
  Relation out{in.u32(), in.text(), in.text(), static_cast<char>(in.u8()), {}};
  columns.clear();
  const int count = in.u16();
  for (int i = 0; i < count && in.good(); ++i) {
    const std::uint8_t flags = in.u8();
    columns.push_back({(flags & 1) != 0, in.text(), in.u32(), in.i32()});
    if ((flags & ~1) != 0) return {};
  }
  out.columns = columns;
  return out;
}

std::optional<Insert> read_insert(Reader& in, std::vector<Value>& row) {
  Insert out{in.u32(), {}};
  if (in.u8() != 'N') return {};
  const auto tuple = read_tuple(in, row);
  if (!tuple) return {};
  out.row = *tuple;
  return out;
}

std::optional<Update> read_update(Reader& in, std::vector<Value>& old, std::vector<Value>& row) {
  Update out{in.u32(), OldImage::none, {}, {}};
  char tag = static_cast<char>(in.u8());
  if (const auto has_old = old_image(tag)) {
    const auto tuple = read_tuple(in, old);
    if (!tuple) return {};
    out.has_old = *has_old;
    out.old = *tuple;
    tag = static_cast<char>(in.u8());
  }
  if (tag != 'N') return {};
  const auto tuple = read_tuple(in, row);
  if (!tuple) return {};
  out.row = *tuple;
  return out;
}

std::optional<Delete> read_delete(Reader& in, std::vector<Value>& old) {
  Delete out{in.u32(), OldImage::none, {}};
  const auto has_old = old_image(static_cast<char>(in.u8()));
  const auto tuple = has_old ? read_tuple(in, old) : std::nullopt;
  if (!tuple) return {};
  out.has_old = *has_old;
  out.old = *tuple;
  return out;
}

Truncate read_truncate(Reader& in) {
  const std::uint32_t count = in.u32();
  Truncate out{in.u8(), {}};
  for (std::uint32_t i = 0; i < count && in.good(); ++i) out.relations.push_back(in.u32());
  return out;
}

template <class T>
Result<Message> whole(const Reader& in, char type, std::optional<T> message) {
  if (message && in.done()) return Message(std::move(*message));
  return fail(Kind::corrupt, fmt::format("a message of type '{}' of the replication stream is not well formed", type));
}

}  // namespace

// Fields are read in braces, whose order of evaluation is theirs.
Result<Message> Decoder::decode(std::string_view bytes) {
  Reader in(bytes);
  const char type = static_cast<char>(in.u8());
  switch (type) {
    case 'B':
      return whole(in, type, std::optional(Begin{in.u64(), in.i64(), in.u32()}));
    case 'C':
      return whole(in, type, std::optional(Commit{in.u8(), in.u64(), in.u64(), in.i64()}));
    case 'O':
      return whole(in, type, std::optional(Origin{in.u64(), in.text()}));
    case 'R':
      return whole(in, type, read_relation(in, columns_));
    case 'Y':
      return whole(in, type, std::optional(Type{in.u32(), in.text(), in.text()}));
    case 'I':
      return whole(in, type, read_insert(in, row_));
    case 'U':
      return whole(in, type, read_update(in, old_, row_));
    case 'D':
      return whole(in, type, read_delete(in, old_));
    case 'T':
      return whole(in, type, std::optional(read_truncate(in)));
    case 'M':
    case 'S':
    case 'E':
    case 'c':
    case 'A':
    case 'b':
    case 'P':
    case 'K':
    case 'r':
    case 'p':
      return Message(Foreign{type});
    default:
      return fail(Kind::corrupt, fmt::format("the replication stream holds something of type {:#04x}",
                                             static_cast<unsigned>(static_cast<std::uint8_t>(type))));
  }
}

}  // namespace domicile::gate
