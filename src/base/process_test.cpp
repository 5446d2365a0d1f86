#include "base/process.hpp"

#include <gtest/gtest.h>
#include <signal.h>

namespace domicile {
namespace {

TEST(Process, RunGathersBothStreamsAndTheExitCode) {
  const auto r = run({{"sh", "-c", "cat; echo bad >&2; exit 3"}, {}, {}, {}, "in\n"}, 5 * kSecond);
  ASSERT_TRUE(r);
  EXPECT_EQ(r->out, "in\n");
  EXPECT_EQ(r->err, "bad\n");
  EXPECT_EQ(r->exit_code, 3);
}

TEST(Process, AMissingProgramIsAnErrorAndNoExitCode) {
  EXPECT_NE(run({{"/no/such/program"}}, kSecond).error().what.find("No such file"), std::string::npos);
}

TEST(Process, ATimeoutEndsTheChild) {
  EXPECT_EQ(run({{"sleep", "60"}}, 50 * kMillisecond).error().kind, Kind::unavailable);
}

TEST(Process, DestructionEndsIt) {
  pid_t pid = 0;
  {
    auto p = Process::start({{"sleep", "60"}});
    ASSERT_TRUE(p);
    pid = p->pid();
    EXPECT_TRUE(p->running());
  }
  EXPECT_NE(::kill(pid, 0), 0);
}

}  // namespace
}  // namespace domicile
