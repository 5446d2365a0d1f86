// Which processes of this machine belong to the lab: exact over restarts of the lab and reuse of pids.
#pragma once
#include <sys/types.h>

#include <cstdint>
#include <set>
#include <vector>

#include "base/file.hpp"
#include "base/json.hpp"

namespace domicile::lab {

struct ProcessId {
  pid_t pid = 0;
  std::uint64_t start = 0;  // field 22 of /proc/PID/stat: a pid that was given to another process has another
  bool operator==(const ProcessId&) const = default;
};

std::uint64_t start_of(pid_t pid);  // 0 when there is no such process, or only its zombie
inline ProcessId identify(pid_t pid) { return {pid, start_of(pid)}; }
inline bool alive(const ProcessId& id) { return id.start != 0 && start_of(id.pid) == id.start; }

std::vector<pid_t> processes_in(std::uint64_t network_namespace);    // by its inode
std::vector<pid_t> processes_below(const fs::path& directory);       // by their working folder: there, or below it
std::vector<pid_t> descendants_of(const std::vector<pid_t>& roots);  // roots included

// What a lab has left running, in DIRECTORY/leftovers.json.
struct Leftovers {
  std::string boot_id;
  ProcessId lab;
  std::set<std::uint64_t> namespaces;
  std::vector<ProcessId> processes;
};
Result<void> save(const fs::path& directory, const Leftovers& leftovers);
ProcessId lab_of(const fs::path& directory);  // the daemon that wrote it; nobody when there is none
// SIGKILL for exactly what an earlier lab in this directory has left; none is fine. `conflict`: that lab still lives
// (pass its pid's end first, or insist).
Result<std::size_t> end_leftovers(const fs::path& directory, bool insist);

}  // namespace domicile::lab
