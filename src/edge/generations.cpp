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

// What `read` finds in the file; a value of its own when there is no whole one.
template <class View, class Read>
auto read_snapshot(const std::string& path, Read read) -> decltype(read(View())) {
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat info {};
  if (!fd || ::fstat(fd.get(), &info) != 0 || info.st_size <= 0) return {};
  const auto size = static_cast<std::size_t>(info.st_size);
  void* mapped = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd.get(), 0);
  if (mapped == MAP_FAILED) return {};
  View view;
  decltype(read(view)) found{};
  if (view.open(mapped, size) == snapshot::Flaw::none) found = read(view);
  ::munmap(mapped, size);
  return found;
}

template <class View>
std::uint64_t generation_of(const std::string& path) {
  return read_snapshot<View>(path, [](const View& view) { return view.generation(); });
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

Generations highest_generations(const std::string& directory) {
  Generations highest{generation_of<snapshot::AuthorityView>(directory + "/authority.snap"),
                      generation_of<snapshot::TenantsView>(directory + "/tenants.snap")};
  const auto state = read_edge_state(directory + "/edge.state");
  if (!state) return highest;
  for (const auto& worker : state->workers) {
    highest.authority = std::max(highest.authority, worker.generation);
    highest.tenants = std::max(highest.tenants, worker.tenants_generation);
  }
  return highest;
}

std::optional<snapshot::AuthoritySnapshot> last_authority(const std::string& directory) {
  using snapshot::AuthorityView;
  return read_snapshot<AuthorityView>(directory + "/authority.snap",
                                      [](const AuthorityView& view) -> std::optional<snapshot::AuthoritySnapshot> {
                                        if (view.empty()) return {};
                                        snapshot::AuthoritySnapshot last;
                                        last.generation = view.generation();
                                        last.region = view.region();
                                        last.policy_hash = view.policy_hash();
                                        last.boot_id = view.boot_id();
                                        for (std::uint16_t i = 0; i < view.residencies(); ++i)
                                          last.rows.push_back(row_of(view.entry(i)));
                                        return last;
                                      });
}

}  // namespace domicile::edge
