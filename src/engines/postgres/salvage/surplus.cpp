#include "engines/postgres/salvage/surplus.hpp"

#include <map>
#include <unordered_map>

#include "core/residency/links.hpp"
#include "engines/postgres/links/parts.hpp"
#include "engines/postgres/links/position.hpp"
#include "gate/protocol/pgoutput.hpp"

namespace domicile::postgres {

using links::LinkSpec;
using links::Sql;
using salvage::Change;
using salvage::Did;

namespace {

constexpr int kFetched = 2'000;                           // messages at a time
constexpr Micros kEpochOf2000 = 946'684'800LL * kSecond;  // pgoutput's zero, as Unix time

// bytea as text: \x, then two digits for each byte.
Result<std::string> bytes_of(const std::string& text) {
  const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  if (text.size() % 2 != 0 || !text.starts_with("\\x")) return fail(Kind::corrupt, "a message of the slot is no bytea");
  std::string out;
  out.reserve(text.size() / 2);
  for (std::size_t i = 2; i < text.size(); i += 2) out += static_cast<char>(digit(text[i]) * 16 + digit(text[i + 1]));
  return out;
}

class Reader {
 public:
  using Sink = std::function<void(Change&&)>;
  Reader(std::uint64_t after, Sink sink) : after_(after), sink_(std::move(sink)) {}

  Result<void> read(std::string_view bytes) {
    const auto message = TRY(decoder_.decode(bytes));
    return std::visit([&](const auto& each) { return see(each); }, message);
  }
  std::uint64_t transactions() const { return transactions_; }
  std::uint64_t upto() const { return upto_; }

 private:
  struct Table {
    std::string qualified;
    std::vector<std::string> columns;
    std::vector<bool> key;
    bool marker = false;
  };

  Result<void> see(const gate::Begin& begin) {
    committed_at_ = begin.committed_at + kEpochOf2000;
    open_.clear();
    return {};
  }
  Result<void> see(const gate::Commit& commit) {
    upto_ = commit.end_lsn;
    if (commit.end_lsn <= after_ || open_.empty()) return {};
    ++transactions_;
    for (auto& change : open_) {
      change.lsn = commit.end_lsn;
      sink_(std::move(change));
    }
    open_.clear();
    return {};
  }
  Result<void> see(const gate::Relation& relation) {
    Table table{fmt::format("{}.{}", relation.schema, relation.name), {}, {}};
    table.marker = table.qualified == residency::marker_table().qualified();
    for (const auto& column : relation.columns) {
      table.columns.emplace_back(column.name);
      table.key.push_back(column.key);
    }
    tables_[relation.id] = std::move(table);
    return {};
  }
  Result<void> see(const gate::Insert& insert) {
    return add(Did::insert, insert.relation, insert.row, gate::OldImage::none, {});
  }
  Result<void> see(const gate::Update& update) {
    return add(Did::update, update.relation, update.row, update.has_old, update.old);
  }
  Result<void> see(const gate::Delete& removal) {
    return add(Did::remove, removal.relation, {}, removal.has_old, removal.old);
  }
  Result<void> see(const gate::Origin&) { return {}; }
  Result<void> see(const gate::Type&) { return {}; }
  Result<void> see(const gate::Truncate&) {
    return fail(Kind::corrupt, "the slot holds a TRUNCATE, which its publication does not publish");
  }
  Result<void> see(const gate::Foreign& foreign) {
    return fail(Kind::corrupt, fmt::format("the slot holds a message '{}' that nobody asked for", foreign.type));
  }

  static std::optional<std::string> text_of(const gate::Value& value) {
    if (value.kind == gate::Value::Kind::null) return {};
    return std::string(value.bytes);
  }
  static salvage::Key key_of(const Table& table, gate::Tuple tuple) {
    salvage::Key key{table.qualified, {}};
    for (std::size_t i = 0; i < tuple.size() && i < table.columns.size(); ++i)
      if (table.key[i]) key.columns[table.columns[i]] = text_of(tuple[i]);
    return key;
  }
  static salvage::Row row_of(const Table& table, gate::Tuple tuple) {
    salvage::Row row;
    for (std::size_t i = 0; i < tuple.size() && i < table.columns.size(); ++i)
      if (tuple[i].kind != gate::Value::Kind::unchanged) row[table.columns[i]] = text_of(tuple[i]);
    return row;
  }

  Result<void> add(Did did, std::uint32_t relation, gate::Tuple row, gate::OldImage has_old, gate::Tuple old) {
    const auto found = tables_.find(relation);
    if (found == tables_.end()) return fail(Kind::corrupt, "a row of a table that the slot never described");
    const Table& table = found->second;
    if (table.marker) return {};
    Change change{did, {}, {}, 0, committed_at_};
    if (did == Did::remove) {
      change.key = key_of(table, old);
    } else {
      change.key = key_of(table, row);
      change.row = row_of(table, row);
      if (has_old != gate::OldImage::none) change.was = key_of(table, old);
      if (change.was == change.key) change.was.reset();
    }
    open_.push_back(std::move(change));
    return {};
  }

  std::uint64_t after_;
  gate::Decoder decoder_;
  std::unordered_map<std::uint32_t, Table> tables_;
  std::vector<Change> open_;  // of the transaction that is being read
  Micros committed_at_ = 0;
  Sink sink_;
  std::uint64_t transactions_ = 0, upto_ = 0;
};

Result<void> check_slot(const Sql& sql, const LinkSpec& link) {
  const auto rows = TRY(sql.query(
      "SELECT wal_status, active_pid FROM pg_catalog.pg_replication_slots WHERE slot_name = $1", {link.name}));
  if (rows.empty())
    return fail(Kind::unavailable, fmt::format("slot {} is gone: nobody can tell what it held", link.name));
  if (rows[0][0] == "lost")
    return fail(Kind::unavailable,
                fmt::format("slot {} has lost its log: it held more than this disk kept", link.name));
  if (rows[0][1])
    return fail(Kind::conflict, fmt::format("slot {} streams, so that nothing of it is salvage", link.name));
  return {};
}

Result<void> peek(const Sql& sql, const LinkSpec& link, Reader& reader) {
  CHECK_OK(check_slot(sql, link));
  CHECK_OK(links::print_alike(sql));
  return links::in_transaction(sql, [&]() -> Result<void> {
    CHECK_OK(sql.simple(
        fmt::format("DECLARE surplus NO SCROLL CURSOR FOR SELECT data FROM "
                    "pg_catalog.pg_logical_slot_peek_binary_changes({}, NULL, "
                    "NULL, 'proto_version', '1', 'publication_names', {})",
                    sql.literal(link.name), sql.literal(sql.name(residency::salvage_publication(link.residency))))));
    for (;;) {
      const auto rows = TRY(sql.simple(fmt::format("FETCH {} FROM surplus", kFetched)));
      for (const auto& row : rows) CHECK_OK(reader.read(TRY(bytes_of(*row[0]))));
      if (rows.size() < kFetched) return {};
    }
  });
}

}  // namespace

Result<Surplus> surplus_of(const Sql& sql, const LinkSpec& link, std::uint64_t after) {
  Surplus out;
  Reader reader(after, [&](Change&& change) { out.changes.push_back(std::move(change)); });
  CHECK_OK(peek(sql, link, reader));
  out.transactions = reader.transactions();
  out.upto = reader.upto();
  return out;
}

Result<std::vector<Since>> since_takeover(const Sql& sql, const LinkSpec& link, const std::vector<salvage::Key>& keys) {
  // A slot is read up to what is on the disk: this commit takes everything before it there.
  CHECK_OK(links::own_position(sql));
  std::map<salvage::Key, Since> asked;
  for (const auto& key : keys) asked[key] = {};
  Reader reader(0, [&](Change&& change) {
    for (const auto* key : {&change.key, change.was ? &*change.was : nullptr}) {
      if (key == nullptr) continue;
      const auto found = asked.find(*key);
      if (found == asked.end()) continue;
      const bool made = found->second.changed ? found->second.made : change.did == Did::insert && key == &change.key;
      found->second = {true, change.committed_at, made};
    }
  });
  CHECK_OK(peek(sql, link, reader));
  std::vector<Since> out;
  for (const auto& key : keys) out.push_back(asked[key]);
  return out;
}

}  // namespace domicile::postgres
