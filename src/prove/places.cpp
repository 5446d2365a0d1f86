#include "prove/places.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <set>

#include "base/http_client.hpp"

namespace domicile::prove {
namespace {

// Sorted, so that reports can be compared; empty where there is no such folder.
std::vector<fs::path> entries(const fs::path& folder) {
  std::vector<fs::path> all;
  std::error_code code;
  for (const auto& entry : fs::directory_iterator(folder, code)) all.push_back(entry.path());
  std::ranges::sort(all);
  return all;
}

std::string file_name(const fs::path& path) { return path.filename().string(); }

void add_site(const Layout& layout, const std::string& site, std::vector<Place>& places) {
  const fs::path folder = layout.directory / "sites" / site;
  for (const fs::path& entry : entries(folder)) places.push_back({site + ": " + file_name(entry), entry});
  std::error_code code;
  for (const fs::path& link : entries(folder / "postgres" / "pg_tblspc"))
    if (const fs::path target = fs::read_symlink(link, code); !code)
      places.push_back({site + ": tablespace " + file_name(link), target});
  places.push_back({site + ": certs", layout.directory / "certs" / site});
}

// Folders of tls_tap.c: in.server.PEER is what clients from there said to this site's servers.
bool own_words(const Layout& layout, const std::string& site, const std::string& folder) {
  const auto own = layout.addresses.find(site);
  for (const std::string& peer :
       {std::string("127.0.0.1"), std::string(lab::kClients), own == layout.addresses.end() ? "" : own->second})
    if (folder == "in.server." + peer) return true;
  return false;
}

void add_tls(const Layout& layout, const std::string& site, std::vector<Place>& places) {
  for (const fs::path& folder : entries(layout.recorded / "tls" / site))
    if (!own_words(layout, site, file_name(folder))) places.push_back({site + ": tls " + file_name(folder), folder});
}

// Folders of the relay: FROM-TO. Names may hold '-' themselves; whatever can be read as a way of this site is one.
void add_wan(const Layout& layout, const std::vector<std::string>& forbidden, std::vector<Place>& places) {
  for (const fs::path& way : entries(layout.recorded)) {
    const std::string name = file_name(way);
    if (name == "tls") continue;
    if (std::ranges::any_of(forbidden, [&](const std::string& site) {
          return name.starts_with(site + "-") || name.ends_with("-" + site);
        }))
      places.push_back({"wan: " + name, way});
  }
}

void add_lab(const Layout& layout, std::vector<Place>& places) {
  const std::set<std::string> others{"sites", "certs", "bin", file_name(layout.recorded)};
  for (const fs::path& entry : entries(layout.directory))
    if (!others.contains(file_name(entry))) places.push_back({"lab: " + file_name(entry), entry});
  for (const fs::path& entry : entries(layout.directory / "certs"))
    if (!layout.addresses.contains(file_name(entry))) places.push_back({"lab: certs/" + file_name(entry), entry});
}

// What a program that listens on `socket` tells. Everything that it can be asked for without a key.
Result<void> ask(const fs::path& socket, const std::vector<std::string>& questions, const fs::path& into) {
  CHECK_OK(make_directories(into, 0700));
  HttpClient client({}, socket.string());
  for (std::size_t i = 0; i < questions.size(); ++i) {
    const auto answer = TRY(client.send({"GET", "http://site" + questions[i], {}, "", 10 * kSecond}));
    CHECK_OK(write_file(into / fmt::format("{:02}", i), answer.body, 0600));
  }
  return {};
}

void add_answers(const drill::Field& field, const std::string& site, const fs::path& scratch,
                 std::vector<Place>& places) {
  const fs::path run = field.directory() / "sites" / site / "run", answers = scratch / site / "answers";
  places.push_back({site + ": answers", answers});
  const auto told = [&](const char* program, const std::vector<std::string>& questions) {
    if (!ask(run / fmt::format("{}.sock", program), questions, answers / program))
      places.push_back({fmt::format("{}: answers of its {}", site, program), answers / "none"});
  };
  told("agent", questions_to_agent(field.topology()));
  if (topology::region_of(field.topology(), site) != nullptr)
    told("gate", {"/healthz", "/v1/links", "/v1/transfers", "/v1/denials"});
}

Result<void> copy(const Fd& from, const fs::path& to) {
  const Fd file(::open(to.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  std::string buffer(1 << 20, '\0');
  for (off_t at = 0; file;) {
    const ssize_t n = ::pread(from.get(), buffer.data(), buffer.size(), at);
    if (n == 0) return {};
    if (n < 0 || ::write(file.get(), buffer.data(), static_cast<std::size_t>(n)) != n) break;
    at += n;
  }
  return tl::unexpected<Error>(errno_error("cannot copy a deleted file to " + to.string()));
}

// A copy, because the process may close it at any time; each file once, whoever holds it.
Result<void> copy_deleted(const std::vector<pid_t>& processes, const fs::path& into) {
  CHECK_OK(make_directories(into, 0700));
  std::set<std::pair<dev_t, ino_t>> seen;
  for (const pid_t pid : processes)
    for (const fs::path& link : entries(fmt::format("/proc/{}/fd", pid))) {
      std::error_code code;
      const std::string target = fs::read_symlink(link, code).string();
      struct stat info {};
      if (!target.ends_with(" (deleted)") || ::stat(link.c_str(), &info) != 0 || !S_ISREG(info.st_mode) ||
          !seen.emplace(info.st_dev, info.st_ino).second)
        continue;
      const Fd file(::open(link.c_str(), O_RDONLY | O_CLOEXEC));
      if (!file && errno == ENOENT) continue;  // closed meanwhile: it holds nothing any more
      if (!file)
        return tl::unexpected<Error>(errno_error("cannot open a deleted file of process " + std::to_string(pid)));
      CHECK_OK(copy(file, into / fmt::format("{}.{}", pid, file_name(link))));
    }
  return {};
}

Result<void> add_processes(const drill::Field& field, const std::string& site, const fs::path& scratch,
                           std::vector<Place>& places) {
  const auto processes = lab::processes_below(fs::canonical(field.directory()) / "sites" / site);
  if (processes.empty())
    return fail(Kind::unavailable, "no process of " + site + " can be seen", "be the user who has started the lab");
  CHECK_OK(copy_deleted(processes, scratch / site / "deleted"));
  places.push_back({site + ": deleted", scratch / site / "deleted"});
  return {};
}

}  // namespace

std::vector<std::string> forbidden_sites(const topology::Topology& topology, const std::string& residency) {
  std::vector<std::string> sites;
  const auto* rules = topology::residency_of(topology, residency);
  for (const auto& site : topology::sites_of(topology))
    if (rules == nullptr || topology::form_at(topology, *rules, site.str()) != topology::Form::full)
      sites.push_back(site);
  return sites;
}

std::vector<std::string> questions_to_agent(const topology::Topology& topology) {
  std::vector<std::string> all{"/metrics",   "/healthz",     "/readyz",    "/v1/status", "/v1/events?count=1000000",
                               "/v1/layers", "/v1/observed", "/v1/epochs", "/v1/moves",  "/v1/salvage"};
  for (const auto& residency : topology.residencies) all.push_back("/v1/copies/" + residency.name.str());
  return all;
}

std::vector<Place> places_on_disk(const Layout& layout, const std::vector<std::string>& forbidden) {
  std::vector<Place> places;
  for (const std::string& site : forbidden) {
    add_site(layout, site, places);
    add_tls(layout, site, places);
  }
  add_wan(layout, forbidden, places);
  add_lab(layout, places);
  return places;
}

Result<std::vector<Place>> forbidden_places(const drill::Field& field, const std::string& residency,
                                            const fs::path& scratch) {
  if (field.recorded().empty())
    return fail(Kind::conflict, "the lab that runs does not record what crosses",
                "domicile lab down, then domicile lab up --record");
  Layout layout{fs::canonical(field.directory()), field.recorded(), {}};
  const Json status = TRY(field.lab_status());
  std::set<std::string> killed;
  for (const Json& site : TRY(member<Json>(status, "sites"))) {
    const auto name = TRY(member<std::string>(site, "site"));
    layout.addresses[name] = TRY(member<std::string>(site, "address"));
    if (TRY(member<bool>(site, "killed"))) killed.insert(name);
  }
  const auto forbidden = forbidden_sites(field.topology(), residency);
  std::vector<Place> live;
  for (const std::string& site : forbidden) {
    if (killed.contains(site)) continue;  // nothing of it runs: nobody answers or holds a file
    add_answers(field, site, scratch, live);
    CHECK_OK(add_processes(field, site, scratch, live));
  }
  auto places = places_on_disk(layout, forbidden);
  places.insert(places.end(), live.begin(), live.end());
  return places;
}

}  // namespace domicile::prove
