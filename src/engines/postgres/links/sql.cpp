#include "engines/postgres/links/sql.hpp"

namespace domicile::postgres::links {

namespace {

Table table_of(const Rows& rows) {
  Table table(static_cast<std::size_t>(rows.size()));
  for (int r = 0; r < rows.size(); ++r)
    for (int c = 0; c < rows.columns(); ++c)
      table[static_cast<std::size_t>(r)].push_back(rows.null(r, c) ? Cell{} : Cell{rows.text(r, c)});
  return table;
}

}  // namespace

Result<Table> Sql::query(const std::string& text, const std::vector<Cell>& parameters) const {
  return table_of(TRY(connection_->exec_params(text, parameters)));
}

Result<std::string> Sql::value(const std::string& text, const std::vector<Cell>& parameters) const {
  const auto rows = TRY(query(text, parameters));
  if (rows.size() != 1 || rows[0].size() != 1 || !rows[0][0])
    return fail(Kind::corrupt, "PostgreSQL answered no single value to: " + text);
  return *rows[0][0];
}

Result<Table> Sql::simple(const std::string& text, Micros deadline) const {
  return table_of(TRY(connection_->exec(text, deadline)));
}

}  // namespace domicile::postgres::links
