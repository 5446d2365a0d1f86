// A tenant's move in PostgreSQL: its row in the directory, what a side holds of the tenant, and the rows that go over.
// Every call is idempotent; a session that answered an error of the connection is opened anew by whoever calls.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/moves/move.hpp"
#include "engines/postgres/connection.hpp"

namespace domicile::postgres {

// ---- the directory's row

// All live moves that this region's directory knows.
Result<std::vector<moves::Move>> read_moves(Connection& connection);
// The tenant's last move, also an ended one; empty: it never moved. `failed` (DOM-T033) when there is no such tenant.
Result<std::optional<moves::Move>> find_move(Connection& connection, const std::string& tenant);
// At the directory's owner. `conflict`: the tenant lives elsewhere by now, or moves already.
Result<void> begin_move(Connection& connection, const moves::Move& move);
// At the directory's owner: from `now` to `next`, whose phase follows. True also when `next` is there already;
// `conflict` when anything else is.
Result<void> advance_move(Connection& connection, const moves::Move& now, const moves::Move& next);

// ---- rows

// One mapped table as a move sees it.
struct MoveTable {
  std::string schema, name, tenant_column, residency_column;
  std::vector<std::string> carried;  // as the link from the old owner to the new one carries them, residency included
  std::vector<std::string> moved;    // those of them that are lawful under both residencies, without the residency
  std::vector<std::string> key;      // of the replica identity, without the residency; found in the database
  std::string qualified() const { return schema + "." + name; }
};

// `from_region`, `to_region`: the owners of both residencies. Equal: nothing crosses.
std::vector<MoveTable> move_tables(const topology::Topology& topology, const moves::Move& move,
                                   const std::string& from_region, const std::string& to_region);

using RowSink = std::function<Result<void>(std::string_view lines)>;

class TenantRows {
 public:
  // `link`: rows are read as that link's role, through its outlet; empty: as the agent, for what stays in this region.
  // `tables` come in any order; parents are found first.
  static Result<TenantRows> open(Connection connection, std::vector<MoveTable> tables, std::string link,
                                 std::string link_role);
  bool alive() const { return connection_.alive(); }
  const std::vector<MoveTable>& tables() const { return tables_; }  // parents before the tables that reference them

  Result<moves::Summary> summary(const std::string& residency, const std::string& tenant);
  // What is there now, and from when on the next look has to find only what has changed.
  struct Look {
    moves::Summary rows;
    std::uint64_t horizon = 0;  // the oldest transaction that this look may not have seen, with its cycle (xid8)
  };
  // `before`: an earlier look at the same tenant, whose parts hold where no row has come, changed or gone since. That
  // is told by the rows' transactions and numbers, which spares their sums; null: all of it.
  Result<Look> look(const std::string& residency, const std::string& tenant, const Look* before);
  // Of some parts of one table.
  Result<moves::TableSummary> summary(const MoveTable& table, const std::string& residency, const std::string& tenant,
                                      const std::vector<int>& buckets);
  // COPY's text lines of the carried columns; what may not go over is NULL in them.
  Result<void> read(const MoveTable& table, const std::string& residency, const std::string& tenant,
                    const std::vector<int>& buckets, const RowSink& sink);

  // The receiving side, by a permit of the guard, some thousands of rows in a transaction. stage() once for each group,
  // then surplus() once.
  // `conflict` (DOM-E716): a row with this key belongs to another tenant.
  Result<std::int64_t> stage(const moves::Move& move, const MoveTable& table, const moves::Group& group,
                             const std::function<Result<void>(const RowSink&)>& rows);
  // Deletes what the source has not in the parts that were staged and not fresh, children first, and ends the staging.
  Result<void> surplus(const moves::Move& move);

  // Deletes all rows of (residency, tenant), some thousands in a transaction. How many rows went.
  Result<std::int64_t> remove(const std::string& residency, const std::string& tenant);
  // Are there any?
  Result<bool> any(const std::string& residency, const std::string& tenant);
  // Returns when every transaction that has written a tenant table has ended which began before the call. `unavailable`
  // after `patience`, with how many are left.
  Result<void> wait_writers(Micros patience);

 private:
  TenantRows(Connection connection, std::vector<MoveTable> tables, std::string link, std::string link_role)
      : connection_(std::move(connection)),
        tables_(std::move(tables)),
        link_(std::move(link)),
        link_role_(std::move(link_role)) {}
  Result<std::string> source_of(const MoveTable& table);
  Result<moves::TableSummary> sums(const MoveTable& table, const std::string& where);
  Result<std::vector<int>> touched(const MoveTable& table, const std::string& where, const moves::TableSummary& before,
                                   std::uint64_t horizon);

  Connection connection_;
  std::vector<MoveTable> tables_;
  std::string link_, link_role_;
  struct Staged {
    std::size_t table;
    std::string name;
    std::vector<int> buckets;
  };
  std::vector<Staged> staged_;
};

}  // namespace domicile::postgres
