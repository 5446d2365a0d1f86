#include "engines/postgres/store/store.hpp"

#include <algorithm>
#include <charconv>

#include "base/json.hpp"
#include "engines/postgres/links/copy.hpp"
#include "engines/postgres/links/health.hpp"
#include "engines/postgres/links/marker.hpp"
#include "engines/postgres/links/position.hpp"
#include "engines/postgres/links/slots.hpp"
#include "engines/postgres/links/subscription.hpp"

namespace domicile::postgres {

using authority::Epoch;
using authority::Marker;
using authority::Position;
using links::LinkSpec;
using replication::CopyHealth;
using replication::Fence;
using replication::GuardState;
using replication::Holder;
using replication::LinkName;
using replication::ReceiverProgress;
using replication::StoreClock;

namespace {

std::int64_t integer_of(const links::Cell& cell) {
  std::int64_t value = 0;
  if (cell) std::from_chars(cell->data(), cell->data() + cell->size(), value);
  return value;
}

// {1,2,3}
std::vector<int> integers_of(const std::string& array) {
  std::vector<int> out;
  const char* at = array.data() + 1;
  const char* end = array.data() + array.size();
  while (at < end) {
    int value = 0;
    const auto [next, error] = std::from_chars(at, end, value);
    if (error != std::errc{}) break;
    out.push_back(value);
    at = next + 1;
  }
  return out;
}

std::vector<Holder> holders_of(const links::Table& rows) {
  std::vector<Holder> out;
  for (const auto& row : rows)
    out.push_back({static_cast<int>(integer_of(row[0])), integer_of(row[1]) * kMillisecond, row[2].value_or("")});
  return out;
}

class PostgresStore final : public replication::Store {
 public:
  explicit PostgresStore(StoreSettings settings) : settings_(std::move(settings)) {}

  Result<StoreClock> clock() override {
    return with<StoreClock>([&](const links::Sql& sql) -> Result<StoreClock> {
      const auto rows = TRY(sql.query("SELECT clock_id, now_us, wall_us FROM domicile.clock()"));
      return StoreClock{rows.at(0).at(0).value_or(""), integer_of(rows[0][1]), integer_of(rows[0][2])};
    });
  }

  Result<void> lease_set(const std::string& residency, Epoch epoch, Micros end, const std::string& clock_id) override {
    return call("SELECT domicile.lease_set($1, $2, $3, $4)",
                {residency, std::to_string(epoch), std::to_string(end), clock_id});
  }

  Result<Fence> fence(const std::string& residency, Epoch epoch, const std::string& switch_id,
                      Micros lock_timeout) override {
    return with<Fence>([&](const links::Sql& sql) -> Result<Fence> {
      const auto rows =
          TRY(sql.query("SELECT fenced, lsn, holders FROM domicile.lease_fence($1, $2, $3, $4)",
                        {residency, std::to_string(epoch), switch_id, std::to_string(lock_timeout / kMillisecond)}));
      Fence fence;
      fence.fenced = rows.at(0).at(0) == "t";
      if (!fence.fenced) {
        fence.holders = integers_of(rows[0][2].value_or("{}"));
        return fence;
      }
      fence.position = TRY(links::identity_of(sql));
      const auto lsn = authority::lsn_of(rows[0][1].value_or(""));
      if (!lsn) return fail(Kind::corrupt, "the guard's fence has no log position");
      fence.position.lsn = *lsn;
      // Only a commit that the link carries moves a receiver's position: without one behind the fence nobody could ever
      // prove to have reached it.
      TRY(links::commit_marker(sql, residency, epoch,
                               TRY(links::sequence_values(sql, tables_of(residency, topology::Form::full)))));
      return fence;
    });
  }

  Result<void> close(const std::string& residency, Epoch epoch) override {
    return call("SELECT domicile.lease_close($1, $2)", {residency, std::to_string(epoch)});
  }

  Result<std::vector<GuardState>> guard_state() override {
    return with<std::vector<GuardState>>([&](const links::Sql& sql) -> Result<std::vector<GuardState>> {
      std::vector<GuardState> states;
      for (const auto& row :
           TRY(sql.query("SELECT residency, epoch, state, end_us, clock_id, switch_id FROM domicile.guard_state()")))
        states.push_back({row[0].value_or(""), integer_of(row[1]), row[2].value_or(""), integer_of(row[3]),
                          row[4].value_or(""), row[5].value_or("")});
      return states;
    });
  }

  Result<std::vector<Holder>> open_writers(Micros min_age) override {
    return with<std::vector<Holder>>([&](const links::Sql& sql) -> Result<std::vector<Holder>> {
      return holders_of(TRY(sql.query("SELECT pid, age_ms, role FROM domicile.open_writers($1)",
                                      {std::to_string(min_age / kMillisecond)})));
    });
  }

  Result<std::vector<Holder>> end_writers(const std::vector<int>& pids) override {
    std::string array;
    for (const int pid : pids) array += (array.empty() ? "" : ",") + std::to_string(pid);
    return with<std::vector<Holder>>([&](const links::Sql& sql) -> Result<std::vector<Holder>> {
      return holders_of(TRY(sql.query("SELECT pid, age_ms, role FROM domicile.end_writers($1)", {"{" + array + "}"})));
    });
  }

  Result<replication::Fingerprints> fingerprints(const LinkName& link) override {
    return with<replication::Fingerprints>([&](const links::Sql& sql) -> Result<replication::Fingerprints> {
      return links::fingerprints(sql, link_spec(*settings_.topology, link));
    });
  }

  Result<void> pulse() override {
    return call(
        R"(INSERT INTO domicile.pulse ("only", at) VALUES (true, pg_catalog.now()) ON CONFLICT ("only") DO UPDATE SET at = EXCLUDED.at)",
        {});
  }

  Result<Marker> commit_marker(const std::string& residency, Epoch epoch) override {
    return with<Marker>([&](const links::Sql& sql) -> Result<Marker> {
      const auto sequences = TRY(links::sequence_values(sql, tables_of(residency, topology::Form::full)));
      return links::commit_marker(sql, residency, epoch, sequences);
    });
  }

  Result<replication::Held> held(const std::string& residency) override {
    return with<replication::Held>([&](const links::Sql& sql) -> Result<replication::Held> {
      replication::Held held{{}, TRY(links::identity_of(sql))};
      if (const auto marker = TRY(links::applied_marker(sql, residency))) held.marker = marker->marker;
      held.at.lsn = held.marker ? held.marker->lsn : 0;
      return held;
    });
  }

  Result<CopyHealth> copy_health(const LinkName& inbound) override {
    return with<CopyHealth>([&](const links::Sql& sql) -> Result<CopyHealth> {
      const LinkSpec link = link_spec(*settings_.topology, inbound);
      CopyHealth health;
      const auto no_slot = TRY(missing_reverse_slot(sql, inbound.residency));
      health.complete = TRY(links::copy_complete(sql, link)) && no_slot.empty();
      const auto applied = TRY(links::applied_marker(sql, inbound.residency));
      if (applied) health.applied = applied->marker;
      if (const auto position = links::applied_position(sql, link)) health.position = *position;
      const auto state = TRY(links::subscription_health(sql, link, std::nullopt));
      health.streaming = state.state == links::Health::State::healthy;
      health.disabled = state.state == links::Health::State::disabled;
      health.resync = state.state == links::Health::State::resync;
      if (state.state == links::Health::State::failed || health.resync)
        health.trouble = state.reason;
      else if (health.streaming && !no_slot.empty())
        health.trouble = "slot " + no_slot + " is missing or has lost its log: this region could not open";
      return health;
    });
  }

  Result<void> compare_with_source(const LinkName& inbound) override {
    return with<void>([&](const links::Sql& sql) -> Result<void> {
      const LinkSpec link = link_spec(*settings_.topology, inbound);
      const auto peer = settings_.peers.find(inbound.from);
      if (peer == settings_.peers.end())
        return fail(Kind::invalid_input, "no address of " + inbound.from + " for links");
      // What is applied comes first: the source goes on between the two questions, and only forwards.
      const auto applied = links::applied_position(sql, link);
      if (!applied) return {};
      const auto source = TRY(links::identify(peer->second, settings_.deadline));
      const auto why = links::history_difference(*applied, source);
      return why.empty() ? Result<void>() : links::mark_resync(sql, link, why);
    });
  }

  Result<void> mark_resync(const LinkName& inbound, const std::string& why) override {
    return with<void>([&](const links::Sql& sql) -> Result<void> {
      return links::mark_resync(sql, link_spec(*settings_.topology, inbound), why);
    });
  }

  Result<Position> stop_inbound(const LinkName& inbound, bool fence_known) override {
    return with<Position>([&](const links::Sql& sql) -> Result<Position> {
      return TRY(links::disable_inbound(sql, link_spec(*settings_.topology, inbound), fence_known)).position;
    });
  }

  Result<void> follow(const LinkName& inbound, bool has_all) override {
    return with<void>([&](const links::Sql& sql) -> Result<void> {
      const LinkSpec link = link_spec(*settings_.topology, inbound);
      const auto peer = settings_.peers.find(inbound.from);
      if (peer == settings_.peers.end())
        return fail(Kind::invalid_input, "no address of " + inbound.from + " for links");
      CHECK_OK(links::ensure_subscription(sql, link, peer->second));
      if (has_all) {
        // Nothing of the source's own numbering is applied yet: its zero is the safe side.
        Position begin = TRY(links::identify(peer->second + " replication=database"));
        begin.lsn = 0;
        CHECK_OK(links::journal_without_copy(sql, link, begin));
      }
      return links::enable_subscription(sql, link);
    });
  }

  Result<std::vector<ReceiverProgress>> receivers(const std::string& residency, const Position& position) override {
    return with<std::vector<ReceiverProgress>>([&](const links::Sql& sql) -> Result<std::vector<ReceiverProgress>> {
      const auto names = outbound(residency);
      std::vector<LinkSpec> specs;
      for (const auto& name : names) specs.push_back(link_spec(*settings_.topology, name));
      std::vector<ReceiverProgress> out;
      for (const auto& progress : TRY(links::receivers_have(sql, specs, position, 0)))
        for (std::size_t i = 0; i < names.size(); ++i)
          // A receiver that rows were kept from has confirmed the position and still has not everything.
          if (specs[i].name == progress.link)
            out.push_back(
                {names[i].to, progress.live, progress.has && TRY(lost_to_receiver_of(sql, specs[i])).empty()});
      return out;
    });
  }

  Result<std::string> lost_to_receiver(const LinkName& outbound) override {
    return with<std::string>([&](const links::Sql& sql) -> Result<std::string> {
      return lost_to_receiver_of(sql, link_spec(*settings_.topology, outbound));
    });
  }

  Result<void> give_up_slot(const LinkName& outbound, const std::string& why) override {
    return with<void>([&](const links::Sql& sql) -> Result<void> {
      return links::give_up_slot(sql, link_spec(*settings_.topology, outbound), why);
    });
  }

  Result<void> keep_reverse_slots(const std::string& residency) override {
    return with<void>([&](const links::Sql& sql) -> Result<void> {
      for (const auto& name : outbound(residency)) {
        const LinkSpec link = link_spec(*settings_.topology, name);
        TRY(links::ensure_reverse_slot(settings_.database, link));
        TRY(links::advance_reverse_slot(sql, link));
      }
      return {};
    });
  }

  Result<void> open_slots(const std::string& residency) override {
    return with<void>([&](const links::Sql& sql) -> Result<void> {
      std::vector<LinkSpec> specs;
      for (const auto& name : outbound(residency)) specs.push_back(link_spec(*settings_.topology, name));
      TRY(links::open_reverse_slots(sql, specs));
      return {};
    });
  }

  Result<void> return_slots(const std::string& residency, const Position& fence,
                            const std::string& new_owner) override {
    return with<void>([&](const links::Sql& sql) -> Result<void> {
      auto names = outbound(residency);
      std::ranges::stable_partition(names, [&](const LinkName& name) { return name.to == new_owner; });
      for (const auto& name : names) {
        const LinkSpec link = link_spec(*settings_.topology, name);
        const auto returned = links::return_to_reverse(sql, link, fence);
        if (returned) continue;
        if (name.to == new_owner || returned.error().kind != Kind::unsafe) return returned;
        CHECK_OK(links::abandon_receiver(sql, link));
      }
      // Whoever still streams from here would get the new owner's rows as well, since apply writes them to this log
      // too. The gate lets nobody begin any more; this waits until those that have begun are gone.
      for (const auto& name : names)
        CHECK_OK(
            sql.query("SELECT pg_catalog.pg_terminate_backend(active_pid, $2) FROM pg_catalog.pg_replication_slots "
                      "WHERE slot_name = $1 AND active_pid IS NOT NULL",
                      {residency::link_name(name.residency, name.from, name.to), "2000"}));
      return {};
    });
  }

  Result<void> withdraw_slots(const std::string& residency) override {
    return with<void>([&](const links::Sql& sql) -> Result<void> {
      std::vector<LinkSpec> specs;
      for (const auto& name : outbound(residency)) specs.push_back(link_spec(*settings_.topology, name));
      return links::withdraw_reverse_slots(sql, specs);
    });
  }

  Result<void> advance_sequences(const LinkName& inbound, const std::string& switch_id, Micros gap) override {
    return with<void>([&](const links::Sql& sql) -> Result<void> {
      const LinkSpec link = link_spec(*settings_.topology, inbound);
      TRY(links::advance_sequences(sql, link, switch_id, links::sequence_margin({0, gap})));
      return {};
    });
  }

 private:
  std::vector<links::MappedTable> tables_of(const std::string& residency, topology::Form form) const {
    return residency::carried_tables(*settings_.topology, residency, form);
  }

  std::vector<LinkName> outbound(const std::string& residency) const {
    std::vector<LinkName> names;
    for (const auto& link : residency::links_of(*settings_.topology))
      if (link.residency == residency && link.from == settings_.region)
        names.push_back({link.residency, link.from, link.to});
    return names;
  }

  // Without them this region could be made the owner and never open: making one waits for every open transaction, and
  // one that has lost its log cannot be moved. The first that is not as it should be, or empty.
  Result<std::string> missing_reverse_slot(const links::Sql& sql, const std::string& residency) const {
    for (const auto& name : outbound(residency)) {
      const auto slot = residency::link_name(name.residency, name.from, name.to);
      const auto slots = TRY(sql.query(
          "SELECT 1 FROM pg_catalog.pg_replication_slots WHERE slot_name = $1 AND wal_status <> 'lost'", {slot}));
      if (slots.empty()) return slot;
    }
    return std::string();
  }

  static Result<std::string> lost_to_receiver_of(const links::Sql& sql, const LinkSpec& link) {
    // A reverse slot holds nothing that anybody misses, and is made anew.
    const auto journal = TRY(links::read_link_journal(sql, link.name, true));
    if (!journal || journal->state != "ready") return std::string();
    const auto state = TRY(links::slot_health(sql, link));
    return state.state == links::Health::State::resync ? state.reason : std::string();
  }

  // A session that answered an error of the connection is not used again.
  template <class T, class Work>
  Result<T> with(Work work) {
    if (!connection_ || !connection_->alive()) connection_ = TRY(open());
    auto result = work(links::Sql(*connection_));
    if (!result && (!connection_->alive() || sqlstate_of(result.error()).empty())) connection_.reset();
    return result;
  }

  Result<Connection> open() { return open_session(settings_, "domicile-agent"); }

  Result<void> call(const std::string& text, const std::vector<links::Cell>& parameters) {
    return with<void>([&](const links::Sql& sql) -> Result<void> {
      TRY(sql.query(text, parameters));
      return {};
    });
  }

  StoreSettings settings_;
  std::optional<Connection> connection_;
};

}  // namespace

LinkSpec link_spec(const topology::Topology& topology, const LinkName& name) {
  LinkSpec link{name.residency, name.from, name.to, residency::link_name(name.residency, name.from, name.to), {}};
  const auto* residency = topology::residency_of(topology, name.residency);
  if (residency != nullptr)
    link.tables = residency::carried_tables(topology, name.residency, topology::form_at(topology, *residency, name.to));
  return link;
}

std::unique_ptr<replication::Store> make_store(StoreSettings settings) {
  return std::make_unique<PostgresStore>(std::move(settings));
}

Result<Connection> open_session(const StoreSettings& settings, const char* application_name) {
  OpenOptions options;
  options.connect_timeout = settings.deadline;
  options.statement_timeout = settings.deadline * 4;
  options.application_name = application_name;
  auto connection = TRY(Connection::open(settings.database, options));
  // Durable here. What an agent writes never waits for a standby: the loss of one would look like the loss of this
  // database, and a switch that is to end the wait would stand behind it. Guarded rows wait all the same, by the guard.
  CHECK_OK(connection.exec("SET synchronous_commit = local"));
  return connection;
}

}  // namespace domicile::postgres
