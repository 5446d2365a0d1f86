#include "edge/state.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>

#include "base/file.hpp"
#include "core/snapshot/decision.hpp"
#include "core/snapshot/edge_state.hpp"
#include "edge/worker_id.hpp"

namespace domicile::edge {

namespace sn = domicile::snapshot;

std::uint64_t EdgeState::generation_obeyed() const {
  std::uint64_t least = workers.empty() ? 0 : UINT64_MAX;
  for (const auto& worker : workers) least = std::min(least, worker.generation);
  return least;
}

std::uint64_t EdgeState::writes_in_flight(const std::string& residency) const {
  std::uint64_t sum = 0;
  for (const auto& worker : workers) {
    const auto it = worker.writes_in_flight.find(residency);
    if (it != worker.writes_in_flight.end()) sum += it->second;
  }
  return sum;
}

std::uint64_t EdgeState::moving_writes() const {
  std::uint64_t sum = 0;
  for (const auto& worker : workers) sum += worker.moving_writes;
  return sum;
}

std::map<std::string, std::uint64_t> EdgeState::decisions() const {
  std::map<std::string, std::uint64_t> sum;
  for (const auto& worker : workers)
    for (const auto& [action, count] : worker.decisions) sum[action] += count;
  return sum;
}

// `in_flight`: how many of the writes in question a state tells of.
template <class InFlight>
static Result<bool> rests(const Result<EdgeState>& state, std::uint64_t generation, InFlight in_flight) {
  if (!state && state.error().kind == Kind::unavailable) return true;
  if (!state) return tl::unexpected<Error>(state.error());
  if (state->workers.empty()) return true;
  return state->generation_obeyed() >= generation && in_flight(*state) == 0;
}

Result<bool> at_rest(const Result<EdgeState>& state, const std::string& residency, std::uint64_t generation) {
  return rests(state, generation, [&](const EdgeState& seen) { return seen.writes_in_flight(residency); });
}

Result<bool> moves_at_rest(const Result<EdgeState>& state, std::uint64_t generation) {
  return rests(state, generation, [](const EdgeState& seen) { return seen.moving_writes(); });
}

static WorkerState read_slot(const sn::WorkerSlot& slot) {
  WorkerState worker;
  worker.pid = slot.pid;
  worker.generation = slot.generation.load(std::memory_order_acquire);
  worker.tenants_generation = slot.tenants_generation;
  worker.obeyed_at = static_cast<Micros>(slot.obeyed_at.load());
  worker.moving_writes = slot.moving_writes.load(std::memory_order_acquire);
  worker.held = slot.held;
  worker.held_bytes = slot.held_bytes;
  worker.refused_snapshots = slot.refused_snapshots;
  for (const auto& residency : slot.residencies) {
    if (residency.used.load(std::memory_order_acquire) == 0) break;
    worker.writes_in_flight[std::string(residency.name, strnlen(residency.name, sizeof residency.name))] =
        residency.writes_in_flight.load(std::memory_order_acquire);
  }
  for (std::size_t i = 0; i < sn::kActions; ++i)
    worker.decisions[std::string(sn::name_of(static_cast<sn::Action>(i)))] = slot.decisions[i];
  return worker;
}

Result<EdgeState> read_edge_state(const std::string& path) {
  Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) {
    const bool missing = errno == ENOENT;
    auto error = errno_error("cannot open the gateway's state " + path);
    if (missing) error.kind = Kind::unavailable;
    return tl::unexpected<Error>(std::move(error));
  }
  struct stat info {};
  if (fstat(fd.get(), &info) != 0) return tl::unexpected<Error>(errno_error("cannot look at " + path));
  if (static_cast<std::size_t>(info.st_size) != sizeof(sn::EdgeFile))
    return fail(Kind::corrupt, path + " has not the size of a gateway's state",
                "the gateway's modules and the agent must be of the same build");
  void* mapped = mmap(nullptr, sizeof(sn::EdgeFile), PROT_READ, MAP_SHARED, fd.get(), 0);
  if (mapped == MAP_FAILED) return tl::unexpected<Error>(errno_error("cannot map " + path));
  const auto& file = *static_cast<const sn::EdgeFile*>(mapped);
  EdgeState state;
  const bool ours = std::memcmp(file.magic, sn::kEdgeMagic, sizeof file.magic) == 0 && file.version == sn::kEdgeVersion;
  if (ours)
    for (const auto& slot : file.workers) {
      const auto pid = slot.pid.load(std::memory_order_acquire);
      if (pid != 0 && worker_lives(pid, slot.started)) state.workers.push_back(read_slot(slot));
    }
  munmap(mapped, sizeof(sn::EdgeFile));
  if (!ours) return fail(Kind::corrupt, path + " is no gateway's state");
  return state;
}

}  // namespace domicile::edge
