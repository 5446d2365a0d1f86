#include "moves.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "environment.hpp"

namespace domicile::sim {
namespace {

void tell(std::uint64_t seed, const MovePolicy& policy = {}) {
  for (const auto& line : run_move(seed, policy, true).story) fmt::print("{}\n", line);
}

// DOMICILE_SIM_SEEDS: how many; DOMICILE_SIM_MOVE tells the story of one.
TEST(SimulatedMoves, NoWriteIsLostAndNothingVanishesUnderFaults) {
  if (const auto seed = from_environment("DOMICILE_SIM_MOVE", 0); seed != 0) tell(seed);
  const auto seeds = from_environment("DOMICILE_SIM_SEEDS", by_length(2'000, 20'000));
  long writes = 0, done = 0, failed = 0;
  for (std::uint64_t seed = 1; seed <= seeds && failed < 5; ++seed) {
    const auto o = run_move(seed);
    if (!o.violation.empty()) ++failed, ADD_FAILURE() << "seed " << seed << ": " << o.violation;
    writes += o.writes, done += o.done;
  }
  fmt::print("{} moves: {} writes, {} done, {} taken back\n", seeds, writes, done, static_cast<long>(seeds) - done);
  EXPECT_GT(done, static_cast<long>(seeds) / 4);
  EXPECT_LT(done, static_cast<long>(seeds)) << "nothing ever took one back";
  EXPECT_GT(writes, static_cast<long>(seeds) * 100);
}

struct Broken {
  const char* name;
  bool MovePolicy::*rule;
};
class MoveMutation : public testing::TestWithParam<Broken> {};
void PrintTo(const Broken& broken, std::ostream* out) { *out << broken.name; }

TEST_P(MoveMutation, TurnsTheSimulationRed) {
  MovePolicy policy;
  policy.*GetParam().rule = true;
  for (std::uint64_t seed = 1; seed <= 3'000; ++seed) {
    const auto o = run_move(seed, policy);
    if (o.violation.empty()) continue;
    fmt::print("{}: seed {}: {}\n", GetParam().name, seed, o.violation);
    return;
  }
  FAIL() << "no seed noticed " << GetParam().name;
}

const Broken kBroken[] = {
    {"hold_unasked", &MovePolicy::hold_unasked},       {"seal_at_once", &MovePolicy::seal_at_once},
    {"flip_uncompared", &MovePolicy::flip_uncompared}, {"delete_unasked", &MovePolicy::delete_unasked},
    {"abort_flipped", &MovePolicy::abort_flipped},     {"blind_advance", &MovePolicy::blind_advance},
};
INSTANTIATE_TEST_SUITE_P(Rules, MoveMutation, testing::ValuesIn(kBroken),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace domicile::sim
