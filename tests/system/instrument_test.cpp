// The instrument of `domicile prove residency` on a lab that records: it looks everywhere, finds nothing where nothing
// was leaked, and finds every leak that was made on purpose.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <iostream>
#include <set>

#include "base/process.hpp"
#include "base/temp_dir.hpp"
#include "core/topology/parse.hpp"
#include "prove/self_test.hpp"

namespace domicile::prove {
namespace {

constexpr const char* kRoot = DOMICILE_ROOT;

class Instrument : public testing::Test {
 protected:
  static Outcome domicile(std::vector<std::string> words) {
    words.insert(words.begin(), DOMICILE_BINARY);
    words.insert(words.end(), {"--base", base()});
    const auto ran = run({words}, 300 * kSecond);
    return ran ? *ran : Outcome{-1, "", render(ran.error())};
  }
  static std::string base() { return std::to_string(14000 + ::getpid() % 10000); }
  static fs::path folder() {
    return lab::default_directory(fs::path(DOMICILE_BINARY).parent_path().parent_path(), std::stoi(base()));
  }

  void SetUp() override {
    const fs::path file = fs::path(kRoot) / "examples/three-regions/topology.yaml";
    const auto wide = write_widened(file, wide_.path());
    ASSERT_TRUE(wide) << render(wide.error());
    const auto up = domicile({"lab", "up", "--record", "--topology", wide->string()});
    ASSERT_EQ(up.exit_code, 0) << up.err;
    auto field = drill::Field::open(folder(), *topology::load(*read_file(file), file.string()));
    ASSERT_TRUE(field) << render(field.error());
    field_.emplace(*std::move(field));
  }
  void TearDown() override {
    const auto down = domicile({"lab", "down"});
    EXPECT_EQ(down.exit_code, 0) << down.err;
    std::error_code code;
    fs::remove_all(folder() / "recorded", code);
    fs::remove(folder(), code);
    EXPECT_FALSE(fs::exists(folder())) << "something is left lying about";
  }

  std::vector<std::string> uncovered(const std::vector<Place>& places) const {
    std::vector<std::string> missed;
    std::error_code code;
    for (const auto& entry : fs::recursive_directory_iterator(fs::canonical(folder()), code)) {
      if (!entry.is_regular_file(code)) continue;
      const std::string file = entry.path().string();
      if (std::ranges::none_of(places, [&](const Place& place) {
            return file == place.path.string() || file.starts_with(place.path.string() + "/");
          }))
        missed.push_back(fs::relative(file, fs::canonical(folder())).string());
    }
    return missed;
  }

  const TempDir wide_;
  std::optional<drill::Field> field_;
};

// What no place covers must be another site's, a copy of a program, or an attacker's own words.
const testing::Matcher<std::string> kLeftOut =
    testing::AnyOf(testing::MatchesRegex("(sites|certs|recorded/tls)/eu-.*"), testing::StartsWith("bin/"),
                   testing::MatchesRegex("recorded/(host|eu-[a-z]+-1)-(host|eu-[a-z]+-1)/.*"),
                   testing::MatchesRegex("recorded/tls/us-east-1/in\\.server\\.127\\.(0\\.0|1\\.0|10\\.0)\\.1/.*"));

TEST_F(Instrument, LooksEverywhereAndFindsEveryLeakButNothingElse) {
  const TempDir scratch;
  const auto places = forbidden_places(*field_, "eu", scratch.path());
  ASSERT_TRUE(places) << render(places.error());
  EXPECT_THAT(uncovered(*places), testing::Each(kLeftOut));
  std::set<std::string> names;
  for (const auto& place : *places) names.insert(place.name);
  for (const char* name :
       {"us-east-1: postgres", "us-east-1: etcd", "us-east-1: agent", "us-east-1: gate", "us-east-1: gateway",
        "us-east-1: logs", "us-east-1: answers", "us-east-1: deleted", "us-east-1: tls out",
        "us-east-1: tls in.server.127.20.0.1", "us-east-1: tls in.client.127.20.0.1", "wan: eu-central-1-us-east-1"})
    EXPECT_TRUE(names.contains(name)) << name;
  std::set<std::string> tapped;
  for (const auto& file : fs::recursive_directory_iterator(folder() / "recorded/tls/us-east-1"))
    if (file.is_regular_file()) tapped.insert(file.path().filename().string().substr(0, 4));
  EXPECT_THAT(tapped, testing::IsSupersetOf({"agen", "gate", "post"}));

  const auto nowhere = census::census(*places, {*census::make_canary("nowhere")});
  EXPECT_TRUE(nowhere.clean()) << census::to_json(nowhere).dump(1);
  EXPECT_GT(nowhere.searched_bytes, 50U << 20);

  const auto test = self_test(*field_, [](const std::string& what) { std::cout << what << std::endl; });
  ASSERT_TRUE(test) << render(test.error());
  std::set<std::string> layers, canaries;
  for (const Leak& leak : test->leaks) {
    layers.insert(leak.layer);
    EXPECT_TRUE(canaries.insert(leak.canary).second) << leak.layer << ": " << leak.what << ": not its own canary";
    std::cout << fmt::format("{:12} {:50} {}\n", leak.layer, leak.what, leak.where);
    EXPECT_TRUE(leak.planted && leak.found) << leak.layer << ": " << leak.what << ": " << leak.where;
  }
  std::cout << fmt::format("{} leaks in {:.1f} s\n", test->leaks.size(), test->seconds);
  EXPECT_GE(test->leaks.size(), 16U);
  EXPECT_THAT(layers, testing::IsSupersetOf({"gateway", "database", "replication", "gate", "first_rows", "quorum",
                                             "backup", "tenant_move", "salvage"}));
  EXPECT_THAT(test->blind_spots, testing::IsEmpty());
  EXPECT_THAT(test->phantoms, testing::IsEmpty());
  EXPECT_TRUE(test->held());
}

}  // namespace
}  // namespace domicile::prove
