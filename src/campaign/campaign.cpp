#include "campaign/campaign.hpp"

#include <algorithm>
#include <thread>

#include "base/temp_dir.hpp"
#include "campaign/clients.hpp"
#include "campaign/ends.hpp"
#include "campaign/faults.hpp"
#include "campaign/watcher.hpp"
#include "census/census.hpp"
#include "engines/postgres/connection.hpp"
#include "prove/places.hpp"

namespace domicile::campaign {
namespace {

constexpr std::size_t kTenants = 4, kCanaries = 4;
constexpr Micros kServed = 60 * kSecond;  // until new tenants are known to the gateways

struct Residency {
  std::string name;
  std::vector<census::Canary> canaries;  // empty: it may lie everywhere
};

Result<std::vector<Residency>> residencies_of(const topology::Topology& topology) {
  std::vector<Residency> all;
  for (const auto& each : topology.residencies) {
    if (each.name == topology::kDirectory) continue;
    Residency residency{each.name.str(), {}};
    const auto forbidden = prove::forbidden_sites(topology, residency.name);
    for (std::size_t i = 0; !forbidden.empty() && i < kCanaries; ++i)
      residency.canaries.push_back(TRY(census::make_canary(fmt::format("{}-{}", residency.name, i))));
    all.push_back(std::move(residency));
  }
  return all;
}

Result<ClientsSpec> clients_of(const drill::Field& field, const Settings& settings, const Residency& residency,
                               std::size_t number, std::size_t of) {
  ClientsSpec spec;
  const auto directory = TRY(drill::owner_of(field, std::string(topology::kDirectory)));
  spec.tenants = TRY(field.clients(residency.name, kTenants, directory.owner));
  spec.count = std::max<std::size_t>(settings.clients / of, 1);
  spec.per_s = settings.per_s / static_cast<double>(of);
  spec.ca = field.ca();
  for (const auto& canary : residency.canaries) spec.notes.push_back(canary.value);
  if (spec.notes.empty()) spec.notes = {"a note"};
  spec.seed = settings.seed * 100 + number;
  spec.first_process = static_cast<std::int64_t>(number * spec.count);
  spec.processes = static_cast<std::int64_t>(of * spec.count);
  return spec;
}

// Until the faults are over, or `length` without any.
void pass(Micros length, const Recorder& recorder, const drill::Talk& talk) {
  const Micros end = monotonic_now() + length;
  for (Micros told = monotonic_now(); monotonic_now() < end;
       std::this_thread::sleep_for(std::chrono::milliseconds(50))) {
    if (monotonic_now() < told + 10 * kSecond) continue;
    told = monotonic_now();
    std::array<std::size_t, 4> count{};
    for (const auto& each : recorder.operations())
      if (history::by_client(each.deed)) ++count[static_cast<std::size_t>(each.type)];
    talk(fmt::format("{} operations: {} ok, {} refused, {} unknown; {} s left", count[0], count[1], count[2], count[3],
                     (end - told) / kSecond));
  }
}

// What lies in a database's memory alone would be found by nobody.
Result<void> flush(const drill::Field& field, const std::string& region) {
  auto connection = TRY(postgres::Connection::open(field.database(region)));
  CHECK_OK(connection.exec("CHECKPOINT", monotonic_now() + 60 * kSecond));
  CHECK_OK(connection.exec("SELECT pg_catalog.pg_switch_wal()", monotonic_now() + 60 * kSecond));
  return {};
}

Result<void> search(const drill::Field& field, const Residency& residency, Recorder& recorder,
                    const drill::Talk& talk) {
  const TempDir scratch;
  for (const auto& site : prove::forbidden_sites(field.topology(), residency.name))
    if (topology::region_of(field.topology(), site) != nullptr) CHECK_OK(flush(field, site));
  const auto places = TRY(prove::forbidden_places(field, residency.name, scratch.path()));
  talk(fmt::format("searching {} places for personal values of {}", places.size(), residency.name));
  const auto report = census::census(places, residency.canaries);
  if (!report.unsearched.empty())
    return fail(Kind::unavailable, fmt::format("{} of {} could not be searched: {}", report.unsearched[0].file,
                                               report.unsearched[0].place, report.unsearched[0].why));
  std::uint64_t bytes = 0;
  std::string first;
  for (const auto& hit : report.hits) {
    bytes += hit.count * census::kCanaryLength;
    if (first.empty()) first = fmt::format("{}: {}, {}", hit.place, hit.file, hit.chain);
  }
  talk(fmt::format("{} bytes searched, {} found", report.searched_bytes, bytes));
  recorder.note(history::Deed::census, residency.name, "", {static_cast<std::int64_t>(bytes)}, "", 0, first);
  return {};
}

}  // namespace

Ground ground_of(const topology::Topology& topology) {
  Ground ground;
  for (const auto& region : topology.regions) ground.regions.push_back(region.name);
  for (const auto& site : topology::sites_of(topology)) ground.sites.push_back(site.str());
  for (const auto& residency : topology.residencies)
    if (!residency.standby.empty()) ground.residencies.push_back(residency.name.str());
  return ground;
}

Result<history::Verdict> run(const drill::Field& field, const Settings& settings, const drill::Talk& talk) {
  const auto residencies = TRY(residencies_of(field.topology()));
  const auto recorder = TRY(Recorder::open(settings.history));
  std::vector<std::string> names;
  {
    std::vector<std::unique_ptr<Clients>> clients;
    for (std::size_t i = 0; i < residencies.size(); ++i) {
      const auto spec = TRY(clients_of(field, settings, residencies[i], i, residencies.size()));
      clients.push_back(TRY(Clients::start(spec, *recorder, kServed)));
      names.push_back(residencies[i].name);
    }
    const Watcher watcher(field, *recorder);
    talk(fmt::format("{} clients, {:g} operations/s", settings.clients, settings.per_s));
    Faults faults(field, draw_schedule(settings.seed, settings.length, ground_of(field.topology())), *recorder, talk);
    pass(settings.length, *recorder, talk);
    faults.stop();
    talk("every fault is undone; waiting until the regions are settled, under load");
    const auto settled = await_settled(field, settings.patience);
    for (auto& each : clients) each->stop();
    // What clients saw can still be judged; what is there in the end cannot.
    if (!settled) {
      talk("it is not judged to its end: " + one_line(settled.error()));
      return history::judge(recorder->operations());
    }
  }
  CHECK_OK(await_settled(field, settings.patience));
  CHECK_OK(record_ends(field, names, *recorder));
  for (const Residency& residency : residencies)
    if (!residency.canaries.empty() && !field.recorded().empty()) CHECK_OK(search(field, residency, *recorder, talk));
  CHECK_OK(recorder->written());
  return history::judge(recorder->operations());
}

}  // namespace domicile::campaign
