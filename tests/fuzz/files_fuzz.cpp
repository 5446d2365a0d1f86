// Any bytes in the files that an agent reads: its configuration, what is on its site's disk, a saved plan, and what the
// gateway shares with it. A value or an error; and what was taken is the same when it is written and read again.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <fstream>

#include "agent/config.hpp"
#include "agent/site_disk.hpp"
#include "base/json.hpp"
#include "base/temp_dir.hpp"
#include "core/desired/plan.hpp"
#include "core/snapshot/edge_state.hpp"
#include "edge/state.hpp"
#include "edge/worker_id.hpp"

using namespace domicile;

namespace {

// A file in memory, and its path.
struct MemoryFile {
  explicit MemoryFile(std::size_t size) : fd(memfd_create("fuzz", MFD_CLOEXEC)) {
    if (!fd || ftruncate(fd.get(), static_cast<off_t>(size)) != 0) std::abort();
  }
  std::string path() const { return "/proc/self/fd/" + std::to_string(fd.get()); }
  void put(std::size_t at, const void* bytes, std::size_t size) const {
    if (pwrite(fd.get(), bytes, size, static_cast<off_t>(at)) != static_cast<ssize_t>(size)) std::abort();
  }
  Fd fd;
};

void read_configuration(const std::string& text) {
  const MemoryFile file(0);
  file.put(0, text.data(), text.size());
  if (const auto config = agent::read_agent_config(file.path()); config && config->region.empty()) std::abort();
}

// The files of the disk stand one after another, separated by a byte 1.
void read_site_disk(const std::string& text) {
  static const TempDir directory;
  std::size_t at = 0;
  for (const char* name : {"epochs.json", "copies.json", "glass.json", "approvals.json", "switches.journal"}) {
    const std::size_t end = std::min(text.find('\1', at), text.size());
    std::ofstream(directory.path() / name, std::ios::binary) << text.substr(at, end - at);
    at = std::min(end + 1, text.size());
  }
  const auto disk = agent::SiteDisk::open(directory.path());
  if (!disk) return;
  for (const auto& step : (*disk)->steps())
    if (const auto again = authority::step_of(authority::to_text(step)); !again || *again != step) std::abort();
  for (const auto& [residency, known] : (*disk)->epochs()) (void)(*disk)->copy(residency);
}

void read_record(const std::string& text) {
  if (const auto record = authority::record_of(text)) {
    const auto again = authority::record_of(authority::to_text(*record));
    if (!again || *again != *record) std::abort();
  }
  if (const auto beat = authority::beat_of(text)) (void)authority::to_text(*beat);
}

void read_plan(const std::string& text) {
  const auto json = parse_json(text, "a plan");
  if (!json) return;
  const auto plan = desired::plan_from_json(*json);
  if (!plan) return;
  const auto again = desired::plan_from_json(desired::to_json(*plan));
  if (!again || *again != *plan) std::abort();
}

// The bytes lie somewhere in a file whose one worker lives: this process.
void read_gateway_state(const std::string& text) {
  namespace sn = snapshot;
  static const MemoryFile file(sizeof(sn::EdgeFile));
  if (text.size() < 4) return;
  std::uint32_t where;
  std::memcpy(&where, text.data(), sizeof where);
  const std::string bytes = text.substr(4, sizeof(sn::WorkerSlot));
  const std::size_t at = where % (sizeof(sn::EdgeFile) - bytes.size());
  const std::size_t slot = offsetof(sn::EdgeFile, workers);
  const std::int64_t pid = getpid();
  static const std::uint64_t started = edge::process_started(pid);
  file.put(0, sn::kEdgeMagic, sizeof sn::kEdgeMagic);
  file.put(offsetof(sn::EdgeFile, version), &sn::kEdgeVersion, sizeof sn::kEdgeVersion);
  file.put(slot + offsetof(sn::WorkerSlot, pid), &pid, sizeof pid);
  file.put(slot + offsetof(sn::WorkerSlot, started), &started, sizeof started);
  file.put(at, bytes.data(), bytes.size());
  if (const auto state = edge::read_edge_state(file.path())) {
    (void)state->generation_obeyed();
    (void)state->decisions();
    for (const auto& worker : state->workers)
      for (const auto& [residency, count] : worker.writes_in_flight) (void)state->writes_in_flight(residency);
  }
  file.put(at, std::string(bytes.size(), '\0').data(), bytes.size());
}

}  // namespace

// The first byte says which file the others are.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string text(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0]) {
    case 'a':
      read_configuration(text);
      break;
    case 'd':
      read_site_disk(text);
      break;
    case 'r':
      read_record(text);
      break;
    case 'p':
      read_plan(text);
      break;
    case 'e':
      read_gateway_state(text);
      break;
    default:
      break;
  }
  return 0;
}
