#include "drill/measure.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace domicile::drill {
namespace {

constexpr Micros kBegin = 1'000 * kSecond;
constexpr Micros kMs = kMillisecond;

Write write_at(Micros intended, Micros waited, Outcome outcome = Outcome::acknowledged) {
  return {fmt::format("w{}", intended), 0, intended, intended + waited, outcome, 0, 1};
}

// 100 writes a second for `length`, every one answered after 10 ms except those that `change` changes.
template <class Change>
std::vector<Write> steady(Micros length, Change change) {
  std::vector<Write> writes;
  for (Micros at = kBegin; at < kBegin + length; at += 10 * kMs) {
    Write write = write_at(at, 10 * kMs);
    change(write, at - kBegin);
    writes.push_back(write);
  }
  return writes;
}

TEST(Rto, IsTheStartOfTheFirstGoodSecondThatLasts) {
  const Micros fault = kBegin + 5 * kSecond;
  struct {
    const char* name;
    std::function<void(Write&, Micros)> change;
    std::optional<Micros> want;
  } cases[] = {
      {"service never left", [](Write&, Micros) {}, 0},
      {"refused for four seconds",
       [](Write& w, Micros at) {
         if (at >= 5 * kSecond && at < 9 * kSecond) w.outcome = Outcome::refused;
       },
       3'990 * kMs},  // one bad write in a hundred is the 99 %
      {"an unknown outcome is not an acknowledgement",
       [](Write& w, Micros at) {
         if (at >= 5 * kSecond && at < 9 * kSecond) w.outcome = Outcome::unknown;
       },
       3'990 * kMs},
      {"held writes that are acknowledged in the end were not served",
       [](Write& w, Micros at) {
         if (at >= 5 * kSecond && at < 9 * kSecond) w.done = kBegin + 9 * kSecond + 20 * kMs;
       },
       3'010 * kMs},  // those that fell due in the last second waited less than a second
      {"a good second that does not last is no recovery",
       [](Write& w, Micros at) {
         const bool good = at >= 7 * kSecond && at < 9 * kSecond;
         if (at >= 5 * kSecond && at < 11 * kSecond && !good) w.outcome = Outcome::refused;
       },
       5'990 * kMs},
      {"it never comes back",
       [](Write& w, Micros at) {
         if (at >= 5 * kSecond) w.outcome = Outcome::refused;
       },
       {}},
      {"one tenant of twenty is still down: five in a hundred",
       [](Write& w, Micros at) {
         if (at >= 5 * kSecond && (at < 8 * kSecond || at / (10 * kMs) % 20 == 0)) w.outcome = Outcome::refused;
       },
       {}},
      {"the writes end before three good seconds are seen",
       [](Write& w, Micros at) {
         if (at >= 5 * kSecond && at < 18 * kSecond) w.outcome = Outcome::refused;
       },
       {}},
  };
  for (const auto& c : cases) EXPECT_EQ(rto(steady(20 * kSecond, c.change), fault), c.want) << c.name;
  EXPECT_EQ(rto({}, fault), std::nullopt) << "no writes prove nothing";
}

RC_GTEST_PROP(Rto, EndsAtASecondThatIsReallyGoodAndNoEarlierWriteBeginsOne, (const std::vector<bool>& pattern)) {
  std::vector<Write> writes;  // ten a second
  for (std::size_t i = 0; i < pattern.size(); ++i)
    for (std::size_t k = 0; k < 5; ++k)
      writes.push_back(write_at(kBegin + static_cast<Micros>(i * 5 + k) * 100 * kMs, 1,
                                pattern[i] ? Outcome::acknowledged : Outcome::refused));
  const auto naive = [&](Micros from) {
    if (writes.back().intended < from + 3 * kSecond) return false;
    for (Micros second = from; second < from + 3 * kSecond; second += kSecond) {
      int offered = 0, good = 0;
      for (const Write& write : writes) {
        if (write.intended < second || write.intended >= second + kSecond) continue;
        ++offered;
        good += write.outcome == Outcome::acknowledged ? 1 : 0;
      }
      if (offered == 0 || good * 100 < offered * 99) return false;
    }
    return true;
  };
  std::optional<Micros> want;
  for (const Write& write : writes)
    if (!want && naive(write.intended)) want = write.intended - kBegin;
  RC_ASSERT(rto(writes, kBegin) == want);
}

TEST(Loss, IsTheExactListAndTheSpanUpToTheFault) {
  const Micros fault = kBegin + kSecond;
  const std::vector<Write> writes = {
      write_at(kBegin, 10 * kMs),
      write_at(kBegin + 800 * kMs, 50 * kMs),                       // acknowledged 150 ms before the fault
      write_at(kBegin + 900 * kMs, 50 * kMs),                       // 50 ms before
      write_at(kBegin + 950 * kMs, 3 * kSecond, Outcome::unknown),  // neither
      write_at(kBegin + 990 * kMs, 0, Outcome::refused),
  };
  const auto id = [&](std::size_t i) { return writes[i].id; };
  struct {
    const char* name;
    std::set<std::string> readable;
    std::vector<std::string> missing;
    Micros rpo;
  } cases[] = {
      {"all there", {id(0), id(1), id(2)}, {}, 0},
      {"the last one is missing", {id(0), id(1)}, {id(2)}, 50 * kMs},
      {"two are missing", {id(0), id(3)}, {id(1), id(2)}, 150 * kMs},
      {"a hole counts from its beginning", {id(0), id(2)}, {id(1)}, 150 * kMs},
  };
  for (const auto& c : cases) {
    const Loss found = loss(writes, c.readable, fault);
    EXPECT_EQ(found.missing, c.missing) << c.name;
    EXPECT_EQ(found.rpo, c.rpo) << c.name;
    EXPECT_EQ(found.readable + found.missing.size(), 3U) << c.name;
  }
  // A region that was cut off with clients inside goes on until its lease is over.
  const std::vector<Write> inside = {write_at(fault + 100 * kMs, 0), write_at(fault + 4'100 * kMs, 0)};
  EXPECT_EQ(loss(inside, {}, fault).rpo, 4 * kSecond);
}

RC_GTEST_PROP(Loss, AcknowledgedIsReadableOrListed, (const std::vector<std::pair<bool, bool>>& shape)) {
  std::vector<Write> writes;
  std::set<std::string> readable;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    writes.push_back(write_at(kBegin + static_cast<Micros>(i) * kMs, kMs,
                              shape[i].first ? Outcome::acknowledged : Outcome::unknown));
    if (shape[i].second) readable.insert(writes.back().id);
  }
  const Loss found = loss(writes, readable, kBegin);
  RC_ASSERT(found.readable + found.missing.size() == count(writes).acknowledged);
  for (const auto& id : found.missing) RC_ASSERT(!readable.contains(id));
}

TEST(Waits, AreOfWritesThatFellDueDuringTheHold) {
  const Micros hold = kBegin, release = kBegin + 500 * kMs;
  const std::vector<Write> writes = {
      write_at(hold - 1, 9 * kSecond),
      write_at(hold, 500 * kMs),
      write_at(hold + 100 * kMs, 400 * kMs, Outcome::refused),  // an error waited as well
      write_at(hold + 200 * kMs, 300 * kMs, Outcome::unknown),
      write_at(release, 3 * kMs),
      write_at(release + 1, 9 * kSecond),
  };
  EXPECT_EQ(waits(writes, hold, release), (std::vector<Micros>{500 * kMs, 400 * kMs, 3 * kMs}));
}

TEST(Percentile, IsTheNearestRank) {
  std::vector<Micros> hundred;
  for (Micros i = 100; i >= 1; --i) hundred.push_back(i);
  EXPECT_EQ(percentile(hundred, 0.5), 50);
  EXPECT_EQ(percentile(hundred, 0.99), 99);
  EXPECT_EQ(percentile(hundred, 1), 100);
  EXPECT_EQ(percentile({7}, 0.99), 7);
  EXPECT_EQ(percentile({1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, 0.99), 10) << "of ten runs the p99 is the worst";
  EXPECT_EQ(percentile({}, 0.5), std::nullopt);
}

TEST(Writes, SurviveTheirText) {
  const std::vector<Write> writes = {write_at(kBegin, 5), write_at(kBegin + 1, 6, Outcome::unknown)};
  EXPECT_EQ(*writes_of(to_text(writes)), writes);
  for (const char* bad : {"x", "id 0 1 2 3 0 1", "id 0 1 2 -1 0 1", "id 0 1 2 0 0", "id 0 1 2 0 0 1 more", "\n"})
    EXPECT_FALSE(writes_of(bad)) << bad;
}

}  // namespace
}  // namespace domicile::drill
