#include "cli/status_view.hpp"

#include <algorithm>

#include "core/moves/move.hpp"

namespace domicile::cli {

std::string text_at(const Json& value, const char* key) { return member_or<std::string>(value, key, "").value_or(""); }

std::optional<std::int64_t> number_at(const Json& value, const char* key) {
  const auto number = member<std::int64_t>(value, key);
  return number ? std::optional(*number) : std::nullopt;
}

bool true_at(const Json& value, const char* key) { return member_or<bool>(value, key, false).value_or(false); }

const Json& child_at(const Json& value, const char* key) {
  static const Json none;
  const auto it = value.is_object() ? value.find(key) : value.end();
  return value.is_object() && it != value.end() ? *it : none;
}

std::string duration_text(std::int64_t ms) {
  if (ms > -1000 && ms < 1000) return fmt::format("{} ms", ms);
  if (ms < 120'000) return fmt::format("{:.1f} s", static_cast<double>(ms) / 1000);
  return fmt::format("{} min", ms / 60'000);
}

std::string columns_text(const std::vector<std::vector<std::string>>& rows, const Look& look) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows)
    for (std::size_t i = 0; i < row.size(); ++i) {
      if (widths.size() <= i) widths.push_back(0);
      widths[i] = std::max(widths[i], row[i].size());
    }
  std::string out;
  for (std::size_t r = 0; r < rows.size(); ++r) {
    std::string line;
    for (std::size_t i = 0; i < rows[r].size(); ++i)
      line += i + 1 == rows[r].size() ? rows[r][i] : fmt::format("{:<{}}", rows[r][i], widths[i] + 2);
    line.erase(line.find_last_not_of(' ') + 1);
    if (look.width > 3 && line.size() > look.width) line = line.substr(0, look.width - 3) + "...";
    out += look.colour && r == 0 ? "\033[2m" + line + "\033[0m\n" : line + "\n";
  }
  return out;
}

namespace {

std::string painted(const Look& look, const char* paint, const std::string& text) {
  return look.colour ? fmt::format("\033[{}m{}\033[0m", paint, text) : text;
}

// Everybody who may ever own the residency; empty when the agent does not tell.
std::vector<std::string> owners_of(const Json& residency) {
  const Json& rules = child_at(residency, "rules");
  std::vector<std::string> owners;
  if (const auto home = text_at(rules, "home"); !home.empty()) owners.push_back(home);
  if (const Json& standby = child_at(rules, "standby"); standby.is_array())
    for (const Json& each : standby)
      if (each.is_string()) owners.push_back(each.get<std::string>());
  return owners;
}

// How long ago this region last saw the other alive; empty: never, or it does not tell.
std::optional<std::int64_t> seen_ms_ago(const Json& status, const std::string& region) {
  return number_at(child_at(child_at(status, "lives"), region.c_str()), "seen_ms_ago");
}

// ttl + margin, after which an observer takes a life to be over.
std::int64_t life_ms(const Json& status) {
  const Json& lease = child_at(status, "lease");
  return number_at(lease, "ttl_ms").value_or(5000) + number_at(lease, "margin_ms").value_or(500);
}

bool alive(const Json& status, const std::string& region) {
  if (region == text_at(status, "region")) return true;
  const auto seen = seen_ms_ago(status, region);
  return seen && *seen <= life_ms(status);
}

// Regions that may hold it in full and are neither home nor standby.
std::string could_own(const Json& status, const Json& residency) {
  const auto owners = owners_of(residency);
  const Json &regions = child_at(status, "regions"), &holds = child_at(child_at(residency, "rules"), "holds");
  std::string out;
  if (regions.is_object())
    for (const auto& [region, jurisdiction] : regions.items())
      if (jurisdiction.is_string() && text_at(holds, jurisdiction.get<std::string>().c_str()) == "full" &&
          std::ranges::find(owners, region) == owners.end())
        out += (out.empty() ? "" : ", ") + region;
  return out;
}

// Why nobody can write it, or empty.
std::string down(const Json& status, const Json& residency) {
  const auto name = text_at(residency, "residency"), owner = text_at(residency, "owner");
  if (owner.empty()) return name + " has no owner yet";
  const bool given_up = text_at(residency, "mode") == "draining" && text_at(residency, "to").empty();
  if (text_at(residency, "mode") == "moving" || (!true_at(residency, "owner_expired") && !given_up)) return "";
  const std::string what =
      given_up ? owner + " cannot write " + name : name + " is down: its owner " + owner + " is gone";
  const auto owners = owners_of(residency);
  if (owners.empty()) return what;
  // Of the copies elsewhere this agent knows nothing; of its own it does.
  std::string living, barred;
  const std::string here = text_at(status, "region"), copy = text_at(child_at(residency, "copy"), "state");
  for (const auto& each : owners) {
    if (each == owner || !alive(status, each)) continue;
    if (each == here && !copy.empty() && copy != "following")
      barred = copy == "none" ? fmt::format("; no switch to {}: its first rows are not there yet", here)
                              : fmt::format("; no switch to {}: its copy is {}", here, copy);
    else
      living += (living.empty() ? "" : ", ") + each;
  }
  if (owners.size() == 1)
    return what + "; " +
           (could_own(status, residency).empty()
                ? "held by law: no other region may own it, it comes back with its region"
                : "no standby is named (" + could_own(status, residency) + " could be), it comes back with its region");
  if (!living.empty()) return what + "; can go to " + living + barred;
  return what + (barred.empty() ? "; held by law: no region that may own it is alive" : barred);
}

std::string lag_cell(const Json& residency) {
  if (const auto lag = number_at(residency, "lag_ms")) return duration_text(*lag);
  return child_at(residency, "link").is_object() ? "unknown" : "-";
}

std::string copy_cell(const Json& residency) {
  std::string state = text_at(child_at(residency, "copy"), "state");
  if (state.empty()) return "-";
  if (state == "none") state = "first rows";  // on their way
  const auto form = text_at(residency, "form");
  return form == "reduced" ? state + " (reduced)" : state;
}

std::string mode_cell(const Json& residency) {
  const auto mode = text_at(residency, "mode"), to = text_at(residency, "to");
  if (mode.empty()) return "unknown";
  return mode == "serving" || to.empty() ? mode : mode + " to " + to;
}

std::string why_cell(const Json& residency) {
  std::string why = text_at(residency, "why");
  if (const auto trouble = text_at(child_at(residency, "link"), "trouble"); !trouble.empty())
    why = "link: " + trouble + (why.empty() ? "" : "; " + why);
  const Json& copy = child_at(residency, "copy");
  if (text_at(copy, "state") == "resync") why = "resync: " + text_at(copy, "why") + (why.empty() ? "" : "; " + why);
  return why;
}

const Json& residencies_of(const Json& status) {
  static const Json none = Json::array();
  const Json& list = child_at(status, "residencies");
  return list.is_array() ? list : none;
}

std::string lives_line(const Json& status) {
  std::string out;
  const Json& lives = child_at(status, "lives");
  if (!lives.is_object()) return "unknown";
  for (const auto& [region, life] : lives.items()) {
    const auto seen = number_at(life, "seen_ms_ago");
    const bool beats = number_at(life, "counter").value_or(-1) >= 0;
    const auto protocol = number_at(life, "protocol");
    out += fmt::format("{}{} {}{}", out.empty() ? "" : ", ", region,
                       region == text_at(status, "region") ? "here"
                       : !beats                            ? "never seen"
                       : alive(status, region)             ? duration_text(*seen) + " ago"
                                                           : "gone for " + duration_text(*seen),
                       protocol ? fmt::format(" (protocol {})", *protocol) : "");
  }
  return out;
}

void unsafe_quorum(const Json& status, std::vector<std::string>& out) {
  const Json& quorum = child_at(status, "quorum");
  const auto age = number_at(quorum, "answered_ms_ago");
  if (!age)
    out.push_back("no quorum: it has never answered this region");
  else if (const auto trouble = text_at(quorum, "trouble"); !trouble.empty())
    out.push_back(fmt::format("no quorum for {}: {}; writes stop when leases end", duration_text(*age), trouble));
  else if (*age > life_ms(status))
    out.push_back("no quorum for " + duration_text(*age) + "; writes stop when leases end");
  const Json& alarms = child_at(child_at(quorum, "etcd"), "alarms");
  if (alarms.is_array())
    for (const Json& alarm : alarms)
      if (alarm.is_string()) out.push_back("etcd raises " + alarm.get<std::string>() + ": it takes no more writes");
  if (const auto database = text_at(status, "database"); !database.empty())
    out.push_back("the database here does not commit: " + database);
}

void unsafe_drift(const Json& status, std::vector<std::string>& out) {
  const Json& drift = child_at(status, "drift");
  if (const auto trouble = text_at(drift, "trouble"); !trouble.empty())
    out.push_back("the database here could not be compared with what it should be: " + trouble);
  if (const Json& found = child_at(drift, "found"); found.is_array())
    for (const Json& each : found)
      out.push_back(
          fmt::format("drift: {}: {}; {}", text_at(each, "object"), text_at(each, "what"), text_at(each, "fix")));
}

void unsafe_gate(const Json& status, std::vector<std::string>& out) {
  const Json& gate = child_at(status, "gate");
  if (const auto trouble = text_at(gate, "trouble"); !trouble.empty())
    out.push_back("the gate here does not answer, nothing goes out: " + trouble);
  const auto gates = text_at(gate, "policy"), agents = text_at(status, "policy");
  if (!gates.empty() && gates != agents)
    out.push_back(
        fmt::format("the gate here judges by policy {}, the agent by {}: what is personal now may still go out; give "
                    "both the same topology.yaml, then systemctl reload domicile-gate (the agent: restart)",
                    gates.substr(0, 12), agents.substr(0, 12)));
  if (const Json& links = child_at(gate, "links"); links.is_array())
    for (const Json& link : links)
      if (const auto held = text_at(link, "held"); !held.empty())
        out.push_back(fmt::format("the gate holds {} ({}); look, then domicile link resume {} --reason TEXT",
                                  text_at(link, "link"), held, text_at(link, "link")));
}

// Its requests wait in the gateways until whatever it waits for has come to pass.
void unsafe_moves(const Json& status, std::vector<std::string>& out) {
  if (const Json& moves = child_at(status, "moves"); moves.is_array())
    for (const Json& move : moves) {
      const auto phase = moves::phase_of(text_at(move, "phase"));
      if (const auto waits = text_at(move, "waits"); phase && moves::held(*phase) && !waits.empty())
        out.push_back(fmt::format("tenant {} is held by its move ({}): {}", text_at(move, "tenant"),
                                  text_at(move, "phase"), waits));
    }
}

// A copy that is to save the residency, and may not be able to.
void unsafe_copy(const Json& status, const Json& residency, std::vector<std::string>& out) {
  const auto here = text_at(status, "region"), name = text_at(residency, "residency");
  const auto owners = owners_of(residency);
  if (text_at(residency, "owner") == here || std::ranges::find(owners, here) == owners.end()) return;
  const auto lag = number_at(residency, "lag_ms"), rpo = number_at(child_at(residency, "rules"), "rpo_ms");
  if (text_at(child_at(residency, "copy"), "state") == "resync")
    out.push_back("the copy of " + name + " here is resync: it is no target for a switch");
  else if (text_at(child_at(residency, "copy"), "state") == "none")
    out.push_back("the first rows of " + name + " are not here yet: it is no target for a switch");
  else if (text_at(residency, "mode") != "serving")
    return;
  else if (rpo == 0) {
    if (text_at(residency, "covered") != here && !text_at(residency, "owner").empty())
      out.push_back(fmt::format("{} may have acknowledged what is not here: a takeover by {} asks", name, here));
  } else if (!lag)
    out.push_back("the lag of " + name + " here is unknown: it is no target for an automatic switch");
  else if (rpo && *lag > *rpo)
    out.push_back(
        fmt::format("the lag of {} here, {}, is over its rpo of {}", name, duration_text(*lag), duration_text(*rpo)));
}

}  // namespace

std::vector<std::string> unsafe_now(const Json& status) {
  std::vector<std::string> out;
  unsafe_quorum(status, out);
  unsafe_drift(status, out);
  unsafe_gate(status, out);
  unsafe_moves(status, out);
  if (const auto revoked = text_at(status, "revoked"); !revoked.empty())
    out.push_back("the list of revoked certificates cannot be read: " + revoked);
  for (const Json& residency : residencies_of(status)) {
    if (const auto why = text_at(residency, "distrusted"); !why.empty())
      out.push_back(fmt::format("the quorum is distrusted about {}: {}; domicile quorum adopt --reason TEXT",
                                text_at(residency, "residency"), why));
    if (const Json& glass = child_at(residency, "glass"); glass.is_object())
      out.push_back(fmt::format(
          "GLASS BROKEN: {} is {} without a quorum since {} by {}: {}; restore the quorum, then domicile quorum adopt",
          text_at(residency, "residency"), true_at(glass, "open") ? "open here" : "being opened here",
          text_at(glass, "at"), text_at(glass, "by"), text_at(glass, "reason")));
    if (const auto stuck = text_at(child_at(residency, "standby"), "stuck"); !stuck.empty())
      out.push_back(fmt::format("writes of {} wait: {}", text_at(residency, "residency"), stuck));
    else if (const Json& standby = child_at(residency, "standby");
             standby.is_object() && text_at(standby, "waits_for").empty())
      out.push_back(fmt::format("{}: {}; the loss of this region may lose some", text_at(residency, "residency"),
                                text_at(standby, "why")));
    if (const auto why = down(status, residency); !why.empty()) out.push_back(why);
    unsafe_copy(status, residency, out);
  }
  return out;
}

std::vector<std::string> warned_now(const Json& status) {
  std::vector<std::string> out;
  if (const Json& warned = child_at(child_at(status, "drift"), "warned"); warned.is_array())
    for (const Json& each : warned)
      out.push_back(fmt::format("{}: {}; {}", text_at(each, "object"), text_at(each, "what"), text_at(each, "fix")));
  return out;
}

std::vector<std::string> notes_of(const Json& status) {
  std::vector<std::string> out;
  for (const Json& residency : residencies_of(status))
    if (const auto way = text_at(residency, "way_home"); !way.empty())
      out.push_back(text_at(residency, "residency") + " " + way);
  for (const Json& residency : residencies_of(status))
    if (const auto proposal = text_at(residency, "proposal"); !proposal.empty())
      out.push_back(fmt::format("{} waits for a person: domicile approve {} --reason TEXT",
                                text_at(residency, "residency"), proposal));
  if (const Json& salvage = child_at(status, "salvage"); salvage.is_array())
    for (const Json& run : salvage)
      out.push_back(fmt::format("{} salvaged rows of {}'s epoch {} wait for a person: domicile salvage show {}",
                                number_at(run, "open").value_or(0), text_at(run, "residency"),
                                number_at(run, "epoch").value_or(0), text_at(run, "residency")));
  if (const Json& moves = child_at(status, "moves"); moves.is_array())
    for (const Json& move : moves)
      out.push_back(fmt::format("tenant {} moves from {} to {}: {}", text_at(move, "tenant"), text_at(move, "from"),
                                text_at(move, "to"), text_at(move, "phase")));
  return out;
}

std::string quorum_line(const Json& status) {
  const Json& quorum = child_at(status, "quorum");
  const auto age = number_at(quorum, "answered_ms_ago");
  std::string out = age ? "answered " + duration_text(*age) + " ago" : "never answered";
  if (const auto trouble = text_at(quorum, "trouble"); !trouble.empty()) out += ", trouble: " + trouble;
  const Json& etcd = child_at(quorum, "etcd");
  if (const auto leader = text_at(etcd, "leader"); !leader.empty()) out += ", leader " + leader;
  const auto bytes = number_at(etcd, "db_bytes"), quota = number_at(etcd, "quota_bytes");
  constexpr double kMiB = 1024.0 * 1024.0;
  if (bytes)
    out += fmt::format(", {:.1f} MiB of {}", static_cast<double>(*bytes) / kMiB,
                       quota ? fmt::format("{:.0f} MiB quota", static_cast<double>(*quota) / kMiB) : "unknown quota");
  return out;
}

namespace {

// Drills that somebody told this agent about, the last one first.
std::string drills_text(const Json& status, const Look& look) {
  const Json& drills = child_at(status, "drills");
  if (!drills.is_array() || drills.empty()) return "";
  std::vector<std::vector<std::string>> rows{{"DRILL", "LAST HELD", "EVERY", "LAST TRY"}};
  for (const Json& each : drills) {
    const auto every = number_at(each, "every_days");
    const std::string at = text_at(each, "at"), held = text_at(each, "held_at"), broken = text_at(each, "broken");
    rows.push_back({text_at(each, "drill"), held.empty() ? "never" : held.substr(0, 16),
                    every ? fmt::format("{} d", *every) : "-",
                    at.empty()       ? "never"
                    : broken.empty() ? "held"
                                     : at.substr(0, 16) + " " + broken});
  }
  return columns_text(rows, look);
}

}  // namespace

std::vector<std::string> late_drills(const Json& status) {
  std::vector<std::string> out;
  const Json& drills = child_at(status, "drills");
  if (!drills.is_array()) return out;
  for (const Json& each : drills) {
    if (!true_at(each, "late")) continue;
    const auto age = number_at(each, "age_days");
    out.push_back(fmt::format("drill {} {}, every {} days are wanted: domicile drill run {}", text_at(each, "drill"),
                              age ? fmt::format("was held {} days ago", *age) : "was never held",
                              number_at(each, "every_days").value_or(0), text_at(each, "drill")));
  }
  return out;
}

std::string status_text(const Json& status, const Look& look) {
  const Json& database = child_at(status, "database");
  const auto unsafe = unsafe_now(status);
  const std::string policy = text_at(status, "policy");
  std::string out = painted(look, "1", text_at(status, "region")) +
                    fmt::format("  domicile {}  policy {}  {}\n\n", text_at(status, "version"), policy.substr(0, 12),
                                text_at(status, "at"));
  const Look plain{false, look.width};
  out += columns_text({{"quorum", quorum_line(status)},
                       {"database", !database.is_string()                 ? "none here (a voter)"
                                    : text_at(status, "database").empty() ? "commits"
                                                                          : text_at(status, "database")},
                       {"regions", lives_line(status)}},
                      plain);
  std::vector<std::vector<std::string>> rows = {
      {"RESIDENCY", "OWNER", "EPOCH", "MODE", "LAG", "COPY HERE", "LEASE", "WHY"}};
  for (const Json& each : residencies_of(status)) {
    const auto epoch = number_at(each, "epoch"), lease = number_at(each, "lease_ms");
    const auto owner = text_at(each, "owner");
    rows.push_back({text_at(each, "residency"), owner.empty() ? "nobody" : owner, epoch ? std::to_string(*epoch) : "-",
                    mode_cell(each), lag_cell(each), copy_cell(each),
                    !lease       ? "-"
                    : *lease > 0 ? duration_text(*lease)
                                 : "over",
                    why_cell(each)});
  }
  out += "\n" + columns_text(rows, look);
  const auto notes = notes_of(status), late = late_drills(status), warned = warned_now(status);
  if (const auto drills = drills_text(status, look); !drills.empty()) out += "\n" + drills;
  if (!unsafe.empty() || !notes.empty() || !late.empty() || !warned.empty()) out += "\n";
  for (const auto& each : unsafe) out += painted(look, "31", "unsafe: " + each) + "\n";
  for (const auto& each : late) out += painted(look, "31", "late:   " + each) + "\n";
  for (const auto& each : warned) out += painted(look, "33", "warns:  " + each) + "\n";
  for (const auto& each : notes) out += painted(look, "33", "waits:  " + each) + "\n";
  return out;
}

std::vector<Writer> writers_of(const Json& status) {
  std::vector<Writer> out;
  const auto here = text_at(status, "region");
  for (const Json& each : residencies_of(status)) {
    Writer writer{text_at(each, "residency"), text_at(each, "owner"), {}, false, {}};
    const auto mode = text_at(each, "mode"), to = text_at(each, "to");
    const auto epoch = number_at(each, "epoch").value_or(0);
    const auto nobody = [&](std::string why) {
      writer.region.clear();
      writer.why = std::move(why);
    };
    if (writer.region.empty()) {
      nobody("no record is known");
    } else if (mode == "moving") {
      nobody(fmt::format("moving to {} at epoch {} ({})", to, epoch, text_at(each, "cause")));
    } else if (mode == "draining" && to.empty()) {
      nobody(writer.region + " has given it up: it cannot write");
    } else if (writer.region == here) {
      writer.here = true;
      writer.until_ms = number_at(each, "lease_ms");
      if (!writer.until_ms)
        nobody("owned here at epoch " + std::to_string(epoch) + ", but no lease is open: " + text_at(each, "why"));
      else if (*writer.until_ms <= 0)
        nobody("the lease of " + here + " is over");
      else if (child_at(each, "glass").is_object())
        writer.why = fmt::format("on a person's word, without a quorum, at epoch {}", epoch);
      else if (mode == "draining")
        writer.why = fmt::format("draining to {}: only what has begun, then the fence", to);
      else
        writer.why = fmt::format("serving at epoch {}, each beat extends the lease", epoch);
    } else {
      const auto seen = seen_ms_ago(status, writer.region);
      if (true_at(each, "owner_expired"))
        nobody("the lease of " + writer.region + " is surely over");
      else if (seen) {
        writer.until_ms = std::max<std::int64_t>(0, life_ms(status) - *seen);
        writer.why = fmt::format("{} at epoch {}; surely over then, unless it beats again", mode, epoch);
      } else {
        writer.why = fmt::format("{} at epoch {}; its end is not known here", mode, epoch);
      }
    }
    writer.guard = text_at(child_at(each, "guard"), "state");
    if (const auto left = number_at(child_at(each, "guard"), "left_ms"); writer.guard == "open" && left && *left <= 0)
      writer.guard = "lapsed";
    if (const auto distrusted = text_at(each, "distrusted"); !distrusted.empty())
      writer.why += "; the quorum is distrusted, nothing renews from it";
    out.push_back(std::move(writer));
  }
  return out;
}

Json json_of(const std::vector<Writer>& writers) {
  Json out = Json::array();
  for (const Writer& each : writers)
    out.push_back({{"residency", each.residency},
                   {"writer", each.region.empty() ? Json() : Json(each.region)},
                   {"until_ms", each.until_ms && !each.region.empty() ? Json(*each.until_ms) : Json()},
                   {"here", each.here},
                   {"guard", each.guard.empty() ? Json() : Json(each.guard)},
                   {"why", each.why}});
  return out;
}

std::string writers_text(const Json& status, const Look& look) {
  std::vector<std::vector<std::string>> rows = {{"RESIDENCY", "MAY WRITE", "UNTIL", "GUARD HERE", "WHY"}};
  for (const Writer& each : writers_of(status)) {
    const std::string until = each.region.empty() ? "-"
                              : !each.until_ms    ? "unknown"
                                                  : (each.here ? "in " : "at most ") + duration_text(*each.until_ms);
    rows.push_back({each.residency, each.region.empty() ? "nobody" : each.region, until,
                    each.guard.empty() ? "unknown" : each.guard, each.why});
  }
  return columns_text(rows, look);
}

}  // namespace domicile::cli
