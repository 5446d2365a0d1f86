#include "agent/precheck.hpp"

#include <thread>

#include "engines/postgres/links/health.hpp"

namespace domicile::agent {
namespace {

constexpr Micros kLong = 2 * kSecond;  // a transaction that is open for so long may hold the fence past its timeout
constexpr Micros kAsk = 2 * kSecond;

authority::TargetCopy unknown(const std::string& why) {
  authority::TargetCopy target;
  target.unknown = why;
  return target;
}

// Both ends' tables of the link, as the ends themselves see them now.
Result<std::string> schema_difference(const PrecheckSetup& setup, replication::Store& store,
                                      const std::string& residency, const std::string& to) {
  const auto owner = TRY(store.fingerprints({residency, setup.region, to}));
  const Json answer = TRY(setup.peers->call(
      to, "GET", fmt::format("/v1/schemas/{}?from={}&to={}", residency, setup.region, to), Json(), kAsk));
  postgres::links::Fingerprints there;
  for (const auto& [table, print] : answer.items())
    if (print.is_string()) there[table] = print.get<std::string>();
  return postgres::links::schema_difference(owner, there);
}

authority::TargetCopy ask(const PrecheckSetup& setup, replication::Store& store, const std::string& residency,
                          const std::string& to) {
  auto target = ask_copy(*setup.peers, to, residency);
  if (!target.unknown.empty()) return target;
  const auto difference = schema_difference(setup, store, residency, to);
  if (!difference) return unknown("the schemas cannot be compared: " + one_line(difference.error()));
  target.schema_differs = *difference;
  return target;
}

}  // namespace

authority::TargetCopy ask_copy(Peers& peers, const std::string& site, const std::string& residency) {
  const auto answer = peers.call(site, "GET", "/v1/copies/" + residency, Json(), kAsk);
  if (!answer) return unknown(one_line(answer.error()));
  authority::TargetCopy target;
  const auto state = authority::copy_state_of(member_or<std::string>(*answer, "state", "").value_or(""));
  if (!state) return unknown("its agent tells a state that this version does not know");
  target.copy.state = *state;
  target.copy.source = member_or<std::string>(*answer, "source", "").value_or("");
  target.copy.epoch = member_or<authority::Epoch>(*answer, "epoch", 0).value_or(0);
  target.copy.why = member_or<std::string>(*answer, "why", "").value_or("");
  target.complete = member_or<bool>(*answer, "complete", false).value_or(false);
  target.trouble = member_or<std::string>(*answer, "trouble", "").value_or("");
  target.salvage_open = member_or<std::int64_t>(*answer, "salvage_open", 0).value_or(0);
  if (const auto lag = member<std::int64_t>(*answer, "lag_ms")) target.lag = *lag * kMillisecond;
  return target;
}

Result<std::vector<std::string>> precheck_switch(const PrecheckSetup& setup, const authority::Rules& rules,
                                                 const authority::Record& record, const std::string& to, bool terminate,
                                                 Micros patience) {
  if (!setup.make_store) return fail(Kind::invalid_input, "a voter owns nothing");
  const auto store = setup.make_store();
  const auto holders = TRY(store->open_writers(kLong));
  for (const Micros deadline = monotonic_now() + patience;;) {
    auto judged = authority::precheck({rules, record, to, ask(setup, *store, rules.residency, to), holders, terminate});
    if (judged || monotonic_now() >= deadline) return judged;
    std::this_thread::sleep_for(std::chrono::milliseconds(150));
  }
}

}  // namespace domicile::agent
