#include "lab/processes.hpp"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <thread>

#include "base/clock.hpp"
#include "lab/namespace.hpp"

namespace domicile::lab {
namespace {

struct Stat {
  char state = 'Z';
  pid_t parent = 0;
  std::uint64_t start = 0;
};

Stat stat_of(pid_t pid) {
  const auto text = read_file(fmt::format("/proc/{}/stat", pid));
  if (!text) return {};
  const std::size_t name_end = text->rfind(')');  // the name may hold blanks and brackets
  if (name_end == std::string::npos) return {};
  std::vector<std::string_view> fields;
  std::string_view rest = std::string_view(*text).substr(name_end + 2);
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find(' '), rest.size());
    fields.push_back(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  if (fields.size() < 20) return {};
  Stat stat;
  stat.state = fields[0][0];
  std::from_chars(fields[1].data(), fields[1].data() + fields[1].size(), stat.parent);
  std::from_chars(fields[19].data(), fields[19].data() + fields[19].size(), stat.start);
  return stat;
}

std::vector<pid_t> all_processes() {
  std::vector<pid_t> all;
  std::error_code code;
  for (const auto& entry : fs::directory_iterator("/proc", code)) {
    const std::string name = entry.path().filename().string();
    pid_t pid = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (error == std::errc() && end == name.data() + name.size()) all.push_back(pid);
  }
  return all;
}

std::string working_folder(pid_t pid) {  // empty when it cannot be told
  std::error_code code;
  return fs::read_symlink(fmt::format("/proc/{}/cwd", pid), code).string();
}

Result<Leftovers> load(const fs::path& file) {
  const Json json = TRY(parse_json(TRY(read_file(file)), file.string()));
  Leftovers left;
  left.boot_id = TRY(member<std::string>(json, "boot_id"));
  const auto id = [](const Json& of) -> Result<ProcessId> {
    return ProcessId{TRY(member<pid_t>(of, "pid")), TRY(member<std::uint64_t>(of, "start"))};
  };
  left.lab = TRY(id(TRY(member<Json>(json, "lab"))));
  for (const Json& inode : TRY(member<Json>(json, "namespaces")))
    if (inode.is_number_unsigned()) left.namespaces.insert(inode.get<std::uint64_t>());
  for (const Json& process : TRY(member<Json>(json, "processes"))) left.processes.push_back(TRY(id(process)));
  return left;
}

// A namespace's inode may since belong to somebody else's: the working folder must be ours as well.
std::vector<pid_t> still_there(const fs::path& directory, const Leftovers& left) {
  std::vector<pid_t> roots;
  for (const ProcessId& id : left.processes)
    if (alive(id)) roots.push_back(id.pid);
  std::vector<pid_t> found = descendants_of(roots);
  for (const std::uint64_t inode : left.namespaces)
    for (const pid_t pid : processes_in(inode))
      if (working_folder(pid).starts_with(directory.string() + "/")) found.push_back(pid);
  return found;
}

}  // namespace

std::uint64_t start_of(pid_t pid) {
  const Stat stat = stat_of(pid);
  return stat.state == 'Z' || stat.state == 'X' ? 0 : stat.start;
}

std::vector<pid_t> processes_in(std::uint64_t network_namespace) {
  std::vector<pid_t> all = all_processes();
  std::erase_if(all, [&](pid_t pid) {
    return network_namespace == 0 || network_namespace_of(pid) != network_namespace || start_of(pid) == 0;
  });
  return all;
}

std::vector<pid_t> processes_below(const fs::path& directory) {
  std::vector<pid_t> all = all_processes();
  std::erase_if(all, [&](pid_t pid) {
    return !(working_folder(pid) + "/").starts_with(directory.string() + "/") || start_of(pid) == 0;
  });
  return all;
}

std::vector<pid_t> descendants_of(const std::vector<pid_t>& roots) {
  std::multimap<pid_t, pid_t> children;
  for (const pid_t pid : all_processes()) children.emplace(stat_of(pid).parent, pid);
  std::vector<pid_t> found = roots;
  for (std::size_t i = 0; i < found.size(); ++i) {
    const auto [first, last] = children.equal_range(found[i]);
    for (auto it = first; it != last; ++it)
      if (std::find(found.begin(), found.end(), it->second) == found.end()) found.push_back(it->second);
  }
  return found;
}

Result<void> save(const fs::path& directory, const Leftovers& left) {
  Json json{{"boot_id", left.boot_id},
            {"lab", {{"pid", left.lab.pid}, {"start", left.lab.start}}},
            {"namespaces", left.namespaces},
            {"processes", Json::array()}};
  for (const ProcessId& id : left.processes) json["processes"].push_back({{"pid", id.pid}, {"start", id.start}});
  return write_file(directory / "leftovers.json", dump(json) + "\n");
}

ProcessId lab_of(const fs::path& directory) {
  const auto left = load(directory / "leftovers.json");
  return left && left->boot_id == host_boot_id() ? left->lab : ProcessId{};
}

Result<std::size_t> end_leftovers(const fs::path& directory, bool insist) {
  const fs::path file = directory / "leftovers.json";
  if (!fs::exists(file)) return 0;
  const auto left = load(file);
  if (!left) return wrap("cannot tell what an earlier lab has left in " + directory.string(), left.error());
  if (left->boot_id != host_boot_id()) return 0;  // nothing outlives a boot
  std::error_code code;
  const fs::path real = fs::canonical(directory, code);
  if (alive(left->lab) && left->lab.pid != ::getpid()) {
    if (!insist)
      return fail(Kind::conflict, fmt::format("a lab is running in {} (pid {})", directory.string(), left->lab.pid),
                  "domicile lab down");
    ::kill(left->lab.pid, SIGKILL);
  }
  std::set<pid_t> ended;
  for (int round = 0; round < 200; ++round) {  // a process may fork while we look
    const auto found = still_there(real, *left);
    if (found.empty() && (!alive(left->lab) || left->lab.pid == ::getpid())) {
      fs::remove(file, code);
      return ended.size();
    }
    for (const pid_t pid : found) {
      ::kill(pid, SIGKILL);
      ended.insert(pid);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return fail(Kind::failed, "processes of an earlier lab do not end", "look for the pids in " + file.string());
}

}  // namespace domicile::lab
