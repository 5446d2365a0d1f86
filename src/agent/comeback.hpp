// The way back of a copy that is no prefix of its owner's history: what only it has is kept as salvage, then it is made
// equal to the owner's and follows. The agent's share; what is kept and how it is decided is salvage_calls.hpp's.
#pragma once
#include "agent/config.hpp"
#include "agent/events.hpp"
#include "agent/first_rows.hpp"
#include "agent/peers.hpp"
#include "base/stall.hpp"
#include "core/authority/copy.hpp"
#include "engines/postgres/salvage/book.hpp"

namespace domicile::agent {

struct ComebackSetup {
  const AgentConfig* config = nullptr;
  postgres::StoreSettings store;
  Peers* peers = nullptr;
  Events* events = nullptr;
  Log log{2, Log::Format::text, Level::info, ""};
  StallPoints stall;  // comeback.begin, comeback.kept, comeback.repaired
};

class Comeback {
 public:
  explicit Comeback(ComebackSetup setup) : setup_(std::move(setup)) {}
  // `copy` is `resync`, `record` serves elsewhere. On success the link from the record's owner streams. An error leaves
  // the copy as resync as it was; every step can be repeated.
  Result<void> run(const std::string& residency, const authority::Copy& copy, const authority::Record& record) const;

 private:
  using Sql = postgres::links::Sql;
  // What must be kept, and how it can be found.
  enum class Surplus {
    none,           // this copy holds nothing that the owner never had, or it is kept already
    by_comparison,  // whatever differs from the owner's rows is it
    or_older,       // whatever differs may be it, or be no more than what the owner had once
  };
  Result<Surplus> keep_by_log(const std::string& residency, const authority::Copy& copy,
                              const authority::Record& record) const;
  Result<Surplus> judge_receiver(const std::string& residency, const authority::Copy& copy,
                                 const authority::Record& record, authority::OnlyHere only) const;
  Result<bool> gone_back(const std::string& residency, const authority::Copy& copy) const;
  Result<Surplus> how_it_differs(const std::string& residency, const authority::Copy& copy) const;
  // `doubtful`: nothing of it is taken for missing at the owner.
  Result<void> keep(const Sql& sql, const postgres::SalvageRun& run, const std::vector<salvage::Entry>& found,
                    const std::string& owner, bool doubtful = false) const;
  Result<void> keep_differing(const std::string& residency, const authority::Copy& copy,
                              const authority::Record& record, Surplus surplus,
                              const std::vector<postgres::links::DifferingRows>& tables) const;
  Result<void> repair(const std::string& residency, const authority::Copy& copy, const authority::Record& record,
                      Surplus surplus) const;

  ComebackSetup setup_;
};

}  // namespace domicile::agent
