#include "gate/protocol/check.hpp"

#include <algorithm>
#include <charconv>

namespace domicile::gate {
namespace {

Violation violation(Rule rule, std::string what) { return {rule, std::move(what)}; }

}  // namespace

std::string_view name_of(Rule rule) {
  constexpr std::string_view names[] = {"message",          "kind",     "order", "table",  "column",
                                        "residency-column", "relation", "shape", "binary", "residency",
                                        "old-residency",    "truncate", "size"};
  return names[static_cast<std::size_t>(rule)];
}

std::optional<Violation> Check::look(std::string_view message) {
  size_ = message.size();
  const auto decoded = decoder_.decode(message);
  if (!decoded) return violation(Rule::message, decoded.error().what);
  return std::visit([&](const auto& one) { return see(one); }, *decoded);
}

std::optional<Violation> Check::see(const Begin&) {
  if (in_transaction_) return violation(Rule::order, "a transaction begins inside another");
  in_transaction_ = true;
  return {};
}

std::optional<Violation> Check::see(const Commit& commit) {
  if (!in_transaction_) return violation(Rule::order, "a commit of no transaction");
  in_transaction_ = false;
  committed_ = std::max(committed_, commit.end_lsn);
  if (open_marker_.clock_us != 0) marker_ = {commit.end_lsn, open_marker_.clock_us, open_marker_.epoch};
  open_marker_ = {};
  return {};
}

std::optional<Violation> Check::see(const Origin&) {
  if (!in_transaction_) return violation(Rule::order, "an origin outside of a transaction");
  return {};
}

std::optional<Violation> Check::see(const Relation& relation) {
  const std::string name = fmt::format("{}.{}", relation.schema, relation.name);
  known_.erase(relation.id);
  const auto table = std::ranges::find_if(
      rule_.tables, [&](const LinkTable& t) { return t.schema == relation.schema && t.name == relation.name; });
  if (table == rule_.tables.end())
    return violation(Rule::table, fmt::format("link {} does not carry table {}", rule_.link, name));
  Known known{&*table, relation.columns.size(), {}, {}, {}, &passed_[table->qualified()]};
  const bool markers = name == "domicile.marker";
  for (std::size_t i = 0; i < relation.columns.size(); ++i) {
    const auto column = relation.columns[i].name;
    if (std::ranges::find(table->columns, column) == table->columns.end())
      return violation(Rule::column, fmt::format("link {} does not let column {} of {} out", rule_.link, column, name));
    if (markers && column == "clock_us") known.clock = i;
    if (markers && column == "epoch") known.epoch = i;
    if (column != table->residency_column) continue;
    if (known.residency) return violation(Rule::column, fmt::format("column {} of {} comes twice", column, name));
    known.residency = i;
  }
  if (!table->residency_column.empty() && !known.residency)
    return violation(Rule::residency_column,
                     fmt::format("column {} of {} is not in the stream", table->residency_column, name));
  known_.emplace(relation.id, known);
  return {};
}

std::optional<Violation> Check::judge(std::uint32_t relation, Tuple row, Rule rule) {
  if (!in_transaction_) return violation(Rule::order, "a row outside of a transaction");
  const auto at = known_.find(relation);
  if (at == known_.end()) return violation(Rule::relation, "a row of a table that was not described before");
  const Known& known = at->second;
  if (row.size() != known.columns)
    return violation(Rule::shape, fmt::format("a row of {} has {} columns instead of {}", known.table->qualified(),
                                              row.size(), known.columns));
  for (const Value& value : row)
    if (value.kind == Value::Kind::binary)
      return violation(Rule::binary, fmt::format("a row of {} comes in binary form", known.table->qualified()));
  if (!known.residency) return {};
  const Value& residency = row[*known.residency];
  if (residency.kind == Value::Kind::text && residency.bytes == rule_.residency) return {};
  // What it is instead may be the secret.
  return violation(rule, fmt::format("a row of {} {} {}", known.table->qualified(),
                                     residency.kind == Value::Kind::text ? "is not of residency"
                                                                         : "does not show that it is of residency",
                                     rule_.residency));
}

void Check::count(std::uint32_t relation, std::size_t bytes) {
  Passed& passed = *known_.at(relation).passed;
  ++passed.rows;
  passed.bytes += bytes;
}

// What is no number is no marker, and no reason to cut the link: PostgreSQL has typed the column.
void Check::note_marker(std::uint32_t relation, Tuple row) {
  const Known& known = known_.at(relation);
  if (!known.clock || !known.epoch) return;
  const auto number = [](const Value& value) {
    std::int64_t out = 0;
    if (value.kind == Value::Kind::text)
      std::from_chars(value.bytes.data(), value.bytes.data() + value.bytes.size(), out);
    return out;
  };
  open_marker_ = {0, number(row[*known.clock]), number(row[*known.epoch])};
}

std::optional<Violation> Check::see(const Insert& insert) {
  if (auto wrong = judge(insert.relation, insert.row, Rule::residency)) return wrong;
  count(insert.relation, size_);
  note_marker(insert.relation, insert.row);
  return {};
}

std::optional<Violation> Check::see(const Update& update) {
  if (update.has_old != OldImage::none)
    if (auto wrong = judge(update.relation, update.old, Rule::old_residency)) return wrong;
  if (auto wrong = judge(update.relation, update.row, Rule::residency)) return wrong;
  count(update.relation, size_);
  note_marker(update.relation, update.row);
  return {};
}

std::optional<Violation> Check::see(const Delete& removal) {
  if (auto wrong = judge(removal.relation, removal.old, Rule::old_residency)) return wrong;
  count(removal.relation, size_);
  return {};
}

std::optional<Violation> Check::see(const Truncate&) {
  return violation(Rule::truncate, "TRUNCATE would empty the peer's table of all residencies");
}

std::optional<Violation> Check::see(const Foreign& foreign) {
  return violation(Rule::kind, fmt::format("a message of type '{}', which no link of ours asks for", foreign.type));
}

}  // namespace domicile::gate
