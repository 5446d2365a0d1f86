#include "agent/return_loop.hpp"

namespace domicile::agent {

using authority::Copy;

namespace {
constexpr Micros kPeriod = kSecond;
constexpr Micros kAsk = 2 * kSecond;
constexpr const char* kWho = "domicile";  // in the place of a person's name
}  // namespace

void ReturnLoop::trouble(const std::string& residency, const char* doing, const Error& error) {
  std::string text = one_line(error);
  std::string& last = troubles_[residency + doing];
  if (text != last) setup_.log.warn("return.trouble", doing, {{Field::residency, residency}, {Field::reason, text}});
  last = std::move(text);
}

// Only rows that the owner has never seen. What it refuses, or what changed since, is left to a person.
void ReturnLoop::reapply(const topology::Residency& residency) {
  const auto seen = setup_.residencies.at(residency.name)->seen().get();
  if (!seen->record || seen->record->value.mode != authority::Mode::serving ||
      seen->record->value.owner == setup_.region || seen->copy.state != Copy::State::following)
    return;
  const auto applied =
      setup_.salvage->reapply_inserts(residency.name, offered_[residency.name], kWho,
                                      "the topology lets salvaged inserts without conflict be written by themselves");
  if (!applied) trouble(residency.name, "salvaged inserts could not be written at the owner", applied.error());
}

authority::HomeSeen ReturnLoop::look_home(const authority::Rules& rules) const {
  authority::HomeSeen seen;
  seen.copy = ask_copy(*setup_.precheck.peers, rules.home, rules.residency);
  if (!seen.copy.unknown.empty()) return seen;
  const auto told = setup_.precheck.peers->call(rules.home, "GET", "/v1/salvage", Json(), kAsk);
  if (!told || !told->contains("runs")) return seen;
  std::int64_t open = 0;
  for (const Json& run : (*told)["runs"]) {
    const auto of = member<std::string>(run, "residency");
    const auto count = member<std::int64_t>(run, "open");
    if (!of || !count) return seen;
    if (*of == rules.residency) open += *count;
  }
  seen.salvage_open = open;
  return seen;
}

void ReturnLoop::go_home(ResidencyLoop& loop) {
  const auto& rules = loop.rules();
  SwitchOrder order;
  order.to = rules.home;
  order.switch_id = fresh_switch_id();
  order.by = kWho;
  order.reason = fmt::format("failback: its home has been fit for {} s", rules.failback.value_or(0) / kSecond);
  const auto ordered = order_switch(loop, setup_.precheck, order, 0);
  // Whatever stood against it may have come up just now: the quiet time begins anew.
  fit_since_.erase(rules.residency);
  if (!ordered) trouble(rules.residency, "the switch home was not begun", ordered.error());
}

void ReturnLoop::tend_home(ResidencyLoop& loop) {
  const auto& rules = loop.rules();
  const auto seen = loop.seen().get();
  auto board = *board_.get();
  if (!seen->record || !authority::away_from_home(rules, seen->record->value, setup_.region)) {
    fit_since_.erase(rules.residency);
    if (board.erase(rules.residency) != 0) board_.set(std::move(board));
    return;
  }
  const auto known = fit_since_.find(rules.residency);
  const auto fit_since = known == fit_since_.end() ? std::nullopt : std::optional(known->second);
  const auto way = authority::homeward({rules, seen->record->value, look_home(rules), fit_since, monotonic_now()});
  if (way.fit_since)
    fit_since_[rules.residency] = *way.fit_since;
  else
    fit_since_.erase(rules.residency);
  if (std::string& why = board[rules.residency]; why != way.why) {
    why = way.why;
    board_.set(std::move(board));
  }
  if (way.go) go_home(loop);
}

void ReturnLoop::run(const std::stop_token& stop) {
  Bell clock;
  while (!stop.stop_requested()) {
    life_.begin_pass();
    for (const auto& residency : setup_.topology->residencies) {
      if (residency.reapply == topology::Reapply::inserts && topology::may_own(residency, setup_.region))
        reapply(residency);
      life_.alive();
      if (residency.failback == topology::Failback::automatic) tend_home(*setup_.residencies.at(residency.name));
      life_.alive();
    }
    clock.wait(0, monotonic_now() + kPeriod);
  }
}

}  // namespace domicile::agent
