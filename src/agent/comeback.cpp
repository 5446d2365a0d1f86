#include "agent/comeback.hpp"

#include "agent/salvage_calls.hpp"
#include "engines/postgres/links/health.hpp"
#include "engines/postgres/links/position.hpp"
#include "engines/postgres/links/slots.hpp"
#include "engines/postgres/salvage/book.hpp"

namespace domicile::agent {

using authority::Copy;
using authority::OnlyHere;
using authority::Position;
using authority::Record;
using postgres::SalvageRun;

namespace {

constexpr Micros kSinceTakeover = 600 * kSecond;  // the new owner reads its whole log since then

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
  const auto only = authority::only_here(copy, record, setup_.config->region);
  const auto surplus = TRY(only == OnlyHere::own_log ? keep_by_log(residency, copy, record)
                                                     : judge_receiver(residency, copy, record, only));
  setup_.stall.reach("comeback.kept", residency);
  CHECK_OK(repair(residency, copy, record, surplus));
  setup_.stall.reach("comeback.repaired", residency);
  return {};
}

Result<Comeback::Surplus> Comeback::judge_receiver(const std::string& residency, const Copy& copy, const Record& record,
                                                   OnlyHere only) const {
  if (only == OnlyHere::as_source) only = TRY(gone_back(residency, copy)) ? OnlyHere::perhaps : OnlyHere::nothing;
  if (only == OnlyHere::nothing) return Surplus::none;
  const auto* rules = topology::residency_of(*setup_.store.topology, residency);
  if (rules != nullptr &&
      topology::form_at(*setup_.store.topology, *rules, setup_.config->region) == topology::Form::full)
    return how_it_differs(residency, copy);
  // Without its personal columns a row is no salvage. It waits for the region that wrote it, if that may come back.
  const auto told = setup_.peers->call(copy.source, "GET", "/v1/copies/" + residency, Json(), 2 * kSecond);
  if (told && TRY(member<authority::Epoch>(*told, "epoch")) > copy.epoch) return Surplus::none;
  const auto handover = authority::handover_of(copy, record);
  if (!handover || !handover->at) return Surplus::none;
  return fail(
      Kind::unavailable,
      fmt::format("this reduced copy holds rows of {} that its next owner never got; it waits until {} has come "
                  "back and kept them",
                  copy.source, copy.source));
}

// A database that has got as far as this copy stopped is the one that stopped there, and what differs it got from its
// source. Anything else may be an older image: then the owner's rows are newer, and nothing here says which.
Result<Comeback::Surplus> Comeback::how_it_differs(const std::string& residency, const Copy& copy) const {
  const auto store = postgres::make_store(setup_.store);
  const auto held = TRY(store->held(residency));
  if (!held.marker) return Surplus::none;        // empty: nothing of the residency was ever written to it
  if (!copy.position) return Surplus::or_older;  // where it stood is forgotten, and perhaps whom it followed
  const auto health = TRY(store->copy_health({residency, copy.source, setup_.config->region}));
  const bool there =
      health.position && copy.position->comparable_with(*health.position) && health.position->lsn >= copy.position->lsn;
  return there ? Surplus::by_comparison : Surplus::or_older;
}

// Has the source less than this copy got from it, or is it another database?
Result<bool> Comeback::gone_back(const std::string& residency, const Copy& copy) const {
  const auto address = setup_.store.peers.find(copy.source);
  if (!copy.position || address == setup_.store.peers.end()) return false;
  const auto source = TRY(postgres::links::identify(address->second, setup_.store.deadline));
  const auto why = postgres::links::history_difference(*copy.position, source);
  if (!why.empty())
    setup_.log.warn("comeback.source", why, {{Field::residency, residency}, {Field::from, copy.source}});
  return !why.empty();
}

Result<Comeback::Surplus> Comeback::keep_by_log(const std::string& residency, const Copy& copy,
                                                const Record& record) const {
  auto connection = TRY(postgres::open_session(setup_.store, "domicile-salvage"));
  const Sql sql(connection);
  if (TRY(postgres::salvage_kept(sql, residency, copy.epoch))) return Surplus::none;
  const auto handover = authority::handover_of(copy, record);
  const auto here = TRY(postgres::links::own_position(sql));
  const auto held = TRY(postgres::make_store(setup_.store)->held(residency));
  SalvageRun run{residency, copy.epoch, handover ? handover->to : ""};
  const auto at = handover ? handover->at : std::nullopt;
  if (at && at->comparable_with(here)) run.base = at->lsn;
  run.upto = here.lsn;
  const auto disk = authority::own_disk(copy, handover, here, held.marker);
  run.lost = disk.lost;
  if (!held.marker) {
    run.note = "the database here is empty: nothing of the residency was ever written to it";
    CHECK_OK(keep(sql, run, {}, record.owner));
    return Surplus::none;
  }

  // The slot to the next owner holds just what that one never got: it may stand behind `base` where nothing of the
  // residency lay between. Any other holds as much where its receiver got no further.
  std::vector<replication::LinkName> links;
  for (const auto& link : residency::links_of(*setup_.store.topology))
    if (link.residency == residency && link.from == setup_.config->region)
      links.insert(link.to == run.next_owner ? links.begin() : links.end(), {link.residency, link.from, link.to});
  for (const auto& name : links) {
    const auto link = postgres::link_spec(*setup_.store.topology, name);
    if (name.to != run.next_owner && !TRY(postgres::links::slot_reaches_back(sql, link, run.base))) continue;
    const auto found = postgres::surplus_of(sql, link, run.base);
    if (!found && found.error().kind != Kind::unavailable) return tl::unexpected<Error>(found.error());
    if (!found) continue;
    run.transactions = static_cast<std::int64_t>(found->transactions);
    CHECK_OK(keep(sql, run, salvage::condense(found->changes), record.owner));
    return Surplus::none;
  }
  return disk.whole ? Surplus::by_comparison : Surplus::or_older;
}

Result<void> Comeback::keep(const Sql& sql, const SalvageRun& run, const std::vector<salvage::Entry>& found,
                            const std::string& owner, bool doubtful) const {
  std::vector<salvage::Entry> entries;
  std::vector<postgres::Since> since;
  if (!found.empty()) {
    const auto told = TRY(
        setup_.peers->call(owner, "POST", "/v1/salvage/since", since_question(run.residency, found), kSinceTakeover));
    const auto answers = TRY(since_answer(told, found.size()));
    for (std::size_t i = 0; i < found.size(); ++i) {
      // What is not here because it was made there since was never removed here.
      if (found[i].net == salvage::Net::removed && answers[i].made) continue;
      entries.push_back(found[i]);
      since.push_back(answers[i]);
      if (doubtful) since.back().changed = true;
    }
  }
  CHECK_OK(postgres::keep_salvage(sql, run, entries, since));
  setup_.events->add("salvage.kept",
                     fmt::format("{} rows that nobody else has are kept{}{}", entries.size(),
                                 run.lost.empty() ? "" : "; lost: ", run.lost),
                     run.residency, run.epoch);
  return {};
}

// No log tells what this copy alone was told: what differs from the owner's rows is kept as it is here. Of a row that
// the owner changed since, this may be no more than its older state: then it is a conflict, and a person decides.
Result<void> Comeback::keep_differing(const std::string& residency, const Copy& copy, const Record& record,
                                      Surplus surplus,
                                      const std::vector<postgres::links::DifferingRows>& tables) const {
  auto connection = TRY(postgres::open_session(setup_.store, "domicile-salvage"));
  const Sql sql(connection);
  if (TRY(postgres::salvage_kept(sql, residency, copy.epoch))) return {};
  const auto handover = authority::handover_of(copy, record);
  SalvageRun run{residency, copy.epoch, handover ? handover->to : record.owner};
  const auto here = TRY(postgres::links::own_position(sql));
  const bool owned = copy.source == setup_.config->region;
  run.upto = owned ? here.lsn : copy.position ? copy.position->lsn : 0;
  if (owned) {
    const auto held = TRY(postgres::make_store(setup_.store)->held(residency));
    run.lost = authority::own_disk(copy, handover, here, held.marker).lost;
  }
  const bool doubtful = surplus == Surplus::or_older;
  run.note = fmt::format("no slot has kept the log: found by comparing rows with the owner's{}",
                         doubtful ? "; this database may be older than they are, so that each is a conflict" : "");
  std::vector<salvage::Entry> entries;
  for (const auto& table : tables) {
    if (table.table.qualified() == residency::marker_table().qualified()) continue;
    for (const auto& row : table.rows) {
      if (!row.ours && !run.lost.empty()) continue;  // an older disk lacks what came later: nobody removed it here
      const auto net = !row.ours ? salvage::Net::removed : row.theirs ? salvage::Net::updated : salvage::Net::inserted;
      salvage::Entry entry{{table.table.qualified(), {}}, net};
      for (std::size_t i = 0; i < table.key_columns.size(); ++i) entry.key.columns[table.key_columns[i]] = row.key[i];
      for (std::size_t i = 0; row.ours && i < table.table.columns.size(); ++i)
        entry.row[table.table.columns[i]] = (*row.ours)[i];
      entry.first = entry.last = run.upto;
      entry.changes = 1;
      entries.push_back(std::move(entry));
    }
  }
  return keep(sql, run, entries, record.owner, doubtful);
}

Result<void> Comeback::repair(const std::string& residency, const Copy& copy, const Record& record,
                              Surplus surplus) const {
  const Micros begun = monotonic_now();
  // Where rows are compared their log is of no use; else what they held is kept. From here on they are those of a
  // region that may own it again.
  CHECK_OK(postgres::make_store(setup_.store)->withdraw_slots(residency));
  postgres::links::RepairOptions options;
  options.before_whole = [&](const std::string& why) -> Result<void> {
    setup_.events->add("copy.whole", why + ": everything is deleted here and copied anew", residency, record.epoch);
    return {};
  };
  if (surplus != Surplus::none)
    options.before_change = [&](const std::vector<postgres::links::DifferingRows>& tables) {
      return keep_differing(residency, copy, record, surplus, tables);
    };
  const auto brought = TRY(repair_copy(*setup_.config, setup_.store, {residency, record.owner, setup_.config->region},
                                       setup_.log, std::move(options)));
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
