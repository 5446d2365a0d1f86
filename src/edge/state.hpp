// The agent's view of edge.state.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"

namespace domicile::edge {

struct WorkerState {
  std::int64_t pid = 0;
  std::uint64_t generation = 0, tenants_generation = 0;
  Micros obeyed_at = 0;  // CLOCK_BOOTTIME
  std::uint64_t held = 0, held_bytes = 0, refused_snapshots = 0;
  std::map<std::string, std::uint64_t> writes_in_flight;
  std::uint64_t moving_writes = 0;                 // in flight, of tenants that are held by a move
  std::map<std::string, std::uint64_t> decisions;  // by name_of(Action)
};

struct EdgeState {
  std::vector<WorkerState> workers;  // living ones only
  // Every decision from now on is by at least this generation of authority.snap. 0 when no worker lives: nobody obeys,
  // and nobody serves.
  std::uint64_t generation_obeyed() const;
  std::uint64_t writes_in_flight(const std::string& residency) const;
  std::uint64_t moving_writes() const;
  std::map<std::string, std::uint64_t> decisions() const;
};

// Does no write of `residency` come through this gateway any more, as far as `generation` of authority.snap forbids it?
// No file, or no worker that lives: nobody serves. An error of any other kind says nothing of the sort, and is
// returned.
Result<bool> at_rest(const Result<EdgeState>& state, const std::string& residency, std::uint64_t generation);

// The same for the tenants that `generation` holds because they move: no write of them comes through any more, and what
// was in flight has ended.
Result<bool> moves_at_rest(const Result<EdgeState>& state, std::uint64_t generation);

// Generations are read before the counts: a count of 0 beside a generation holds for every decision after it.
// unavailable: no file (nginx never ran); corrupt: not such a file; failed: it cannot be read.
Result<EdgeState> read_edge_state(const std::string& path);

}  // namespace domicile::edge
