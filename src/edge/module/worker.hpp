// What one nginx worker knows: the snapshots that it obeys now, and its slot in edge.state. One thread, so no locks.
#pragma once
#include "core/snapshot/decision.hpp"
#include "core/snapshot/edge_state.hpp"
#include "edge/module/nginx.hpp"

namespace domicile::edge {

// A region that may own what is held in full here, and the address of its gateway for decrypted requests.
struct WarmPeer {
  char address[snapshot::kAddressSize], region[snapshot::kNameSize];
};

// Directives of the main context.
struct CoreConf {
  ngx_str_t directory;  // where the snapshots and edge.state are
  ngx_str_t region;
  ngx_uint_t hold_requests;
  size_t hold_bytes;
  ngx_msec_t hold_time;
  time_t retry_after;
  ngx_msec_t wind_down;         // over which kept connections end after a move
  ngx_uint_t warm_connections;  // kept open to each peer, in each worker
  ngx_array_t warm_peers;       // of WarmPeer
  ngx_uint_t released_at_once;  // held requests on their way to peers at the same time, in each worker
};
const CoreConf& core_conf();

const snapshot::World& world();
std::uint64_t generation();
std::int64_t boot_now();  // CLOCK_BOOTTIME, microseconds

void count(snapshot::Action action);
// What was refused has an id: "e-" and 16 digits, by chance and not by counting, so that it tells a client nothing of
// the others. Else empty.
using DenialId = char[2 + 16 + 1];
void name_denial(DenialId& id);
// The counter of writes in flight of a residency; never null, stays valid for the worker's life.
std::atomic<std::uint32_t>* writes_in_flight(std::string_view residency);

// How many writes in flight are of tenants that are held: asked at each change, before it is told that it is obeyed.
using Recount = std::uint64_t (*)();
void count_moving_writes_by(Recount recount);
void forget_moving_write();  // one of those counted has ended

// May one more wait? Counts it when it may. Every true needs one `leave_hold`.
bool enter_hold(std::size_t bytes);
void leave_hold(std::size_t bytes);

// Called after every change of what is obeyed.
using Listener = void (*)();
void on_change(Listener listener);

// nginx's own handler adds the client's address and the request line to every line of the error log; this one does not.
u_char* log_without_personal_data(ngx_log_t* log, u_char* buffer, size_t size);

}  // namespace domicile::edge
