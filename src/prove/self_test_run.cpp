#include <algorithm>
#include <thread>

#include "base/temp_dir.hpp"
#include "census/plant.hpp"
#include "prove/leaks.hpp"
#include "prove/self_test.hpp"

namespace domicile::prove {
namespace {

struct Planted {
  Leak leak;
  Expected expected;
};

// What is written must be on the disk where it belongs, not only in PostgreSQL's memory.
Result<void> settle(const Scene& scene) {
  auto sql = TRY(scene.sql(scene.site));
  TRY(sql.exec("checkpoint", monotonic_now() + 60 * kSecond));
  return {};
}

// By its own canary alone: what another leak has left at the same place does not count for it.
void judge(const census::Report& report, const std::string& canary, Planted& planted) {
  const Expected& expected = planted.expected;
  planted.leak.canary = canary;
  for (const auto& hit : report.hits) {
    if (hit.canary == canary) planted.leak.places.insert(hit.place);
    if (planted.leak.found || hit.canary != canary || hit.place != expected.place ||
        hit.file.find(expected.file) == std::string::npos || hit.chain.find(expected.chain) == std::string::npos)
      continue;
    planted.leak.found = true;
    planted.leak.where = fmt::format("{}: {}, {}", hit.place, hit.file, hit.chain);
  }
  if (planted.leak.found) return;
  const auto& places = planted.leak.places;
  planted.leak.where = fmt::format("not in {}: {}, but in {}", expected.place, expected.file,
                                   places.empty() ? "no place" : fmt::format("{}", fmt::join(places, ", ")));
}

}  // namespace

std::vector<Planting> all_leaks() {
  std::vector<Planting> all;
  // The product's own ways while nothing is switched off; replication before agents and gates are made to say things;
  // the network's last words need all of them.
  for (auto leaks : {widened_leaks(), database_leaks(), salvage_leaks(), replication_leaks(), backup_leaks(),
                     gateway_leaks(), network_leaks(), control_leaks()})
    all.insert(all.end(), leaks.begin(), leaks.end());
  return all;
}

bool await(Micros timeout, const std::function<bool()>& ready) {
  for (const Micros deadline = monotonic_now() + timeout; monotonic_now() < deadline;
       std::this_thread::sleep_for(std::chrono::milliseconds(50)))
    if (ready()) return true;
  return false;
}

std::size_t SelfTest::planted() const { return static_cast<std::size_t>(std::ranges::count_if(leaks, &Leak::planted)); }

std::size_t SelfTest::found() const { return static_cast<std::size_t>(std::ranges::count_if(leaks, &Leak::found)); }

bool SelfTest::held() const {
  return !leaks.empty() && planted() == leaks.size() && found() == leaks.size() && blind_spots.empty() &&
         phantoms.empty();
}

Result<Scene> open_scene(const drill::Field& field) {
  const auto& topology = field.topology();
  Scene scene;
  static_cast<Breach&>(scene) = TRY(breach_of(topology));
  scene.field = &field;
  const std::string& directory = topology::directory_of(topology).home;
  scene.tenant = TRY(field.clients(scene.residency, 1, directory)).at(0).tenant;
  scene.client = TRY(field.clients(scene.served, 1, directory)).at(0);
  scene.gateway = scene.client.gateways.at(0);
  auto here = TRY(scene.sql(scene.site)), there = TRY(scene.sql(scene.owner));
  TRY(here.exec("create schema leak"));
  if (!await(20 * kSecond, [&] {
        const auto rows = there.exec_params("select from domicile.tenant where tenant_id = $1", {scene.tenant});
        return rows && !rows->empty();
      }))
    return fail(Kind::unavailable, scene.owner + " does not learn of a new tenant");
  return scene;
}

Result<SelfTest> self_test(const drill::Field& field, const drill::Talk& talk) {
  const Micros begin = monotonic_now();
  SelfTest test;
  talk("looking for encodings that the census does not see through");
  test.blind_spots = TRY(census::blind_spots());
  Scene scene = TRY(open_scene(field));
  const TempDir scratch;
  std::vector<census::Canary> canaries{TRY(census::make_canary("nowhere"))};
  std::vector<Planted> planted;
  for (const Planting& planting : all_leaks()) {
    talk(fmt::format("leaking: {}: {}", planting.layer, planting.what));
    canaries.push_back(TRY(census::make_canary(fmt::format("leak-{}", planted.size()))));
    auto expected = planting.plant(scene, canaries.back());
    planted.push_back({{planting.layer, planting.what, expected.has_value()}, {}});
    if (expected)
      planted.back().expected = *std::move(expected);
    else
      planted.back().leak.where = one_line(expected.error());
  }
  CHECK_OK(settle(scene));
  talk("searching");
  const auto report = census::census(TRY(forbidden_places(field, scene.residency, scratch.path())), canaries);
  for (const auto& hit : report.hits)
    if (hit.canary == canaries[0].id) test.phantoms.push_back(hit.file);
  for (std::size_t i = 0; i < planted.size(); ++i) {
    if (planted[i].leak.planted) judge(report, canaries[i + 1].id, planted[i]);
    test.leaks.push_back(std::move(planted[i].leak));
  }
  test.seconds = static_cast<double>(monotonic_now() - begin) / kSecond;
  return test;
}

}  // namespace domicile::prove
