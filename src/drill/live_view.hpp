// The live view's picture: a pure function from what is known to lines of a terminal.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "base/clock.hpp"

namespace domicile::drill {

struct LiveRegion {
  std::string name, jurisdiction, state;  // up, killed, paused, no agent
  std::vector<std::string> cut_from;      // regions, or clients
};

struct LiveLink {  // a copy of the residency
  std::string to, form;
  std::optional<Micros> lag;  // empty: unknown
  std::string state = {};     // following, resync, …; shown where it does not follow
};

struct LiveResidency {
  std::string name, owner, mode, note;  // note: what waits for a person, or why nobody serves
  std::int64_t epoch = 0;
  std::vector<LiveLink> links;
  std::optional<double> writes_per_s;  // acknowledged; empty: no clients
  double offered_per_s = 0;            // a full block of the history
  std::size_t waiting = 0;             // fell due and have no answer yet
  std::size_t errors = 0;              // refused or unknown, of the last minute
  std::vector<double> history;         // acknowledged per second, oldest first
};

struct LiveEvent {
  Micros at = 0;
  std::string region, text;
};

struct LiveState {
  std::string title;  // where the lab lies, how it is isolated
  std::vector<LiveRegion> regions;
  std::vector<LiveResidency> residencies;
  std::vector<LiveEvent> events;          // oldest first
  std::vector<std::string> message;       // what the person's last key did; a drill's progress and result
  std::size_t region = 0, residency = 0;  // selected
};

// Lines of at most `columns` characters, `rows` of them at most, joined by "\r\n". Colours are ANSI.
std::string picture(const LiveState& state, int columns, int rows);
// One character per value, from a low to a full block; `whole` is a full one.
std::string sparkline(const std::vector<double>& values, double whole, std::size_t width);

}  // namespace domicile::drill
