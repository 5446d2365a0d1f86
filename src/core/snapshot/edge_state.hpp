// edge.state: what the gateway tells its agent, one shared mapped file. Each nginx worker writes its own slot; nobody
// locks. Its reader is `read_edge_state` in src/edge/state.hpp.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "core/snapshot/view.hpp"

namespace domicile::snapshot {

inline constexpr std::size_t kWorkerSlots = 64;  // old workers finish beside new ones after a reload
inline constexpr char kEdgeMagic[8] = "DOMEDGE";
inline constexpr std::uint32_t kEdgeVersion = 1;

struct alignas(64) WorkerResidency {
  char name[kNameSize];  // written once, before `used`
  std::atomic<std::uint32_t> used;
  std::atomic<std::uint32_t> writes_in_flight;
};

struct alignas(64) WorkerSlot {
  std::atomic<std::int64_t> pid;       // 0: free
  std::atomic<std::uint64_t> started;  // the process's start time of /proc/PID/stat: a pid may be given again
  std::atomic<std::uint64_t> generation, tenants_generation;  // obeyed by every decision from now on
  std::atomic<std::uint64_t> obeyed_at;                       // CLOCK_BOOTTIME microseconds of that
  std::atomic<std::uint64_t> held, held_bytes;                // waiting now
  std::atomic<std::uint64_t> refused_snapshots;
  std::atomic<std::uint64_t> decisions[15];  // by Action; connections and requests
  // Writes in flight here whose tenant is held by a move that `generation` tells of. In the place of a sixteenth
  // decision, which was always 0: files that were made before keep their layout.
  std::atomic<std::uint64_t> moving_writes;
  WorkerResidency residencies[kMaxResidencies];
};

// The highest epochs that any worker obeyed: a restarted worker goes below none of them either.
struct alignas(64) EpochFloor {
  char name[kNameSize];
  std::atomic<std::uint32_t> used;  // 0 free, 1 being named, 2 named
  std::atomic<std::uint64_t> epoch;
};

struct EdgeFile {
  char magic[8];
  std::uint32_t version, slots;
  std::atomic<std::uint32_t> dropped;  // spare
  // The highest generation of tenants.snap that any worker obeyed: an older one has tenants where they lived once.
  std::atomic<std::uint64_t> tenants_floor;
  EpochFloor floors[kMaxResidencies];
  WorkerSlot workers[kWorkerSlots];
};
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);
static_assert(offsetof(WorkerSlot, residencies) == 192);  // as before there was a moving_writes
static_assert(offsetof(EdgeFile, floors) == 64);          // as in files that were made before there was a tenants_floor

}  // namespace domicile::snapshot
