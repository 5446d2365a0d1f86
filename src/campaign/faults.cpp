#include "campaign/faults.hpp"

#include <algorithm>

namespace domicile::campaign {
namespace {

using history::Deed;

Result<std::vector<std::string>> sites_of(const drill::Field& field) {
  std::vector<std::string> sites;
  const Json status = TRY(field.lab_status());
  for (const Json& site : TRY(member<Json>(status, "sites"))) sites.push_back(TRY(member<std::string>(site, "site")));
  return sites;
}

Result<void> lab(const drill::Field& field, const char* verb, const Json& body) {
  (void)TRY(field.lab(verb, body));
  return {};
}

// Cut or healed from all other sites, and with `clients` from those as well.
Result<void> around(const drill::Field& field, const char* verb, const std::string& site, bool clients) {
  auto others = TRY(sites_of(field));
  if (clients) others.emplace_back(lab::kHost);
  for (const std::string& other : others)
    if (other != site) CHECK_OK(lab(field, verb, {{"from", site}, {"to", other}}));
  return {};
}

Result<void> order_switch(const drill::Field& field, const std::string& residency) {
  const std::string to = TRY(drill::other_owner(field, residency));
  const std::string owner = TRY(drill::owner_of(field, residency)).owner;
  (void)TRY(field.agent(owner, "POST", "/v1/switch", {{"residency", residency}, {"to", to}, {"reason", "campaign"}},
                        3 * kSecond));
  return {};
}

Result<void> inflict(const drill::Field& field, const Fault& fault) {
  const Json site{{"site", fault.site}}, pair{{"from", fault.site}, {"to", fault.other}};
  Json more = pair;
  switch (fault.kind) {
    case FaultKind::kill_site:
      return lab(field, "kill", site);
    case FaultKind::pause_site:
      return lab(field, "pause", site);
    case FaultKind::isolate:
    case FaultKind::isolate_all:
      return around(field, "cut", fault.site, fault.kind == FaultKind::isolate_all);
    case FaultKind::kill_program:
    case FaultKind::agent_restart:
    case FaultKind::etcd_loss:
      return lab(field, "kill-program", {{"site", fault.site}, {"program", fault.other}});
    case FaultKind::pause_program:
      return lab(field, "pause-program", {{"site", fault.site}, {"program", fault.other}});
    case FaultKind::cut:
      return lab(field, "cut", pair);
    case FaultKind::cut_one_way:
      more["one_way"] = true;
      return lab(field, "cut", more);
    case FaultKind::flap:
      more["period_ms"] = fault.figure;
      return lab(field, "flap", more);
    case FaultKind::slow:
      more["bytes_per_s"] = fault.figure;
      return lab(field, "slow", more);
    case FaultKind::full_disk:
      return lab(field, "disk", {{"site", fault.site}, {"full", true}});
    case FaultKind::clock_step:
      return lab(field, "clock", {{"site", fault.site}, {"off_us", fault.figure}});
    case FaultKind::planned_switch:
      return order_switch(field, fault.site);
  }
  return {};
}

Result<void> mend(const drill::Field& field, const Fault& fault) {
  const Json site{{"site", fault.site}}, pair{{"from", fault.site}, {"to", fault.other}};
  switch (fault.kind) {
    case FaultKind::kill_site:
    case FaultKind::kill_program:
    case FaultKind::agent_restart:
    case FaultKind::etcd_loss:
      return lab(field, "start", site);
    case FaultKind::pause_site:
      return lab(field, "resume", site);
    case FaultKind::isolate:
    case FaultKind::isolate_all:
      return around(field, "heal", fault.site, true);
    case FaultKind::pause_program:
      return lab(field, "resume-program", {{"site", fault.site}, {"program", fault.other}});
    case FaultKind::cut:
    case FaultKind::cut_one_way:
    case FaultKind::flap:
    case FaultKind::slow:
      return lab(field, "heal", pair);
    case FaultKind::full_disk:
      CHECK_OK(lab(field, "disk", {{"site", fault.site}, {"full", false}}));
      return lab(field, "start", site);  // what ended itself for want of room
    case FaultKind::clock_step:
      return lab(field, "clock", {{"site", fault.site}, {"off_us", 0}});
    case FaultKind::planned_switch:
      return {};
  }
  return {};
}

}  // namespace

Faults::Faults(const drill::Field& field, std::vector<Fault> schedule, Recorder& recorder, const drill::Talk& talk)
    : field_(field), schedule_(std::move(schedule)), recorder_(recorder), talk_(talk) {
  thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
}

Faults::~Faults() { stop(); }

void Faults::stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
  (void)undo_everything(field_);
}

void Faults::run(const std::stop_token& stop) {
  struct Moment {
    Micros at;
    const Fault* fault;
    bool ends;
  };
  std::vector<Moment> moments;
  for (const Fault& fault : schedule_) {
    moments.push_back({fault.at, &fault, false});
    if (fault.length > 0) moments.push_back({fault.at + fault.length, &fault, true});
  }
  std::ranges::stable_sort(moments, {}, &Moment::at);
  const Micros begun = monotonic_now();
  std::unique_lock lock(mutex_);
  for (const Moment& moment : moments) {
    const auto rest = std::chrono::microseconds(std::max<Micros>(begun + moment.at - monotonic_now(), 0));
    wake_.wait_for(lock, stop, rest, [] { return false; });
    if (stop.stop_requested()) return;
    if (moment.ends)
      end(*moment.fault);
    else
      begin(*moment.fault);
  }
}

void Faults::begin(const Fault& fault) { record(Deed::fault, fault, inflict(field_, fault)); }

void Faults::end(const Fault& fault) { record(Deed::undo, fault, mend(field_, fault)); }

void Faults::record(Deed deed, const Fault& fault, const Result<void>& done) {
  std::string note = text_of(fault);
  if (!done) note += ": not done, " + done.error().what;
  if (!done && deed == Deed::fault) deed = Deed::missed;
  recorder_.note(deed, "", "", {}, fault.site, 0, note);
  talk_((deed == Deed::undo ? "over: " : "") + note);
}

Result<void> undo_everything(const drill::Field& field) {
  Result<void> all;
  const auto note = [&all](const Result<void>& done) {
    if (!done && all) all = done;
  };
  note(lab(field, "heal", Json::object()));
  const auto sites = TRY(sites_of(field));
  for (const std::string& site : sites) {
    note(lab(field, "disk", {{"site", site}, {"full", false}}));
    note(lab(field, "clock", {{"site", site}, {"off_us", 0}}));
    note(lab(field, "resume", {{"site", site}}));
    note(lab(field, "start", {{"site", site}}));
  }
  return all;
}

}  // namespace domicile::campaign
