// The lab as a daemon and how to speak to it: HTTP with JSON over DIR/lab.sock.
//
//   GET  /status                                      isolation, sites, paths, the folder recorded ("": none),
//                                                     faults that are held
//   POST /cut {"from","to","one_way"}  /heal {"from","to"} or {} for all
//   POST /slow {"from","to","bytes_per_s"}  /flap {"from","to","period_ms"}    both directions
//   POST /kill|pause|resume|start {"site"}  and the same with -program {"site","program"}
//   POST /disk {"site","full"}  /clock {"site","off_us"}    with instruments
//   POST /revoke {"site","whose"}  /unrevoke {"site"}      at the site, the certificates of another one
//   Any of these faults with "holder" {"drill","pid","start"}: see faults.hpp
//   POST /undo {"holder"} or {} for what anybody holds
//   POST /down
#pragma once
#include <functional>

#include "base/json.hpp"
#include "core/topology/topology.hpp"
#include "lab/faults.hpp"
#include "lab/lab.hpp"

namespace domicile::lab {

// The sites of a topology, regions first, voters last.
std::vector<Site> sites_of(const topology::Topology& topology);

// build/lab (lab-BASE with a base) below `checkout`; when that cannot be entered by the engines' user, a folder below
// /var/tmp that is named after it.
fs::path default_directory(const fs::path& checkout, int base);

// What `up` calls when the engines run, still inside the daemon: launches agents, gateways, services.
using Furnish = std::function<Result<void>(Lab&)>;

// The example's tables and its service, in every region. The binary domicile-demo must be among spec.binaries.
Result<void> launch_demo(Lab& lab, const fs::path& schema);

using Talk = std::function<void(const std::string&)>;  // what is being done, for people

// Starts a daemon with a lab and returns when it is up; the error is the daemon's. A daemon needs a fresh process
// without threads: call this first thing. SIGINT, SIGTERM and SIGHUP meanwhile end what has come up so far, and then
// this process. Of a lab that does not come up only the logs stay.
Result<void> start_daemon(const LabSpec& spec, const Furnish& furnish = {}, const Talk& talk = {});
// The same in this process, until SIGINT, SIGTERM or /down. `ready` is called once it is up.
Result<void> serve(const LabSpec& spec, const Furnish& furnish, const std::function<void()>& ready);

// Asks the daemon of this directory. `unavailable`: none runs there.
Result<Json> ask(const fs::path& directory, const std::string& method, const std::string& path, const Json& body = {});
// What stays on the disk of a lab that has ended. What was recorded always does: somebody asked for it.
enum class Leave { nothing, logs, all };
// Ends the daemon, or what a killed one has left, and removes what it made. Fine when there is nothing.
Result<void> down(const fs::path& directory, Leave leave = Leave::nothing);
// Only removes; the lab must have ended.
void clear(const fs::path& directory, Leave leave);

}  // namespace domicile::lab
