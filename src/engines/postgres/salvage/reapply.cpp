#include "engines/postgres/salvage/reapply.hpp"

#include <algorithm>

#include "engines/postgres/links/parts.hpp"
#include "engines/postgres/salvage/book.hpp"

namespace domicile::postgres {

using links::MappedTable;
using links::Sql;

namespace {

struct Statement {
  std::string text;
  std::vector<links::Cell> values;
  std::string bind(const links::Cell& value) {
    values.push_back(value);
    return "$" + std::to_string(values.size());
  }
};

std::string where_of(const Sql& sql, const salvage::Key& key, Statement& statement) {
  std::string where;
  for (const auto& [column, value] : key.columns)
    where += fmt::format("{}{} = {}", where.empty() ? "" : " AND ", sql.name(column), statement.bind(value));
  return where;
}

Statement removal(const Sql& sql, const MappedTable& table, const Deed& deed) {
  Statement statement;
  const auto where = where_of(sql, deed.key, statement);
  statement.text = fmt::format("DELETE FROM {} WHERE {}", links::name_of(sql, table), where);
  return statement;
}

Statement update(const Sql& sql, const MappedTable& table, const Deed& deed) {
  Statement statement;
  std::string changes;
  for (const auto& [column, value] : deed.row)
    if (!deed.key.columns.contains(column))
      changes += fmt::format("{}{} = {}", changes.empty() ? "" : ", ", sql.name(column), statement.bind(value));
  if (changes.empty()) return {};
  const auto where = where_of(sql, deed.key, statement);
  statement.text = fmt::format("UPDATE {} SET {} WHERE {}", links::name_of(sql, table), changes, where);
  return statement;
}

Statement insertion(const Sql& sql, const MappedTable& table, const Deed& deed) {
  Statement statement;
  std::string columns, values;
  for (const auto& [column, value] : deed.row) {
    columns += (columns.empty() ? "" : ", ") + sql.name(column);
    values += (values.empty() ? "" : ", ") + statement.bind(value);
  }
  statement.text = fmt::format("INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE VALUES ({})", links::name_of(sql, table),
                               columns, values);
  return statement;
}

// What PostgreSQL says about a value may quote it: its class is enough.
std::string refused(const Error& error) {
  const auto state = sqlstate_of(error);
  return state.empty() ? std::string() : "the database refused it (SQLSTATE " + std::string(state) + ")";
}

class Reapply {
 public:
  Reapply(const Sql& sql, const std::vector<MappedTable>& tables) : sql_(sql), tables_(tables) {}

  Result<std::string> one(const Deed& deed) {
    const auto table =
        std::ranges::find_if(tables_, [&](const MappedTable& each) { return each.qualified() == deed.key.table; });
    if (table == tables_.end()) return "table " + deed.key.table + " is not one of the residency's any more";
    for (const auto& [column, value] : deed.row)
      if (std::ranges::find(table->columns, column) == table->columns.end())
        return "column " + column + " is not mapped any more";
    CHECK_OK(sql_.simple("SAVEPOINT deed"));
    auto done = attempt(*table, deed);
    if (done) {
      CHECK_OK(sql_.simple("RELEASE SAVEPOINT deed"));
      return done;
    }
    const auto why = refused(done.error());
    if (why.empty()) return done;  // the connection: nothing of all is done
    CHECK_OK(sql_.simple("ROLLBACK TO SAVEPOINT deed"));
    return why;
  }

 private:
  // The row is locked from the comparison on, so that nobody changes it between that and the write.
  Result<std::string> attempt(const MappedTable& table, const Deed& deed) {
    Statement lock;
    const auto where = where_of(sql_, deed.key, lock);
    TRY(sql_.query(fmt::format("SELECT 1 FROM {} WHERE {} FOR UPDATE", links::name_of(sql_, table), where),
                   lock.values));
    const auto now = TRY(find_row(sql_, table, deed.key));
    if (digest_of(now) != deed.expected) return std::string("the owner's row has changed since: look again");
    const auto statement = deed.remove ? removal(sql_, table, deed)
                           : now       ? update(sql_, table, deed)
                                       : insertion(sql_, table, deed);
    if (!statement.text.empty()) TRY(sql_.query(statement.text, statement.values));
    return std::string();
  }

  const Sql& sql_;
  const std::vector<MappedTable>& tables_;
};

}  // namespace

Result<Outcomes> reapply(const Sql& sql, const std::vector<MappedTable>& tables, const std::vector<Deed>& deeds) {
  CHECK_OK(links::print_alike(sql));
  Outcomes outcomes;
  Reapply work(sql, tables);
  CHECK_OK(links::in_transaction(sql, [&]() -> Result<void> {
    for (const auto& deed : deeds) outcomes[deed.id] = TRY(work.one(deed));
    return {};
  }));
  return outcomes;
}

}  // namespace domicile::postgres
