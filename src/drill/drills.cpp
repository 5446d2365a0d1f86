#include "drill/drills.hpp"

#include <signal.h>

#include <algorithm>
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

// Waits until `residency` is served by `owner` (any but `not_by` when empty).
Result<Authority> await_serving(const Field& field, const std::string& residency, const std::string& owner,
                                const std::string& not_by, const Sites& silent, Micros patience) {
  std::string last = "no agent answers";
  for (const Micros deadline = monotonic_now() + patience; monotonic_now() < deadline;
       std::this_thread::sleep_for(kLook)) {
    const auto seen = newest_owner(field, residency, silent);
    if (!seen) {
      last = seen.error().what;
      continue;
    }
    last = fmt::format("{} is {} by {} at epoch {}", residency, seen->mode, seen->owner, seen->epoch);
    const bool wanted = owner.empty() ? seen->owner != not_by : seen->owner == owner;
    if (wanted && seen->mode == "serving") return *seen;
  }
  return fail(Kind::unavailable, fmt::format("{} is not served after {} s: {}", residency, patience / kSecond, last));
}

class Runner {
 public:
  Runner(const Field& field, const DrillSpec& spec, const drills::Plan& plan, const Talk& talk)
      : field_(field), spec_(spec), plan_(plan), talk_(talk) {}
  ~Runner() {
    if (open_) (void)field_.undo_faults();
  }
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

  Result<RunResult> run() {
    CHECK_OK(prepare());
    for (const drills::Step& step : plan_.steps) {
      if (const auto done = act(step); !done) {
        if (!begun_) return tl::unexpected<Error>(done.error());
        trouble(done.error());
        break;
      }
    }
    finish();
    return std::move(run_);
  }

 private:
  using Act = drills::Act;

  // Everything that can be known to be wrong is said before anything happens.
  Result<void> prepare() {
    load_ = TRY(load_for(field_, spec_));
    scene_ = TRY(scene_now(field_, spec_.residency, spec_.to));
    before_ = TRY(newest_owner(field_, spec_.residency, {}));
    run_.owner_before = before_.owner;
    for (const drills::Step& step : plan_.steps) {
      if (!step.at.empty() && step.at != "elsewhere") (void)TRY(drills::sites_at(scene_, step.at));
      if (!step.to.empty()) (void)TRY(drills::sites_at(scene_, step.to));
      if (step.act == Act::cut && field_.flat())
        return fail(Kind::refused, "without network namespaces a cut does not part the quorum: nothing would be lost",
                    "--kind kill or pause");
    }
    for (const drills::Step& step : plan_.steps) {
      if (drills::kind_of(step.act).fault) break;
      if (step.act == Act::switch_to && TRY(site(step.at)) == before_.owner)
        return fail(Kind::conflict, fmt::format("{} owns {} already", before_.owner, spec_.residency));
    }
    return {};
  }

  Result<void> act(const drills::Step& step) {
    if (drills::kind_of(step.act).fault) return set(step);
    switch (step.act) {
      case Act::write:
        return write(step.length);
      case Act::switch_to:
        return switch_to(TRY(site(step.at)));
      case Act::served:
        return served(step.at == "elsewhere" ? "" : TRY(site(step.at)));
      case Act::steady:
        return steady();
      case Act::halted:
        return halted();
      case Act::behind:
      case Act::caught_up:
        return await_lag(TRY(site(step.at)), step.act == Act::behind);
      case Act::stop:
        return stop();
      case Act::undo:
        return undo();
      case Act::follow:
        return follow(TRY(drills::sites_at(scene_, step.at)));
      default:
        return {};
    }
  }

  Result<std::string> site(const std::string& place) const {
    const auto sites = TRY(drills::sites_at(scene_, place));
    if (sites.size() != 1) return fail(Kind::invalid_input, "one site is wanted, not " + place);
    return sites[0];
  }

  Result<void> write(Micros length) {
    if (!begun_) CHECK_OK(begin());
    rest(length);
    return {};
  }

  Result<void> begin() {
    talk_(fmt::format("{} clients write to {}, {:g}/s", load_.clients.size(), spec_.residency, spec_.per_s));
    warmed_up_ = TRY(warm_up(load_, spec_.patience));
    if (!plan_.clients_inside.empty()) {
      const std::string place = TRY(site(plan_.clients_inside));
      load_.per_s = spec_.per_s / 2;
      LoadSpec locked_in = load_;
      locked_in.deadline = 3 * kSecond;
      for (ClientSpec& client : locked_in.clients) client.gateways = {TRY(field_.gateway_inside(place))};
      inside_ = TRY(Inside::start(field_, spec_.program, place, locked_in));
    }
    running_ = TRY(Load::start(load_));
    begun_ = true;
    return {};
  }

  Result<void> switch_to(const std::string& to) {
    const Authority from = TRY(newest_owner(field_, spec_.residency, silent_));
    talk_(fmt::format("switching {} from {} to {}", spec_.residency, from.owner, to));
    // A copy that is still catching up makes the owner say no; that is not yet a failed drill.
    Result<Json> ordered = fail(Kind::unavailable, "not ordered yet");
    Micros begin = 0;
    for (const Micros deadline = monotonic_now() + spec_.patience; !ordered && monotonic_now() < deadline;) {
      begin = wall_now();
      ordered = field_.agent(from.owner, "POST", "/v1/switch",
                             {{"residency", spec_.residency}, {"to", to}, {"reason", "drill"}}, 15 * kSecond);
      if (!ordered && ordered.error().kind == Kind::unknown_outcome) break;
      if (!ordered) rest(kSecond / 2);
    }
    if (run_.begin == 0) {
      run_.begin = begin;
      if (ordered) run_.switch_id = member_or<std::string>(*ordered, "switch", "").value_or("");
    }
    CHECK_OK(ordered);
    CHECK_OK(await_serving(field_, spec_.residency, to, "", silent_, spec_.patience));
    return {};
  }

  Result<void> served(const std::string& by) {
    const auto owner =
        TRY(await_serving(field_, spec_.residency, by, by.empty() ? before_.owner : "", silent_, spec_.patience));
    if (run_.switch_id.empty()) run_.switch_id = owner.switch_id;
    talk_(fmt::format("{} serves {}", owner.owner, spec_.residency));
    return {};
  }

  // Whether it came back is judged by what the clients saw.
  Result<void> steady() {
    for (const Micros deadline = monotonic_now() + spec_.patience; monotonic_now() < deadline;) {
      rest(kSecond / 4);
      append(run_.writes, running_->take());
      if (rto(run_.writes, run_.fault)) return {};
    }
    return {};
  }

  Result<void> halted() {
    for (const Micros deadline = monotonic_now() + spec_.patience; monotonic_now() < deadline;) {
      rest(kSecond / 4);
      append(run_.writes, running_->take());
      Micros last = run_.fault;
      for (const Write& write : run_.writes)
        if (write.outcome == Outcome::acknowledged) last = std::max(last, write.done);
      if (wall_now() - last > 2 * kSecond) return {};
    }
    return fail(Kind::failed, "writes are still acknowledged after all this time");
  }

  Result<void> await_lag(const std::string& at, bool behind) {
    std::string last = "its agent does not answer";
    for (const Micros deadline = monotonic_now() + spec_.patience; monotonic_now() < deadline;
         std::this_thread::sleep_for(kLook)) {
      const auto status = field_.agent_status(at);
      if (!status || !status->contains("residencies")) continue;
      for (const Json& each : (*status)["residencies"]) {
        if (each.value("residency", "") != spec_.residency) continue;
        const bool follows = each.contains("copy") && each["copy"].value("state", "") == "following";
        const auto lag = member<std::int64_t>(each, "lag_ms");
        last = fmt::format("its copy is {}, lag {}", follows ? "following" : "not following",
                           lag ? fmt::format("{} ms", *lag) : "unknown");
        if (behind ? !lag || *lag > 1000 : follows && lag && *lag < 1000) return {};
      }
    }
    return fail(Kind::unavailable, fmt::format("{} is not {} after {} s: {}", at, behind ? "behind" : "close",
                                               spec_.patience / kSecond, last));
  }

  Result<void> set(const drills::Step& step) {
    const auto from = TRY(drills::sites_at(scene_, step.at));
    std::vector<std::pair<std::string, Json>> faults;
    for (const std::string& at : from) {
      if (step.act == Act::kill || step.act == Act::pause) {
        faults.emplace_back(step.act == Act::kill ? "kill" : "pause", Json{{"site", at}});
        silent_.insert(at);
      } else if (step.act == Act::kill_program) {
        faults.emplace_back("kill-program", Json{{"site", at}, {"program", step.program}});
      } else {
        for (const std::string& to : TRY(drills::sites_at(scene_, step.to, at))) {
          if (step.act == Act::revoke)
            faults.emplace_back("revoke", Json{{"site", at}, {"whose", to}});
          else if (step.act == Act::cut)
            faults.emplace_back("cut", Json{{"from", at}, {"to", to}, {"one_way", step.one_way}});
          else
            faults.emplace_back("slow", Json{{"from", at}, {"to", to}, {"bytes_per_s", step.bytes_per_s}});
        }
        if (step.act == Act::cut && step.to == "everybody") silent_.insert(at);
      }
    }
    talk_(drills::explain(step, scene_));
    if (run_.fault == 0) run_.fault = run_.begin = wall_now();
    for (const auto& [verb, body] : faults) {
      open_ = true;
      CHECK_OK(field_.set_fault(verb, body, plan_.name));
    }
    return {};
  }

  Result<void> undo() {
    talk_("undoing what was done");
    if (run_.undone == 0) run_.undone = wall_now();
    CHECK_OK(field_.undo_faults());
    open_ = false;
    silent_.clear();
    return {};
  }

  Result<void> follow(const std::vector<std::string>& places) {
    std::string last;
    for (const Micros deadline = monotonic_now() + 2 * spec_.patience; monotonic_now() < deadline;
         std::this_thread::sleep_for(kLook)) {
      last.clear();
      for (const std::string& place : places) {
        if (place == lab::kHost || std::ranges::find(scene_.voters, place) != scene_.voters.end()) continue;
        if (last = not_following(field_, place, silent_); !last.empty()) {
          last = place + ": " + last;
          break;
        }
      }
      if (!last.empty()) continue;
      if (run_.followed == 0) run_.followed = wall_now();
      return {};
    }
    return fail(Kind::unavailable, fmt::format("not back after {} s: {}", 2 * spec_.patience / kSecond, last));
  }

  Result<void> stop() {
    append(run_.writes, running_->stop());
    running_.reset();
    if (inside_) {
      const auto inside = std::exchange(inside_, nullptr);
      run_.inside = TRY(inside->stop());
    }
    for (Event& event : field_.events())
      if (event.residency == spec_.residency && event.at >= run_.begin) run_.events.push_back(std::move(event));
    talk_("reading every marker back");
    const Authority owner = TRY(newest_owner(field_, spec_.residency, silent_));
    if (silent_.contains(owner.owner)) return fail(Kind::unavailable, "nobody but " + owner.owner + " owns it");
    const auto all = TRY(field_.markers(spec_.residency, owner.owner));
    run_.readable.emplace();  // of the markers that are there only those of these clients say something
    for (const auto* writes : {&run_.writes, &run_.inside})
      for (const Write& write : *writes)
        if (all.contains(write.id)) run_.readable->insert(write.id);
    return {};
  }

  // The first trouble is the one that tells.
  void trouble(const Error& error) {
    if (run_.trouble.empty()) run_.trouble = one_line(error);
  }

  // Whatever came before, the clients stop and no fault stays.
  void finish() {
    if (running_)
      if (const auto stopped = stop(); !stopped) trouble(stopped.error());
    if (open_)
      if (const auto undone = undo(); !undone) trouble(undone.error());
    if (run_.trouble.empty()) {
      const auto owner = newest_owner(field_, spec_.residency, silent_);
      if (owner) run_.owner_after = owner->owner;
      // Only the loss of an owner leaves something that it alone has.
      Result<std::set<std::string>> salvaged = std::set<std::string>{};
      if (run_.fault != 0 && (!owner || owner->epoch != before_.epoch))
        salvaged = field_.salvaged(spec_.residency, before_.epoch, before_.owner);
      if (salvaged)
        run_.salvaged = without_warm_up(std::move(*salvaged));
      else
        trouble(salvaged.error());
    }
    derive(run_, spec_.residency);
  }

  // A copy that is seconds behind lacks writes of the warm-up too, and those are no drill's.
  std::set<std::string> without_warm_up(std::set<std::string> salvaged) const {
    for (const Write& write : warmed_up_) salvaged.erase(write.id);
    return salvaged;
  }

  const Field& field_;
  const DrillSpec& spec_;
  const drills::Plan& plan_;
  const Talk& talk_;
  drills::Scene scene_;
  Authority before_;
  LoadSpec load_;
  std::vector<Write> warmed_up_;
  std::unique_ptr<Inside> inside_;
  std::unique_ptr<Load> running_;
  Sites silent_;                       // sites that cannot be asked as long as the faults last
  bool begun_ = false, open_ = false;  // clients write; a fault is set
  RunResult run_;
};

}  // namespace

Result<Authority> owner_of(const Field& field, const std::string& residency, const std::string& not_of) {
  return newest_owner(field, residency, {not_of});
}

Result<std::string> other_owner(const Field& field, const std::string& residency) {
  const auto* rules = topology::residency_of(field.topology(), residency);
  if (rules == nullptr) return fail(Kind::invalid_input, "the topology has no residency " + residency);
  if (TRY(owner_of(field, residency)).owner != rules->home.str()) return rules->home.str();
  if (rules->standby.empty()) return fail(Kind::refused, residency + " has no other lawful owner");
  return rules->standby[0].str();
}

Result<LoadSpec> load_for(const Field& field, const DrillSpec& spec) {
  const Authority directory = TRY(await_serving(field, std::string(topology::kDirectory), "", "", {}, spec.patience));
  (void)TRY(await_serving(field, spec.residency, "", "", {}, spec.patience));
  LoadSpec load;
  load.clients = TRY(field.clients(spec.residency, spec.clients, directory.owner));
  load.per_s = spec.per_s;
  load.ca = field.ca();
  return load;
}

Result<std::vector<Write>> warm_up(const LoadSpec& load, Micros patience) {
  const auto running = TRY(Load::start(load));
  std::vector<Write> all;
  std::size_t prompt = 0, late = 0;
  for (const Micros deadline = monotonic_now() + patience; monotonic_now() < deadline;) {
    rest(kSecond / 4);
    append(all, running->take());
    const Micros now = wall_now();
    prompt = late = 0;
    for (const Write& write : all) {
      if (write.done < now - kSecond) continue;
      const bool good = write.outcome == Outcome::acknowledged && write.done - write.intended < kSecond / 2;
      ++(good ? prompt : late);
    }
    if (late > 0 || static_cast<double>(prompt) < 0.9 * load.per_s) continue;
    append(all, running->stop());
    return all;
  }
  std::erase_if(all, [now = wall_now()](const Write& write) { return write.done < now - 2 * kSecond; });
  return fail(
      Kind::unavailable,
      fmt::format("the clients are not served promptly after {} s: in the last second {} of {:g} writes were, {} "
                  "were late; not acknowledged of two seconds:{}",
                  patience / kSecond, prompt, load.per_s, late, tally(all)),
      "look at domicile status; a busy machine may need a lower --rate");
}

RunResult run_of(Result<RunResult> result) {
  if (result) return std::move(*result);
  RunResult run;
  run.trouble = one_line(result.error());
  return run;
}

Result<drills::Scene> scene_now(const Field& field, const std::string& residency, const std::string& to) {
  const auto* rules = topology::residency_of(field.topology(), residency);
  if (rules == nullptr) return fail(Kind::invalid_input, "the topology has no residency " + residency);
  drills::Scene scene = drills::scene_of(field.topology(), *rules, TRY(owner_of(field, residency)).owner);
  if (!to.empty()) scene.standby = to;
  return scene;
}

Subject subject_of(const drills::Plan& plan, const DrillSpec& spec, Micros ttl) {
  const bool fault = std::ranges::any_of(plan.steps, [](const auto& step) { return drills::kind_of(step.act).fault; });
  return {plan.name, plan.kind, spec.residency, spec.clients, spec.per_s, drills::with_ttl(plan.hold, ttl), fault};
}

Result<RunResult> run_plan(const Field& field, const DrillSpec& spec, const drills::Plan& plan, const Talk& talk) {
  return Runner(field, spec, plan, talk).run();
}

}  // namespace domicile::drill
