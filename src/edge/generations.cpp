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

template <class View>
std::uint64_t generation_of(const std::string& path) {
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat info {};
  if (!fd || ::fstat(fd.get(), &info) != 0 || info.st_size <= 0) return 0;
  const auto size = static_cast<std::size_t>(info.st_size);
  void* mapped = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd.get(), 0);
  if (mapped == MAP_FAILED) return 0;
  View view;
  const bool whole = view.open(mapped, size) == snapshot::Flaw::none;
  const std::uint64_t generation = whole ? view.generation() : 0;
  ::munmap(mapped, size);
  return generation;
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

}  // namespace domicile::edge
