#include "agent/comeback.hpp"

#include "agent/salvage_calls.hpp"
#include "engines/postgres/links/position.hpp"
#include "engines/postgres/salvage/book.hpp"

namespace domicile::agent {

using authority::Copy;
using authority::Position;
using authority::Record;
using postgres::SalvageRun;
using postgres::links::Sql;

namespace {

constexpr Micros kSinceTakeover = 600 * kSecond;  // the new owner reads its whole log since then

// What of the epoch this disk cannot tell, in words; empty: it has all of it.
std::string not_on_this_disk(const std::optional<Position>& handover, const Position& here) {
  if (!handover) return "";
  const auto at = authority::lsn_text(handover->lsn);
  if (!handover->comparable_with(here))
    return fmt::format(
        "this database (system {}, timeline {}) is not the one that wrote the epoch (system {}, timeline "
        "{}): what that one had committed behind {} is lost with it",
        here.system_id, here.timeline, handover->system_id, handover->timeline, at);
  if (here.lsn < handover->lsn)
    return fmt::format(
        "this disk is an older image, of {}: what had been committed behind {} is lost with the newer one",
        authority::lsn_text(here.lsn), at);
  return "";
}

Json json_of(const std::vector<postgres::links::RepairedTable>& tables) {
  Json list = Json::array();
  for (const auto& table : tables)
    list.push_back({{"table", table.table},
                    {"rows", table.rows},
                    {"fetched", table.fetched},
                    {"written", table.written},
                    {"removed", table.removed},
                    {"digest", table.digest}});
  return list;
}

}  // namespace

Result<void> Comeback::run(const std::string& residency, const Copy& copy, const Record& record) const {
  setup_.stall.reach("comeback.begin", residency);
  if (copy.source == setup_.config->region)
    CHECK_OK(keep_surplus(residency, copy, record));
  else
    CHECK_OK(wait_for_source(residency, copy, record));
  setup_.stall.reach("comeback.kept", residency);
  CHECK_OK(repair(residency, record));
  setup_.stall.reach("comeback.repaired", residency);
  return {};
}

// Rows of this copy that the new owner lacks are the lost owner's surplus: they are in its salvage, or nowhere else.
Result<void> Comeback::wait_for_source(const std::string& residency, const Copy& copy, const Record& record) const {
  if (!authority::ahead_of_handover(copy, record)) return {};
  const auto told = TRY(setup_.peers->call(copy.source, "GET", "/v1/copies/" + residency, Json(), 2 * kSecond));
  const bool kept = TRY(member<std::string>(told, "state")) == "following" &&
                    TRY(member<authority::Epoch>(told, "epoch")) > copy.epoch;
  if (kept) return {};
  return fail(
      Kind::unavailable,
      fmt::format("this copy holds rows of {} that its next owner never got; it waits until {} has come back and "
                  "kept them",
                  copy.source, copy.source));
}

Result<void> Comeback::keep_surplus(const std::string& residency, const Copy& copy, const Record& record) const {
  auto connection = TRY(postgres::open_session(setup_.store, "domicile-salvage"));
  const Sql sql(connection);
  if (TRY(postgres::salvage_kept(sql, residency, copy.epoch))) return {};
  const auto handover = authority::handover_of(copy, record);
  const auto here = TRY(postgres::links::own_position(sql));
  SalvageRun run{residency, copy.epoch, handover ? handover->to : ""};
  const auto at = handover ? handover->at : std::nullopt;
  if (at && at->comparable_with(here)) run.base = at->lsn;
  run.upto = here.lsn;
  run.lost = not_on_this_disk(at, here);

  // The slot to the next owner stands where that one stood. Any other holds as much, where its receiver got no further.
  std::vector<replication::LinkName> links;
  for (const auto& link : residency::links_of(*setup_.store.topology))
    if (link.residency == residency && link.from == setup_.config->region)
      links.insert(link.to == run.next_owner ? links.begin() : links.end(), {link.residency, link.from, link.to});
  std::optional<postgres::Surplus> surplus;
  std::string why;
  for (const auto& link : links) {
    auto found = postgres::surplus_of(sql, postgres::link_spec(*setup_.store.topology, link), run.base);
    if (!found && found.error().kind != Kind::unavailable) return tl::unexpected<Error>(found.error());
    if (found) {
      surplus = std::move(*found);
      break;
    }
    why += (why.empty() ? "" : "; ") + one_line(found.error());
  }
  if (!surplus && run.lost.empty())
    run.lost = fmt::format("what was committed from {} to {} cannot be told any more: {}",
                           authority::lsn_text(run.base), authority::lsn_text(run.upto), why);
  const auto entries = surplus ? salvage::condense(surplus->changes) : std::vector<salvage::Entry>();
  if (surplus) run.transactions = static_cast<std::int64_t>(surplus->transactions);
  std::vector<postgres::Since> since;
  if (!entries.empty()) {
    const auto told = TRY(setup_.peers->call(record.owner, "POST", "/v1/salvage/since",
                                             since_question(residency, entries), kSinceTakeover));
    since = TRY(since_answer(told, entries.size()));
  }
  CHECK_OK(postgres::keep_salvage(sql, run, entries, since));
  setup_.events->add("salvage.kept",
                     fmt::format("{} rows of {} transactions that nobody else has are kept{}{}", entries.size(),
                                 run.transactions, run.lost.empty() ? "" : "; lost: ", run.lost),
                     residency, copy.epoch);
  return {};
}

Result<void> Comeback::repair(const std::string& residency, const Record& record) const {
  const Micros begun = monotonic_now();
  // What its slots held is kept by now. From here on they are those of a region that may own it again.
  CHECK_OK(postgres::make_store(setup_.store)->withdraw_slots(residency));
  const auto before_whole = [&](const std::string& why) -> Result<void> {
    setup_.events->add("copy.whole", why + ": everything is deleted here and copied anew", residency, record.epoch);
    return {};
  };
  const auto brought = TRY(repair_copy(*setup_.config, setup_.store, {residency, record.owner, setup_.config->region},
                                       setup_.log, before_whole));
  std::int64_t rows = 0, changed = 0;
  for (const auto& table : brought.done.tables) {
    rows += table.rows;
    changed += table.written + table.removed;
  }
  const Micros took = monotonic_now() - begun;
  auto connection = TRY(postgres::open_session(setup_.store, "domicile-salvage"));
  CHECK_OK(postgres::keep_repair(connection, {residency, record.epoch, record.owner, took, brought.bytes,
                                              brought.done.whole, json_of(brought.done.tables)}));
  setup_.events->add("copy.repaired",
                     brought.done.whole
                         ? "copied anew from " + record.owner
                         : fmt::format("{} of {} rows brought in line with {}; the sums of both sides are equal",
                                       changed, rows, record.owner),
                     residency, record.epoch, {}, took);
  return {};
}

}  // namespace domicile::agent
