// Writes tenants.snap for this region's gateway when the directory has changed: a thread of its own, since a million
// tenants take seconds to read and to compile.
#pragma once
#include <functional>
#include <optional>
#include <stop_token>

#include "agent/boards.hpp"
#include "agent/loop_life.hpp"
#include "base/file.hpp"
#include "base/log.hpp"
#include "core/snapshot/compile.hpp"

namespace domicile::agent {

// The directory as this region holds it.
struct Directory {
  std::string version;  // another one with every change
  std::vector<snapshot::TenantHost> hosts;
};
// Empty optional: it still is `known`.
using ReadDirectory = std::function<Result<std::optional<Directory>>(const std::string& known)>;

struct TenantsSetup {
  fs::path directory;  // the gateway's
  ReadDirectory read_directory;
  Log log{2, Log::Format::text, Level::info, ""};
};

class TenantsLoop {
 public:
  TenantsLoop(TenantsSetup setup, Published<TenantsSeen>& board) : setup_(std::move(setup)), board_(board) {}
  void run(const std::stop_token& stop);
  const LoopLife& life() const { return life_; }

 private:
  void look();

  TenantsSetup setup_;
  Published<TenantsSeen>& board_;
  LoopLife life_;
  std::string version_;  // of the directory in the last file; empty: none was written
  std::uint64_t generation_ = 0;
};

}  // namespace domicile::agent
