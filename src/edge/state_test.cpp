#include "edge/state.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <memory>
#include <sstream>

#include "base/temp_dir.hpp"
#include "core/snapshot/compile.hpp"
#include "core/snapshot/edge_state.hpp"
#include "edge/generations.hpp"
#include "edge/publish.hpp"

namespace domicile::edge {
namespace {

EdgeState two_workers(std::uint64_t first, std::uint64_t second, std::uint64_t in_flight = 0) {
  EdgeState state;
  state.workers.resize(2);
  state.workers[0].generation = first;
  state.workers[1].generation = second;
  state.workers[1].writes_in_flight["us"] = in_flight;
  return state;
}

TEST(AtRest, WhenEveryWorkerObeysAndNothingIsInFlight) {
  const auto rests = [](EdgeState state) { return at_rest(std::move(state), "us", 7).value(); };
  EXPECT_TRUE(rests(two_workers(7, 8)));
  EXPECT_FALSE(rests(two_workers(6, 8))) << "one has not seen it";
  EXPECT_FALSE(rests(two_workers(7, 8, 1))) << "a write is in flight";
  EXPECT_TRUE(rests(EdgeState{})) << "no worker lives";
}

TEST(MovesAtRest, WhenEveryWorkerObeysAndNoWriteOfAHeldTenantIsInFlight) {
  const auto rests = [](EdgeState state) { return moves_at_rest(std::move(state), 7).value(); };
  EdgeState one_writes = two_workers(7, 8);
  one_writes.workers[0].moving_writes = 1;
  EXPECT_TRUE(rests(two_workers(7, 8, 1))) << "a write of somebody else is in flight";
  EXPECT_FALSE(rests(two_workers(6, 8))) << "one has not seen it";
  EXPECT_FALSE(rests(one_writes));
  EXPECT_TRUE(rests(EdgeState{})) << "no worker lives";
}

TEST(MovesAtRest, AMissingFileIsNoGatewayAndABrokenOneIsNoAnswer) {
  const TempDir dir;
  const std::string path = (dir.path() / "edge.state").string();
  EXPECT_TRUE(moves_at_rest(read_edge_state(path), 7).value());
  std::ofstream(path) << "not a gateway's state";
  EXPECT_FALSE(moves_at_rest(read_edge_state(path), 7));
}

TEST(AtRest, AMissingFileIsNoGatewayAndABrokenOneIsNoAnswer) {
  const TempDir dir;
  const std::string path = (dir.path() / "edge.state").string();
  EXPECT_TRUE(at_rest(read_edge_state(path), "us", 7).value());
  std::ofstream(path) << "not a gateway's state";
  const auto broken = at_rest(read_edge_state(path), "us", 7);
  ASSERT_FALSE(broken);
  EXPECT_EQ(broken.error().kind, Kind::corrupt);
  std::ofstream(path, std::ios::trunc) << std::string(sizeof(snapshot::EdgeFile), '\0');
  EXPECT_FALSE(at_rest(read_edge_state(path), "us", 7)) << "the right size and nothing in it";
  if (::geteuid() == 0) return;  // root reads everything
  std::filesystem::permissions(path, std::filesystem::perms::none);
  EXPECT_FALSE(at_rest(read_edge_state(path), "us", 7));
}

TEST(LastAuthority, HasTheTenantsThatMoved) {
  const TempDir dir;
  snapshot::AuthoritySnapshot authority{
      .generation = 3, .region = "us-1", .policy_hash = "p", .boot_id = "b", .rows = {}};
  authority.moves = {{"acme", "eu", true}, {"other", "us", false}};
  ASSERT_TRUE(publish((dir.path() / "authority.snap").string(), snapshot::compile(authority).value()));
  const auto last = last_authority(dir.path().string());
  ASSERT_TRUE(last);
  EXPECT_EQ(last->moves, authority.moves);
}

TEST(Generations, GoOnAboveWhatTheFilesHold) {
  const TempDir dir;
  EXPECT_EQ(highest_generations(dir.path().string()).authority, 0U);
  snapshot::AuthoritySnapshot authority;
  authority.generation = 4'000'000'000'000'000;  // a clock that ran far ahead once gave it
  authority.region = "us-1";
  snapshot::TenantsSnapshot tenants;
  tenants.generation = 17;
  ASSERT_TRUE(publish((dir.path() / "authority.snap").string(), snapshot::compile(authority).value()));
  ASSERT_TRUE(publish((dir.path() / "tenants.snap").string(), snapshot::compile(tenants).value()));
  EXPECT_EQ(highest_generations(dir.path().string()).authority, 4'000'000'000'000'000U);
  EXPECT_EQ(highest_generations(dir.path().string()).tenants, 17U);
  std::ofstream(dir.path() / "authority.snap", std::ios::trunc) << "torn";
  EXPECT_EQ(highest_generations(dir.path().string()).authority, 0U);
}

// A gateway's state in which this process is the worker of the fourth slot.
std::unique_ptr<snapshot::EdgeFile> with_this_process() {
  auto file = std::make_unique<snapshot::EdgeFile>();
  std::copy_n(snapshot::kEdgeMagic, sizeof file->magic, file->magic);
  file->version = snapshot::kEdgeVersion;
  file->workers[3].pid = ::getpid();
  std::ifstream stat("/proc/self/stat");
  const std::string words((std::istreambuf_iterator<char>(stat)), {});
  std::istringstream rest(words.substr(words.rfind(')') + 2));
  std::string word;
  for (int field = 3; field <= 22; ++field) rest >> word;
  file->workers[3].started = std::stoull(word);
  return file;
}

void write(const std::filesystem::path& path, const snapshot::EdgeFile& file) {
  std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(&file), sizeof file);
}

TEST(EdgeState, TellsWritesInFlightOfHeldTenants) {
  const TempDir dir;
  const auto file = with_this_process();
  file->workers[3].generation = 7;
  file->workers[3].moving_writes = 2;
  write(dir.path() / "edge.state", *file);
  const auto state = read_edge_state((dir.path() / "edge.state").string());
  ASSERT_TRUE(state);
  EXPECT_EQ(state->moving_writes(), 2U);
  EXPECT_FALSE(moves_at_rest(state, 7).value());
  for (const auto& [action, count] : state->decisions()) EXPECT_EQ(count, 0U) << action;
}

TEST(Generations, GoOnAboveWhatALivingWorkerObeys) {
  const TempDir dir;
  const auto file = with_this_process();
  file->workers[3].generation = 90;
  file->workers[3].tenants_generation = 91;
  write(dir.path() / "edge.state", *file);
  const auto highest = highest_generations(dir.path().string());
  EXPECT_EQ(highest.authority, 90U);
  EXPECT_EQ(highest.tenants, 91U);
}

}  // namespace
}  // namespace domicile::edge
