#include "drill/drills.hpp"

#include <signal.h>

#include <thread>

namespace domicile::drill {
namespace {

constexpr auto kLook = std::chrono::milliseconds(50);

void rest(Micros length) { std::this_thread::sleep_for(std::chrono::microseconds(length)); }

void append(std::vector<Write>& to, std::vector<Write> more) {
  to.insert(to.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
}

std::string tally(const std::vector<Write>& writes) {
  std::map<int, int> by_status;
  for (const Write& write : writes)
    if (write.outcome != Outcome::acknowledged) ++by_status[write.status];
  std::string out;
  for (const auto& [status, number] : by_status)
    out += fmt::format(" {} x {}", number, status == 0 ? "no answer" : std::to_string(status));
  return out.empty() ? " none" : out;
}

// Waits until `residency` is served by `owner` (any but `not_of` when empty), as the agents beside `not_of` see it.
Result<Authority> await_serving(const Field& field, const std::string& residency, const std::string& owner,
                                const std::string& not_of, Micros patience) {
  std::string last = "no agent answers";
  for (const Micros deadline = monotonic_now() + patience; monotonic_now() < deadline;
       std::this_thread::sleep_for(kLook)) {
    const auto seen = owner_of(field, residency, not_of);
    if (!seen) {
      last = seen.error().what;
      continue;
    }
    last = fmt::format("{} is {} by {} at epoch {}", residency, seen->mode, seen->owner, seen->epoch);
    const bool wanted = owner.empty() ? seen->owner != not_of : seen->owner == owner;
    if (wanted && seen->mode == "serving") return *seen;
  }
  return fail(Kind::unavailable, fmt::format("{} is not served after {} s: {}", residency, patience / kSecond, last));
}

// The whole of it; how long it took.
Result<Micros> give_back(const Field& field, const std::string& kind, const std::string& region, Micros patience) {
  const Micros begun = monotonic_now();
  CHECK_OK(end_fault(field, kind, region));
  CHECK_OK(await_return(field, region, patience));
  return monotonic_now() - begun;
}

// The first trouble is the one that tells.
void trouble(RunResult& run, const Error& error) {
  if (run.trouble.empty()) run.trouble = one_line(error);
}

void read_back(const Field& field, const std::string& residency, const std::string& owner, RunResult& run) {
  auto readable = field.markers(residency, owner);
  if (readable)
    run.readable = std::move(*readable);
  else
    trouble(run, readable.error());
}

}  // namespace

Result<std::unique_ptr<Inside>> Inside::start(const Field& field, const fs::path& program, const std::string& region,
                                              const LoadSpec& load) {
  auto inside = std::unique_ptr<Inside>(new Inside);
  const fs::path spec = inside->folder_.path() / "load.json";
  CHECK_OK(write_file(spec, to_text(load)));
  Command command;
  command.argv = {program.string(), "drill", "client", spec.string(), inside->result().string()};
  inside->process_ = std::make_unique<Process>(TRY(field.start_inside(region, std::move(command))));
  return inside;
}

Result<std::vector<Write>> Inside::stop() {
  process_->signal(SIGTERM);
  if (!process_->wait_for(30 * kSecond)) return fail(Kind::unavailable, "the clients inside do not come to an end");
  return writes_of(TRY(read_file(result())));
}

Result<void> strike(const Field& field, const std::string& kind, const std::string& region) {
  if (kind != "cut") {
    (void)TRY(field.lab(kind, {{"site", region}}));
    return {};
  }
  const Json status = TRY(field.lab_status());
  std::vector<std::string> others{lab::kHost};
  for (const Json& site : status["sites"]) others.push_back(TRY(member<std::string>(site, "site")));
  for (const std::string& other : others)
    if (other != region) (void)TRY(field.lab("cut", {{"from", region}, {"to", other}}));
  return {};
}

Result<void> end_fault(const Field& field, const std::string& kind, const std::string& region) {
  if (kind == "cut")
    (void)TRY(field.lab("heal", Json::object()));
  else
    (void)TRY(field.lab(kind == "kill" ? "start" : "resume", {{"site", region}}));
  return {};
}

Result<void> await_return(const Field& field, const std::string& region, Micros patience) {
  std::string last = "its agent does not answer";
  for (const Micros deadline = monotonic_now() + patience; monotonic_now() < deadline;
       std::this_thread::sleep_for(kLook)) {
    const auto status = field.agent_status(region);
    if (!status || !status->contains("residencies")) continue;
    last.clear();
    for (const Json& each : (*status)["residencies"]) {
      const std::string name = each.value("residency", ""), owner = each.value("owner", "");
      const std::string state = each.contains("copy") ? each["copy"].value("state", "") : "unknown";
      // What an agent says that has just woken up is of the time before.
      const auto others = owner_of(field, name, region);
      const bool known = others && others->owner == owner && others->epoch == each.value("epoch", std::int64_t{0});
      if (!known || (owner == region ? state != "owner" : state != "following"))
        last += fmt::format("{}{} is {} by {}", last.empty() ? "" : ", ", name, state, owner);
    }
    if (last.empty()) return {};
  }
  return fail(Kind::unavailable, fmt::format("{} is not back after {} s: {}", region, patience / kSecond, last));
}

Result<Authority> owner_of(const Field& field, const std::string& residency, const std::string& not_of) {
  std::optional<Authority> newest;
  Error last{Kind::unavailable, "no agent answers"};
  for (const std::string& region : field.regions()) {
    if (region == not_of) continue;
    const auto seen = field.authority(residency, region);
    if (!seen)
      last = seen.error();
    else if (!newest || seen->epoch > newest->epoch || (seen->epoch == newest->epoch && seen->mode == "serving"))
      newest = *seen;
  }
  if (!newest) return tl::unexpected<Error>(last);
  return *newest;
}

Result<std::string> other_owner(const Field& field, const std::string& residency) {
  const auto* rules = topology::residency_of(field.topology(), residency);
  if (rules == nullptr) return fail(Kind::invalid_input, "the topology has no residency " + residency);
  if (TRY(owner_of(field, residency)).owner != rules->home.str()) return rules->home.str();
  if (rules->standby.empty()) return fail(Kind::refused, residency + " has no other lawful owner");
  return rules->standby[0].str();
}

Result<LoadSpec> load_for(const Field& field, const DrillSpec& spec) {
  const Authority directory = TRY(await_serving(field, std::string(topology::kDirectory), "", "", spec.patience));
  (void)TRY(await_serving(field, spec.residency, "", "", spec.patience));
  LoadSpec load;
  load.clients = TRY(field.clients(spec.residency, spec.clients, directory.owner));
  load.per_s = spec.per_s;
  load.ca = field.ca();
  return load;
}

Result<void> warm_up(const LoadSpec& load, Micros patience) {
  const auto running = TRY(Load::start(load));
  std::vector<Write> recent;
  std::size_t prompt = 0, late = 0;
  for (const Micros deadline = monotonic_now() + patience; monotonic_now() < deadline;) {
    rest(kSecond / 4);
    append(recent, running->take());
    const Micros now = wall_now();
    std::erase_if(recent, [&](const Write& write) { return write.done < now - 2 * kSecond; });
    prompt = late = 0;
    for (const Write& write : recent) {
      if (write.done < now - kSecond) continue;
      const bool good = write.outcome == Outcome::acknowledged && write.done - write.intended < kSecond / 2;
      ++(good ? prompt : late);
    }
    if (late == 0 && static_cast<double>(prompt) >= 0.9 * load.per_s) return {};
  }
  return fail(
      Kind::unavailable,
      fmt::format("the clients are not served promptly after {} s: in the last second {} of {:g} writes were, {} "
                  "were late; not acknowledged of two seconds:{}",
                  patience / kSecond, prompt, load.per_s, late, tally(recent)),
      "look at domicile status; a busy machine may need a lower --rate");
}

RunResult run_of(Result<RunResult> result) {
  if (result) return std::move(*result);
  RunResult run;
  run.trouble = one_line(result.error());
  return run;
}

Result<RunResult> planned_switch(const Field& field, const DrillSpec& spec, const std::string& to, const Talk& talk) {
  const LoadSpec load = TRY(load_for(field, spec));
  talk(fmt::format("{} clients write to {}, {:g}/s", load.clients.size(), spec.residency, spec.per_s));
  CHECK_OK(warm_up(load, spec.patience));
  const Authority before = TRY(owner_of(field, spec.residency));
  if (before.owner == to) return fail(Kind::conflict, fmt::format("{} owns {} already", to, spec.residency));
  RunResult run;
  const auto running = TRY(Load::start(load));
  rest(spec.before);
  talk(fmt::format("switching {} from {} to {}", spec.residency, before.owner, to));
  // A copy that is still catching up makes the owner say no; that is not yet a failed drill.
  Result<Json> ordered = fail(Kind::unavailable, "not ordered yet");
  Micros begin = 0;
  for (const Micros deadline = monotonic_now() + spec.patience; !ordered && monotonic_now() < deadline;) {
    begin = wall_now();
    ordered = field.agent(before.owner, "POST", "/v1/switch",
                          {{"residency", spec.residency}, {"to", to}, {"reason", "drill"}}, 15 * kSecond);
    if (!ordered && ordered.error().kind == Kind::unknown_outcome) break;
    if (!ordered) rest(kSecond / 2);
  }
  std::string switch_id;
  if (ordered) {
    switch_id = member_or<std::string>(*ordered, "switch", "").value_or("");
    const auto served = await_serving(field, spec.residency, to, "", spec.patience);
    if (!served) trouble(run, served.error());
  } else {
    trouble(run, ordered.error());
  }
  rest(spec.after);
  run.writes = running->stop();
  run.story = story_of(field.events(), spec.residency, switch_id, begin);
  talk("reading every marker back");
  if (const auto owner = owner_of(field, spec.residency))
    read_back(field, spec.residency, owner->owner, run);
  else
    trouble(run, owner.error());
  return run;
}

Result<RunResult> region_loss(const Field& field, const DrillSpec& spec, const std::string& kind, const Talk& talk) {
  if (kind == "cut" && field.flat())
    return fail(Kind::refused, "without network namespaces a cut does not part the quorum: nothing would be lost",
                "--kind kill or pause");
  LoadSpec load = TRY(load_for(field, spec));
  talk(fmt::format("{} clients write to {}, {:g}/s", load.clients.size(), spec.residency, spec.per_s));
  CHECK_OK(warm_up(load, spec.patience));
  const auto [lost, mode, switch_id, epoch] = TRY(owner_of(field, spec.residency));
  std::unique_ptr<Inside> inside;
  if (kind == "cut") {
    load.per_s = spec.per_s / 2;
    LoadSpec locked_in = load;
    locked_in.deadline = 3 * kSecond;
    for (ClientSpec& client : locked_in.clients) client.gateways = {TRY(field.gateway_inside(lost))};
    inside = TRY(Inside::start(field, spec.program, lost, locked_in));
  }
  RunResult run;
  const auto running = TRY(Load::start(load));
  rest(spec.before);
  talk(fmt::format("{} is lost now ({})", lost, kind));
  run.fault = wall_now();
  if (const auto struck = strike(field, kind, lost); !struck) trouble(run, struck.error());
  const auto served = await_serving(field, spec.residency, "", lost, run.trouble.empty() ? spec.patience : 0);
  if (!served) trouble(run, served.error());
  std::optional<Micros> back;
  for (const Micros deadline = monotonic_now() + spec.patience; served && !back && monotonic_now() < deadline;) {
    rest(kSecond / 4);
    append(run.writes, running->take());
    back = rto(run.writes, run.fault);
  }
  append(run.writes, running->stop());
  if (inside) {
    auto writes = inside->stop();
    if (writes)
      run.inside = std::move(*writes);
    else
      trouble(run, writes.error());
  }
  if (!served) {
    (void)give_back(field, kind, lost, 0);
    return run;
  }
  talk(fmt::format("{} serves; reading every marker back", served->owner));
  run.story = story_of(field.events(), spec.residency, served->switch_id, run.fault);
  // From the last step of the switch until the clients are served: their own search for a gateway.
  Micros told = 0;
  for (const Phase& phase : run.story.phases) told += phase.length;
  if (back && *back > told) run.story.phases.push_back({"clients find it", *back - told});
  read_back(field, spec.residency, served->owner, run);
  talk(fmt::format("{} comes back", lost));
  const auto returned = give_back(field, kind, lost, 2 * spec.patience);
  if (!returned) {
    trouble(run, returned.error());
    return run;
  }
  run.returned = *returned;
  auto salvaged = field.salvaged(spec.residency, epoch, lost);
  if (salvaged)
    run.salvaged = std::move(*salvaged);
  else
    trouble(run, salvaged.error());
  return run;
}

}  // namespace domicile::drill
