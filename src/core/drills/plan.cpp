#include "core/drills/plan.hpp"

#include <algorithm>
#include <array>

namespace domicile::drills {
namespace {

constexpr std::array kKinds = {
    StepKind{Act::write, "write", Takes::duration, false, "Clients write for so long. They begin with the first one."},
    StepKind{Act::switch_to, "switch", Takes::place, false, "A planned switch to this place, until it serves."},
    StepKind{Act::kill, "kill", Takes::place, true, "SIGKILL to every process of the place."},
    StepKind{Act::pause, "pause", Takes::place, true, "SIGSTOP to every process of the place."},
    StepKind{Act::cut, "cut", Takes::cut, true,
             "Nothing crosses any more from one place to the other; `one_way: true` lets the way back be."},
    StepKind{Act::slow, "slow", Takes::slow, true, "No more than `bytes_per_s` cross between the two, each way."},
    StepKind{Act::kill_program, "kill_program", Takes::program, true, "SIGKILL to one program: gateway, gate, demo, …"},
    StepKind{Act::revoke, "revoke", Takes::revoke, true,
             "The certificates of `whose` are on the list of revoked ones `at` another site, whose gate starts anew."},
    StepKind{Act::served, "served", Takes::place, false,
             "Waits until `elsewhere` (any but the first owner), or this place, serves."},
    StepKind{Act::steady, "steady", Takes::nothing, false, "Waits until clients are served steadily again: the RTO."},
    StepKind{Act::halted, "halted", Takes::nothing, false, "Waits until no write is acknowledged any more."},
    StepKind{Act::behind, "behind", Takes::place, false,
             "Waits until the copy there is over a second behind, or its lag is unknown."},
    StepKind{Act::stop, "stop", Takes::nothing, false, "Clients stop; every marker is read back at the owner."},
    StepKind{Act::undo, "undo", Takes::nothing, false, "Every fault ends, the last one first."},
    StepKind{Act::follow, "follow", Takes::place, false, "Waits until every copy there follows its owner."},
    StepKind{Act::caught_up, "caught_up", Takes::place, false,
             "Waits until the copy there is less than a second behind."},
};

std::string joined(const std::vector<std::string>& sites) {
  std::string out;
  for (const auto& site : sites) out += (out.empty() ? "" : ", ") + (site == kClientsPlace ? "its clients" : site);
  return out;
}

// A place as people read it: the word of the file, and whom it means here.
std::string shown(const Scene& scene, const std::string& place, const std::string& apart_from = {}) {
  const auto sites = sites_at(scene, place, apart_from);
  if (!sites) return place + " (" + sites.error().what + ")";
  const std::string names = joined(*sites);
  return names == place ? names : fmt::format("{} ({})", names, place);
}

std::string seconds(Micros length) {
  return length % kSecond == 0 ? fmt::format("{} s", length / kSecond) : fmt::format("{} ms", length / kMillisecond);
}

std::string limit(Micros length) { return length == kTtl ? "the lease's ttl" : seconds(length); }

}  // namespace

std::span<const StepKind> step_kinds() { return kKinds; }

const StepKind& kind_of(Act act) {
  return *std::ranges::find_if(kKinds, [&](const StepKind& kind) { return kind.act == act; });
}

Hold with_ttl(Hold hold, Micros ttl) {
  for (auto* each : {&hold.pause_p99, &hold.rto_p50, &hold.rto_p99, &hold.rpo, &hold.halt})
    if (*each == kTtl) *each = ttl;
  return hold;
}

Scene scene_of(const topology::Topology& topology, const topology::Residency& residency, const std::string& owner) {
  Scene scene{residency.name, owner, residency.home, {}, {}, {}};
  if (owner != residency.home.str())
    scene.standby = residency.home;
  else if (!residency.standby.empty())
    scene.standby = residency.standby[0];
  for (const auto& region : topology.regions) scene.sites.push_back(region.name);
  for (const auto& voter : topology.voters) {
    scene.sites.push_back(voter);
    scene.voters.push_back(voter);
  }
  return scene;
}

Result<std::vector<std::string>> sites_at(const Scene& scene, const std::string& place, const std::string& apart_from) {
  using Sites = std::vector<std::string>;
  if (place == "owner") return Sites{scene.owner};
  if (place == "home") return Sites{scene.home};
  if (place == "clients") return Sites{std::string(kClientsPlace)};
  if (place == "standby" || place == "other") {
    if (scene.standby.empty()) return fail(Kind::refused, scene.residency + " has no other lawful owner");
    return Sites{scene.standby};
  }
  if (place == "everybody") {
    Sites out{std::string(kClientsPlace)};
    for (const auto& site : scene.sites)
      if (site != apart_from) out.push_back(site);
    return out;
  }
  if (place == "minority" || place == "majority") {
    // Whoever owns it stays, and so does its standby where others can be taken.
    const std::size_t keep = scene.sites.size() / 2 + 1;  // a majority
    const std::size_t count = scene.sites.size() - keep + (place == "majority" ? 1 : 0);
    Sites others = scene.sites, out;
    std::erase(others, scene.owner);
    std::ranges::stable_sort(others, {}, [&](const std::string& site) {
      return std::ranges::find(scene.voters, site) != scene.voters.end() ? 0 : site == scene.standby ? 2 : 1;
    });
    out.assign(others.begin(), others.begin() + static_cast<std::ptrdiff_t>(std::min(count, others.size())));
    if (out.empty()) return fail(Kind::refused, "no site can be lost without the quorum");
    return out;
  }
  if (std::ranges::find(scene.sites, place) != scene.sites.end()) return Sites{place};
  return fail(Kind::invalid_input, "there is no place '" + place + "'",
              "owner, standby, other, home, minority, majority, everybody, clients, or a site", "DOM-E804");
}

std::string explain(const Step& step, const Scene& scene) {
  const auto at = [&] { return shown(scene, step.at); };
  const auto ends = [&](const char* direction) {
    return fmt::format("from {} to {}{}", at(), shown(scene, step.to, step.at == "owner" ? scene.owner : step.at),
                       direction);
  };
  switch (step.act) {
    case Act::write:
      return fmt::format("Clients write for {}.", seconds(step.length));
    case Act::switch_to:
      return fmt::format("{} is switched to {}, planned; the next step begins when it serves.", scene.residency, at());
    case Act::kill:
      return fmt::format("Each process of {} gets SIGKILL. Undone by starting them again.", at());
    case Act::pause:
      return fmt::format("Each process of {} gets SIGSTOP. Undone by SIGCONT.", at());
    case Act::cut:
      return fmt::format("Nothing crosses {} any more. Undone by healing the link.",
                         ends(step.one_way ? ", while the way back stays" : ", nor back"));
    case Act::slow:
      return fmt::format("At most {} bytes a second cross {}. Undone by healing the link.", step.bytes_per_s,
                         ends(", and as many back"));
    case Act::kill_program:
      return fmt::format("The program {} of {} gets SIGKILL. Undone by starting it again.", step.program, at());
    case Act::revoke:
      return fmt::format(
          "The certificates of {} are revoked at {}, whose gate starts anew. Undone by taking them off "
          "the list.",
          shown(scene, step.to), at());
    case Act::served:
      return step.at == "elsewhere"
                 ? fmt::format("Waits until a region other than {} serves {}.", scene.owner, scene.residency)
                 : fmt::format("Waits until {} serves {}.", at(), scene.residency);
    case Act::steady:
      return "Waits until clients are served steadily again (three seconds in a row, 99 % within a second).";
    case Act::halted:
      return "Waits until no write is acknowledged any more.";
    case Act::behind:
      return fmt::format("Waits until the copy of {} at {} is over a second behind, or its lag is unknown.",
                         scene.residency, at());
    case Act::stop:
      return "Clients stop; each write gets its outcome; every marker is read back at whoever owns it then.";
    case Act::undo:
      return "Every fault is undone, the last one first.";
    case Act::follow:
      return fmt::format("Waits until every copy in {} follows its owner again; what only it had is counted.", at());
    case Act::caught_up:
      return fmt::format("Waits until the copy of {} at {} is less than a second behind.", scene.residency, at());
  }
  return "";
}

std::string explain(const Hold& hold) {
  std::string out;
  const auto most = [&](const std::optional<std::size_t>& count, const char* of) {
    if (count) out += *count == 0 ? fmt::format("  no {}\n", of) : fmt::format("  at most {} {}\n", *count, of);
  };
  most(hold.errors, "client errors");
  most(hold.unknown, "writes with an unknown outcome");
  most(hold.missing, "acknowledged writes missing at the owner");
  most(hold.lost, "acknowledged writes lost (neither readable nor salvaged)");
  const auto within = [&](const std::optional<Micros>& length, const char* what) {
    if (length) out += fmt::format("  {} at most {}\n", what, limit(*length));
  };
  within(hold.pause_p99, "pause p99");
  within(hold.rto_p50, "RTO p50");
  within(hold.rto_p99, "RTO p99");
  within(hold.rpo, "RPO");
  within(hold.halt, "writes stop after");
  if (hold.diverged) out += "  the two histories really differ at first\n";
  if (!hold.owner.empty())
    out += fmt::format("  the owner in the end is {}\n", hold.owner == "same" ? "the same" : "another one");
  return out;
}

std::string explain(const Plan& plan, const Scene& scene) {
  std::string out = fmt::format("{}{}: {}\n\n", plan.name, plan.kind.empty() ? "" : " " + plan.kind, plan.about);
  out += fmt::format("{} is owned by {}. {} clients, each a tenant of its own, write {} orders a second{}.\n\n",
                     scene.residency, scene.owner, plan.clients, plan.rate,
                     plan.clients_inside.empty()
                         ? std::string()
                         : fmt::format(", half of them inside {}", shown(scene, plan.clients_inside)));
  int number = 0;
  for (const Step& step : plan.steps) out += fmt::format("{:>2}. {}\n", ++number, explain(step, scene));
  out += "\nWhat must hold:\n" + explain(plan.hold);
  if (plan.every_days != 0) out += fmt::format("\nIt is due every {} days.\n", plan.every_days);
  out += "\nA drill that is killed half-way is undone by its lab, which holds every fault for the drill's process.\n";
  return out;
}

}  // namespace domicile::drills
