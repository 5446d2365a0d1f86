// Where salvage is kept: in the database of the region that found it, which may hold its rows in full. Only the agent's
// role reads these tables, and no link carries them. Values of personal columns included: not for a log.
#pragma once
#include "core/authority/record.hpp"
#include "core/salvage/salvage.hpp"
#include "engines/postgres/links/sql.hpp"
#include "engines/postgres/salvage/surplus.hpp"

namespace domicile::postgres {

// One ended epoch of one residency that this region wrote in, and what of it nobody else had.
struct SalvageRun {
  std::string residency;
  authority::Epoch epoch = 0;
  std::string next_owner;  // who opened the next epoch
  std::uint64_t base = 0;  // how much of this one it had; 0: not known, so everything was kept
  std::uint64_t upto = 0;  // where this region's log ended for the residency
  std::int64_t transactions = 0, rows = 0;
  std::string lost = {};  // what nobody can tell any more, with its range; empty: nothing
  std::string note = {};  // how it was found, where not by the log
  Micros at = 0;          // wall clock
  bool operator==(const SalvageRun&) const = default;
};

enum class KeptState { open, applied, discarded };
std::string_view name_of(KeptState state);
std::optional<KeptState> kept_state_of(std::string_view name);

struct Kept {
  std::int64_t id = 0;
  std::string residency;
  authority::Epoch epoch = 0;
  salvage::Entry entry;
  Since since;  // of the same row at the new owner, when the salvage was found: another digest today is a later change
  KeptState state = KeptState::open;
  std::string by, reason, how;  // of the decision
  Micros decided_at = 0;
};

// All of a run at once, or nothing. `conflict`: it is kept already.
Result<void> keep_salvage(const links::Sql& sql, const SalvageRun& run, const std::vector<salvage::Entry>& entries,
                          const std::vector<Since>& since);
Result<bool> salvage_kept(const links::Sql& sql, const std::string& residency, authority::Epoch epoch);
Result<std::vector<SalvageRun>> salvage_runs(const links::Sql& sql);
// `only`: ids; empty: all. In the order in which rows were first changed.
Result<std::vector<Kept>> salvage_entries(const links::Sql& sql, const std::string& residency, authority::Epoch epoch,
                                          const std::vector<std::int64_t>& only = {});
// Open entries, by residency and epoch.
Result<std::map<std::pair<std::string, authority::Epoch>, std::int64_t>> open_salvage(const links::Sql& sql);
// Only an open one is decided. How many were.
Result<std::int64_t> decide_salvage(const links::Sql& sql, const std::vector<std::int64_t>& ids, KeptState state,
                                    const std::string& by, const std::string& reason, const std::string& how);
// A copy here that was made equal to its owner's: `tables` names each with the digest that both sides had.
struct KeptRepair {
  std::string residency;
  authority::Epoch epoch = 0;
  std::string source;
  Micros took = 0;
  std::int64_t bytes = 0;
  bool whole = false;
  Json tables = Json::array();  // [{table, rows, fetched, written, removed, digest}]
  Micros at = 0;                // wall clock
};
Result<void> keep_repair(const links::Sql& sql, const KeptRepair& repair);
Result<std::vector<KeptRepair>> repairs(const links::Sql& sql);  // the last hundred, newest first

// The row with that key as it is in this database, in the columns of `table`; empty: there is none.
Result<std::optional<salvage::Row>> find_row(const links::Sql& sql, const links::MappedTable& table,
                                             const salvage::Key& key);
std::string digest_of(const std::optional<salvage::Row>& row);

}  // namespace domicile::postgres
