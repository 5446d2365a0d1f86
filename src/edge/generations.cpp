#include "edge/generations.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>

#include "base/file.hpp"
#include "core/snapshot/view.hpp"
#include "edge/state.hpp"

namespace domicile::edge {
namespace {

// Calls `take` with the view of a file that is there and whole.
template <class View, class Take>
void look_into(const std::string& path, Take take) {
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat info {};
  if (!fd || ::fstat(fd.get(), &info) != 0 || info.st_size <= 0) return;
  const auto size = static_cast<std::size_t>(info.st_size);
  void* mapped = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd.get(), 0);
  if (mapped == MAP_FAILED) return;
  View view;
  if (view.open(mapped, size) == snapshot::Flaw::none) take(view);
  ::munmap(mapped, size);
}

snapshot::AuthorityRow row_of(const snapshot::AuthorityEntry& entry) {
  return {.residency = entry.residency,
          .owner = entry.owner,
          .epoch = entry.epoch,
          .mode = entry.current_mode(),
          .switch_id = entry.switch_id,
          .lease_end = entry.lease_end,
          .here = entry.form_here(),
          .tunnel = entry.tunnel,
          .forward = entry.forward,
          .reads_stale = entry.reads_stale != 0};
}

}  // namespace

Written written_in(const std::string& directory) {
  Written written;
  look_into<snapshot::AuthorityView>(directory + "/authority.snap", [&](const snapshot::AuthorityView& view) {
    written.authority = view.generation();
    written.policy_hash = view.policy_hash();
  });
  look_into<snapshot::TenantsView>(directory + "/tenants.snap",
                                   [&](const snapshot::TenantsView& view) { written.tenants = view.generation(); });
  return written;
}

Generations highest_generations(const std::string& directory) {
  Generations highest = written_in(directory);
  const auto state = read_edge_state(directory + "/edge.state");
  if (!state) return highest;
  for (const auto& worker : state->workers) {
    highest.authority = std::max(highest.authority, worker.generation);
    highest.tenants = std::max(highest.tenants, worker.tenants_generation);
  }
  return highest;
}

std::optional<snapshot::AuthoritySnapshot> last_authority(const std::string& directory) {
  std::optional<snapshot::AuthoritySnapshot> last;
  look_into<snapshot::AuthorityView>(directory + "/authority.snap", [&](const snapshot::AuthorityView& view) {
    last.emplace();
    last->generation = view.generation();
    last->region = view.region();
    last->policy_hash = view.policy_hash();
    last->boot_id = view.boot_id();
    for (std::uint16_t i = 0; i < view.residencies(); ++i) last->rows.push_back(row_of(view.entry(i)));
    for (std::uint16_t i = 0; i < view.moves(); ++i)
      last->moves.push_back({view.move(i).tenant, view.move(i).residency, view.move(i).held != 0});
  });
  return last;
}

}  // namespace domicile::edge
