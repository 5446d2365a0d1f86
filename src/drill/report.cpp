#include "drill/report.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace domicile::drill {
namespace {

double ms(Micros length) { return std::round(static_cast<double>(length) / 100) / 10; }
Json ms_or_null(const std::optional<Micros>& length) { return length ? Json(ms(*length)) : Json(); }
std::string words(const std::optional<Micros>& length) {
  if (!length) return "-";
  return *length < 10 * kSecond ? fmt::format("{:.0f} ms", ms(*length)) : fmt::format("{:.1f} s", ms(*length) / 1000);
}

std::string number_or(const std::optional<std::size_t>& number) { return number ? fmt::to_string(*number) : "?"; }

std::vector<Phase> medians(const std::vector<RunResult>& runs) {
  std::vector<std::string> order;
  std::map<std::string, std::vector<Micros>> lengths;
  for (const RunResult& run : runs) {
    for (const Phase& phase : run.story.phases) {
      if (!lengths.contains(phase.name)) order.push_back(phase.name);
      lengths[phase.name].push_back(phase.length);
    }
  }
  std::vector<Phase> result;
  for (const auto& name : order) result.push_back({name, *percentile(lengths[name], 0.5)});
  return result;
}

void expect(Report& report, bool holds, std::string otherwise) {
  if (!holds) report.broken.push_back(std::move(otherwise));
}

void at_most(Report& report, const std::optional<std::size_t>& bar, std::size_t count, const char* what) {
  if (bar) expect(report, count <= *bar, fmt::format("{} {}", count, what));
}

void within(Report& report, const std::optional<Micros>& bar, const std::optional<Micros>& length, const char* what) {
  if (bar && length) expect(report, *length <= *bar, fmt::format("{} {} is over {} ms", what, words(length), ms(*bar)));
}

void judge_switch(Report& report) {
  const drills::Hold& hold = report.subject.hold;
  if (!hold.pause_p99) return;
  expect(report, report.pause_p99.has_value(), "the pause was not seen");
  within(report, hold.pause_p99, report.pause_p99, "pause p99");
}

void judge_fault(Report& report, std::size_t recovered) {
  const drills::Hold& hold = report.subject.hold;
  if (hold.rto_p50 || hold.rto_p99)
    expect(report, recovered == report.runs, fmt::format("service came back in {} of {} runs", recovered, report.runs));
  within(report, hold.rto_p50, report.rto_p50, "RTO p50");
  within(report, hold.rto_p99, report.rto_p99, "RTO p99");
  if (hold.lost) {
    expect(report, report.lost.has_value(), "the lost region did not come back to be asked for its salvage");
    if (report.lost) at_most(report, hold.lost, report.lost->size(), "acknowledged writes are lost");
  }
  expect(report, report.invented == 0, fmt::format("{} salvaged rows were written by nobody", report.invented));
  within(report, hold.rpo, report.rpo_max, "RPO");
  if (hold.halt) expect(report, report.halt_max.has_value(), "when writes stopped was not seen");
  within(report, hold.halt, report.halt_max, "writes stopped after");
  if (hold.diverged)
    expect(report, report.missing && !report.missing->empty(), "the histories did not diverge: nothing was shown");
}

void judge_owner(Report& report, const RunResult& run) {
  const std::string& wanted = report.subject.hold.owner;
  if (wanted.empty() || !run.trouble.empty()) return;
  if (run.owner_after.empty()) return expect(report, false, "nobody could be asked who owns it");
  expect(report, (run.owner_before == run.owner_after) == (wanted == "same"),
         fmt::format("{} owned it before and {} in the end", run.owner_before, run.owner_after));
}

// Acknowledged = readable + salvaged + lost.
void account(Report& report, const std::vector<Write>& writes, const std::vector<std::string>& missing,
             const std::optional<std::set<std::string>>& salvaged) {
  if (!salvaged) {
    report.salvaged.reset(), report.lost.reset();
    return;
  }
  if (!report.lost) return;
  for (const auto& id : missing)
    if (salvaged->contains(id))
      ++*report.salvaged;
    else
      report.lost->push_back(id);
  // A write whose outcome no client knows may have been committed; one that was refused was not.
  std::set<std::string> written;
  for (const auto& write : writes)
    if (write.outcome != Outcome::refused) written.insert(write.id);
  for (const auto& id : *salvaged) report.invented += written.contains(id) ? 0 : 1;
}

void add(Counts& sum, const Counts& more) {
  sum.offered += more.offered;
  sum.acknowledged += more.acknowledged;
  sum.refused += more.refused;
  sum.unknown += more.unknown;
}

// An event's name as a phase's: what had been done when it was written.
std::string phase_name(const std::string& event) {
  for (const std::string prefix : {"switch.drain.", "switch.open.", "record."})
    if (event.starts_with(prefix)) {
      std::string name = event.substr(prefix.size());
      std::replace(name.begin(), name.end(), '_', ' ');
      return name;
    }
  return event;
}

}  // namespace

Result<std::vector<Event>> events_of(const Json& list) {
  if (!list.is_array()) return fail(Kind::corrupt, "the agent's events are no list");
  std::vector<Event> events;
  for (const Json& each : list)
    events.push_back({TRY(member<Micros>(each, "at_us")), TRY(member<std::string>(each, "event")),
                      TRY(member_or<std::string>(each, "residency", "")),
                      TRY(member_or<std::string>(each, "switch", ""))});
  return events;
}

Story story_of(std::vector<Event> events, const std::string& residency, const std::string& switch_id, Micros begin) {
  Story story;
  std::stable_sort(events.begin(), events.end(), [](const Event& a, const Event& b) { return a.at < b.at; });
  Micros last = begin;
  bool published = false;
  for (const Event& event : events) {
    const bool step = event.name.starts_with("switch.drain.") || event.name.starts_with("switch.open.") ||
                      event.name == "record.draining" || event.name == "record.moving";
    if (event.residency != residency || event.switch_id != switch_id || event.at < begin || !step) continue;
    if (event.name == "record.draining") story.hold = event.at;
    if (event.name == "switch.open.swap_serving" && !published) story.release = event.at;
    if (event.name == "switch.open.publish") story.release = event.at, published = true;
    story.phases.push_back({phase_name(event.name), event.at - last});
    last = event.at;
  }
  // An owner that does not tell when it began to hold: at the order at the earliest.
  if (story.hold == 0 && !story.phases.empty()) story.hold = begin;
  return story;
}

void derive(RunResult& run, const std::string& residency) {
  run.story = story_of(run.events, residency, run.switch_id, run.begin);
  run.returned.reset(), run.halted.reset();
  if (run.fault == 0) return;
  if (run.undone != 0 && run.followed != 0) run.returned = run.followed - run.undone;
  const Micros end = run.undone == 0 ? std::numeric_limits<Micros>::max() : run.undone;
  for (const auto* writes : {&run.writes, &run.inside})
    for (const Write& write : *writes)
      if (write.outcome == Outcome::acknowledged && write.done < end)
        run.halted = std::max(run.halted.value_or(0), write.done - run.fault);
  if (run.story.phases.empty()) return;
  // From the last step of the switch until the clients are served: their own search for a gateway.
  Micros told = 0;
  for (const Phase& phase : run.story.phases) told += phase.length;
  if (const auto back = rto(run.writes, run.fault); back && *back > told)
    run.story.phases.push_back({"clients find it", *back - told});
}

Report judge(const Subject& subject, const std::vector<RunResult>& runs) {
  Report report;
  report.subject = subject;
  report.runs = runs.size();
  std::vector<Micros> waiting, recovery, returns;
  if (subject.fault) report.salvaged = 0, report.lost.emplace();
  Micros rpo = 0;
  for (const RunResult& run : runs) {
    expect(report, run.trouble.empty(), run.trouble);
    std::vector<Write> all = run.writes;
    all.insert(all.end(), run.inside.begin(), run.inside.end());
    add(report.counts, count(all));
    if (!run.readable) {
      report.readable.reset(), report.missing.reset(), report.salvaged.reset(), report.lost.reset();
    } else if (report.missing) {
      const Loss lost = loss(all, *run.readable, run.fault);
      *report.readable += lost.readable;
      report.missing->insert(report.missing->end(), lost.missing.begin(), lost.missing.end());
      rpo = std::max(rpo, lost.rpo);
      if (subject.fault) account(report, all, lost.missing, run.salvaged);
    }
    judge_owner(report, run);
    if (run.returned) returns.push_back(*run.returned);
    if (run.halted) report.halt_max = std::max(report.halt_max.value_or(0), *run.halted);
    if (run.fault != 0) {
      if (const auto back = rto(run.writes, run.fault)) recovery.push_back(*back);
    } else if (run.story.hold != 0 && run.story.release != 0) {
      const auto more = waits(run.writes, run.story.hold, run.story.release);
      waiting.insert(waiting.end(), more.begin(), more.end());
    }
  }
  report.phases = medians(runs);
  at_most(report, subject.hold.errors, report.counts.refused, "client errors");
  at_most(report, subject.hold.unknown, report.counts.unknown, "writes with an unknown outcome");
  if (report.missing) at_most(report, subject.hold.missing, report.missing->size(), "acknowledged writes are missing");
  if (subject.fault) {
    report.rto_p50 = percentile(recovery, 0.5);
    report.rto_p99 = percentile(recovery, 0.99);
    report.return_p50 = percentile(returns, 0.5);
    if (report.missing) report.rpo_max = rpo;
    judge_fault(report, recovery.size());
  } else {
    report.pause_p50 = percentile(waiting, 0.5);
    report.pause_p99 = percentile(waiting, 0.99);
    report.pause_max = percentile(waiting, 1);
    judge_switch(report);
  }
  expect(report, report.missing.has_value(), "nobody could be asked what is missing");
  // A drill without acknowledged writes has shown nothing.
  expect(report, report.counts.acknowledged > 0, "no write was acknowledged");
  return report;
}

Json json_of(const drills::Hold& hold) {
  const auto count = [](const std::optional<std::size_t>& bar) { return bar ? Json(*bar) : Json(); };
  return {{"errors", count(hold.errors)},
          {"unknown", count(hold.unknown)},
          {"missing", count(hold.missing)},
          {"lost", count(hold.lost)},
          {"pause_ms_p99", ms_or_null(hold.pause_p99)},
          {"rto_ms_p50", ms_or_null(hold.rto_p50)},
          {"rto_ms_p99", ms_or_null(hold.rto_p99)},
          {"rpo_ms", ms_or_null(hold.rpo)},
          {"halt_ms", ms_or_null(hold.halt)},
          {"diverged", hold.diverged},
          {"owner", hold.owner}};
}

Json json_of(const Report& report) {
  Json phases = Json::array();
  for (const Phase& phase : report.phases) phases.push_back({{"name", phase.name}, {"ms", ms(phase.length)}});
  return {{"drill", report.subject.drill},
          {"kind", report.subject.kind.empty() ? Json() : Json(report.subject.kind)},
          {"residency", report.subject.residency},
          {"runs", report.runs},
          {"clients", report.subject.clients},
          {"offered_per_s", report.subject.per_s},
          {"writes_acknowledged", report.counts.acknowledged},
          {"writes_readable", report.readable ? Json(*report.readable) : Json()},
          {"writes_unknown", report.counts.unknown},
          {"writes_missing", report.missing ? Json(*report.missing) : Json()},
          {"writes_salvaged", report.salvaged ? Json(*report.salvaged) : Json()},
          {"writes_lost", report.lost ? Json(*report.lost) : Json()},
          {"return_ms_p50", ms_or_null(report.return_p50)},
          {"client_errors", report.counts.refused},
          {"pause_ms_p50", ms_or_null(report.pause_p50)},
          {"pause_ms_p99", ms_or_null(report.pause_p99)},
          {"pause_ms_max", ms_or_null(report.pause_max)},
          {"rto_ms_p50", ms_or_null(report.rto_p50)},
          {"rto_ms_p99", ms_or_null(report.rto_p99)},
          {"rpo_ms_max", ms_or_null(report.rpo_max)},
          {"halt_ms_max", report.subject.hold.halt ? ms_or_null(report.halt_max) : Json()},
          {"must_hold", json_of(report.subject.hold)},
          {"phases", std::move(phases)},
          {"broken", report.broken},
          {"held", report.held()}};
}

Json json_of(const std::vector<Report>& reports) {
  Json drills = Json::array();
  for (const Report& report : reports) drills.push_back(json_of(report));
  return {{"drills", std::move(drills)}};
}

std::string bar(double value, double whole, int cells) {
  static constexpr const char* kParts[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  if (!(whole > 0) || !(value > 0)) return "";
  // What took any time at all shows.
  const int eighths = std::clamp(static_cast<int>(std::lround(value / whole * cells * 8)), 1, cells * 8);
  std::string out;
  for (int i = 0; i < eighths / 8; ++i) out += "█";
  return out + kParts[eighths % 8];
}

std::string table(const std::vector<Report>& reports, bool colour) {
  const auto paint = [&](const char* code, const std::string& text) {
    return colour ? fmt::format("\033[{}m{}\033[0m", code, text) : text;
  };
  std::string out;
  for (const Report& report : reports) {
    const Subject& subject = report.subject;
    const std::string name =
        subject.drill + (subject.kind.empty() ? "" : " " + subject.kind) + ", " + subject.residency;
    out += fmt::format("{:<34}", name) + (report.held() ? paint("32", "held") : paint("31", "BROKEN"));
    out += fmt::format("   {} run{}, {} clients, {:g} writes/s\n", report.runs, report.runs == 1 ? "" : "s",
                       subject.clients, subject.per_s);
    out += fmt::format("  writes: {} acknowledged, {} readable, {} missing, {} unknown, {} errors\n",
                       report.counts.acknowledged, number_or(report.readable),
                       number_or(report.missing ? std::optional(report.missing->size()) : std::nullopt),
                       report.counts.unknown, report.counts.refused);
    if (!subject.fault)
      out += fmt::format("  pause:  p50 {}, p99 {}, max {}\n", words(report.pause_p50), words(report.pause_p99),
                         words(report.pause_max));
    else
      out += fmt::format(
          "  RTO:    p50 {}, p99 {}   RPO: max {}\n  return: {}; {} of the missing are salvaged, {} lost\n",
          words(report.rto_p50), words(report.rto_p99), words(report.rpo_max), words(report.return_p50),
          number_or(report.salvaged), number_or(report.lost ? std::optional(report.lost->size()) : std::nullopt));
    double longest = 0;
    for (const Phase& phase : report.phases) longest = std::max(longest, ms(phase.length));
    for (const Phase& phase : report.phases)
      out += fmt::format("  {:<22} {:>8.1f} ms  ", phase.name, ms(phase.length)) +
             paint("36", bar(ms(phase.length), longest, 40)) + "\n";
    for (const auto& broken : report.broken) out += "  " + paint("31", "broken: " + broken) + "\n";
    out += "\n";
  }
  return out;
}

}  // namespace domicile::drill
