// The quorum's port against a real etcd of three members: conflicts, lost answers, lost members, lost leaders, users,
// and a restore from an older backup.
#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <sstream>

#include "cli/registry.hpp"
#include "engines/etcd/base64.hpp"
#include "engines/etcd/etcd_quorum.hpp"
#include "engines/etcd/status.hpp"
#include "lab/relay.hpp"
#include "support/etcd_cluster.hpp"

namespace domicile {
namespace {

using authority::Beat;
using authority::BeatRequest;
using authority::Mode;
using authority::Record;
using authority::Swap;
using authority::View;
using etcd::EtcdQuorum;
using test::EtcdCluster;
using test::eventually;
using test::must;

#define ASSERT_OK(x)                                   \
  do {                                                 \
    const auto& result_ = (x);                         \
    ASSERT_TRUE(result_) << one_line(result_.error()); \
  } while (false)

const std::string kUs = "us-east-1", kEu = "eu-central-1", kWest = "eu-west-1";

Record record(const std::string& owner, authority::Epoch epoch, Mode mode = Mode::serving) {
  return {.owner = owner,
          .epoch = epoch,
          .mode = mode,
          .switch_id = fmt::format("switch-{}", epoch),
          .from = owner,
          .to = owner};
}

Beat beat(std::int64_t counter) { return {.boot = "a-boot", .counter = counter}; }

std::optional<std::string> text_of_beat(const View& view, const std::string& region) {
  const auto found = view.beats.find(region);
  return found == view.beats.end() ? std::nullopt : std::optional(found->second.text);
}

std::optional<std::string> text_of(const View& view, const std::string& residency) {
  const auto found = view.authorities.find(residency);
  return found == view.authorities.end() ? std::nullopt : std::optional(found->second.text);
}

// Tests that leave the quorum whole share one; each finds it empty.
class SharedQuorum : public testing::Test {
 protected:
  static void SetUpTestSuite() { shared() = std::make_unique<EtcdCluster>(); }
  static void TearDownTestSuite() { shared().reset(); }
  void SetUp() override {
    etcd::Client root(cluster.access("root"));
    must(root.call("/v3/kv/deleterange",
                   {{"key", etcd::to_base64(etcd::kRoot)},
                    {"range_end", etcd::to_base64(etcd::prefix_end(std::string(etcd::kRoot)))}},
                   etcd::Effect::writes));
  }
  static std::unique_ptr<EtcdCluster>& shared() {
    static std::unique_ptr<EtcdCluster> cluster;
    return cluster;
  }
  EtcdCluster& cluster = *shared();
};

TEST_F(SharedQuorum, SecondOfTwoSwapsFailsAndSeesTheFirst) {
  EtcdQuorum us(cluster.access(kUs)), eu(cluster.access(kEu));
  const auto first = must(us.swap({.residency = "us", .next = record(kUs, 1)}));
  EXPECT_TRUE(first.applied);
  EXPECT_EQ(first.view.authorities.at("us").value, record(kUs, 1));  // read back after the puts

  const auto second = must(eu.swap({.residency = "us", .next = record(kEu, 1)}));
  EXPECT_FALSE(second.applied);
  EXPECT_EQ(second.view.authorities.at("us").value, record(kUs, 1));

  const std::string seen = second.view.authorities.at("us").text;
  EXPECT_TRUE(must(eu.swap({.residency = "us", .expected = seen, .next = record(kEu, 2)})).applied);
  EXPECT_FALSE(must(us.swap({.residency = "us", .expected = seen, .next = record(kUs, 3)})).applied);
  EXPECT_EQ(must(us.read()).authorities.at("us").value.owner, kEu);
}

TEST_F(SharedQuorum, TakeoverFailsOnceTheOldOwnersBeatMoved) {
  EtcdQuorum us(cluster.access(kUs)), eu(cluster.access(kEu));
  must(us.swap({.residency = "us", .next = record(kUs, 1)}));
  const auto before = must(us.beat({.region = kUs, .next = beat(1)})).view;
  const Swap takeover{.residency = "us",
                      .expected = text_of(before, "us"),
                      .next = record(kEu, 2, Mode::moving),
                      .beat_of = kUs,
                      .expected_beat = text_of_beat(before, kUs)};
  must(us.beat({.region = kUs, .expected = text_of_beat(before, kUs), .next = beat(2)}));
  EXPECT_FALSE(must(eu.swap(takeover)).applied);
  auto again = takeover;
  again.expected_beat = text_of_beat(must(eu.read()), kUs);
  EXPECT_TRUE(must(eu.swap(again)).applied);
}

TEST_F(SharedQuorum, BeatAndItsRideAreOne) {
  EtcdQuorum us(cluster.access(kUs));
  must(us.swap({.residency = "us", .next = record(kUs, 1, Mode::moving)}));
  const auto start = must(us.beat({.region = kUs, .next = beat(1)})).view;
  const Swap open{.residency = "us", .expected = text_of(start, "us"), .next = record(kUs, 1)};

  BeatRequest stale_beat{.region = kUs, .expected = std::nullopt, .next = beat(2), .ride = open};
  auto outcome = must(us.beat(stale_beat));
  EXPECT_FALSE(outcome.applied);
  EXPECT_EQ(outcome.view.authorities.at("us").value.mode, Mode::moving);

  BeatRequest stale_ride{.region = kUs, .expected = text_of_beat(start, kUs), .next = beat(2), .ride = open};
  stale_ride.ride->expected = to_text(record(kUs, 7));
  outcome = must(us.beat(stale_ride));
  EXPECT_FALSE(outcome.applied);
  EXPECT_EQ(outcome.view.beats.at(kUs).value.counter, 1);

  BeatRequest both{.region = kUs, .expected = text_of_beat(start, kUs), .next = beat(2), .ride = open};
  outcome = must(us.beat(both));
  EXPECT_TRUE(outcome.applied);
  EXPECT_EQ(outcome.view.beats.at(kUs).value.counter, 2);
  EXPECT_EQ(outcome.view.authorities.at("us").value.mode, Mode::serving);
}

// Bytes of JSON, base64 and etcd's gateway all in one: what is read is what was written.
TEST_F(SharedQuorum, KeepsEveryByteAndNamesWhatItCannotRead) {
  etcd::Client root(cluster.access("root"));
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes += static_cast<char>(i);
  const auto done = must(root.commit({.compares = {{"domicile/authority/eu", std::nullopt}},
                                      .puts = {{"domicile/authority/eu", bytes}, {"domicile/authority/us", ""}},
                                      .read_prefix = "domicile/"}));
  EXPECT_TRUE(done.applied);
  EXPECT_EQ(done.values.at("domicile/authority/eu"), bytes);
  EXPECT_EQ(done.values.at("domicile/authority/us"), "");
  EXPECT_TRUE(must(root.commit({.compares = {{"domicile/authority/eu", bytes}, {"domicile/authority/us", ""}},
                                .puts = {{"domicile/authority/eu", to_text(record(kEu, 1))}}}))
                  .applied);
  const auto view = must(EtcdQuorum(cluster.access(kUs)).read());
  EXPECT_EQ(view.authorities.at("eu").value.owner, kEu);
  EXPECT_TRUE(view.unreadable.contains("domicile/authority/us"));
}

// The request reaches the member and is committed; only the answer is lost on its way back.
TEST_F(SharedQuorum, LostAnswerIsUnknownAndTheNextReadTells) {
  const auto relay = must(lab::Relay::start({{"agent", -1}, {"member", -1}}));
  const int port = must(relay->add({.from = "agent",
                                    .to = "member",
                                    .service = "etcd",
                                    .listen_host = "127.0.0.1",
                                    .dial_host = "127.0.0.1",
                                    .dial_port = cluster.client_port(kUs)}));
  auto access = cluster.access(kUs);
  access.endpoints.front() = fmt::format("https://127.0.0.1:{}", port);
  EtcdQuorum us(access), other(cluster.access(kEu));
  const auto first = must(us.beat({.region = kUs, .next = beat(1)})).view;

  relay->cut("member", "agent");
  const BeatRequest second{.region = kUs, .expected = text_of_beat(first, kUs), .next = beat(2)};
  const auto lost = us.beat(second);
  ASSERT_FALSE(lost);
  EXPECT_EQ(lost.error().kind, Kind::unknown_outcome) << one_line(lost.error());
  ASSERT_TRUE(eventually([&] { return must(other.read()).beats.at(kUs).value == beat(2); }));
  // A blind repetition would meet itself; the next read goes to another member and shows our own value.
  EXPECT_EQ(must(us.read()).beats.at(kUs).value, beat(2));
  EXPECT_FALSE(must(us.beat(second)).applied);
}

TEST_F(SharedQuorum, RegionsWriteOnlyWhatIsTheirs) {
  EtcdQuorum us(cluster.access(kUs));
  const auto foreign_beat = us.beat({.region = kEu, .next = beat(1)});
  ASSERT_FALSE(foreign_beat);
  EXPECT_EQ(foreign_beat.error().kind, Kind::refused) << one_line(foreign_beat.error());
  const auto elsewhere = us.client().commit({.puts = {{"domicile/other", "x"}}});
  ASSERT_FALSE(elsewhere);
  EXPECT_EQ(elsewhere.error().kind, Kind::refused);
  const auto outside = us.client().range("other/");
  ASSERT_FALSE(outside);
  EXPECT_EQ(outside.error().kind, Kind::refused);
  const auto users = us.client().call("/v3/auth/user/add", {{"name", "x"}, {"password", "x"}}, etcd::Effect::writes);
  ASSERT_FALSE(users);
  EXPECT_EQ(users.error().kind, Kind::refused);

  auto nobody = cluster.access(kUs);
  nobody.user.clear();
  EXPECT_FALSE(EtcdQuorum(nobody).read());

  auto wrong = cluster.access(kUs);
  wrong.password_file = cluster.password_file(kEu).string();
  const auto password = EtcdQuorum(wrong).read();
  ASSERT_FALSE(password);
  EXPECT_EQ(password.error().kind, Kind::refused) << one_line(password.error());

  auto stranger = cluster.access(kUs);
  stranger.tls.certificate.clear();
  EXPECT_FALSE(EtcdQuorum(stranger).read());

  must(cluster.authority().issue(cluster.directory() / "named", {.common_name = "agent"}));
  auto named = cluster.access(kUs);
  named.tls.certificate = (cluster.directory() / "named.pem").string();
  named.tls.key = (cluster.directory() / "named.key").string();
  const auto common_name = EtcdQuorum(named).read();
  ASSERT_FALSE(common_name);
  EXPECT_EQ(common_name.error().kind, Kind::refused);
  EXPECT_NE(one_line(common_name.error()).find("common name"), std::string::npos) << one_line(common_name.error());
}

TEST_F(SharedQuorum, StatusShowsMembersLeaderAndQuota) {
  etcd::Client client(cluster.access(kUs));
  const auto status = etcd::status(client);
  EXPECT_EQ(status.problem, std::nullopt);
  EXPECT_TRUE(status.available());
  EXPECT_EQ(status.members.size(), 3U);
  EXPECT_FALSE(status.leader().empty());
  EXPECT_TRUE(status.alarms.empty());
  for (const auto& endpoint : status.endpoints) {
    EXPECT_EQ(endpoint.problem, "");
    EXPECT_TRUE(endpoint.healthy);
    EXPECT_EQ(endpoint.quota_bytes, 2147483648);
    EXPECT_GT(endpoint.db_bytes, 0);
  }
  etcd::Client root(cluster.access("root"));
  const auto alarm = [&](const char* action) {
    must(root.call("/v3/maintenance/alarm",
                   {{"action", action}, {"memberID", status.members[0].id}, {"alarm", "NOSPACE"}},
                   etcd::Effect::writes));
  };
  alarm("ACTIVATE");
  const auto full = etcd::status(client);
  ASSERT_EQ(full.alarms.size(), 1U);
  EXPECT_EQ(full.alarms[0].kind, "NOSPACE");
  const auto write = EtcdQuorum(cluster.access(kUs)).beat({.region = kUs, .next = beat(1)});
  ASSERT_FALSE(write);
  EXPECT_EQ(write.error().kind, Kind::unavailable) << one_line(write.error());
  alarm("DEACTIVATE");
  EXPECT_TRUE(etcd::status(client).alarms.empty());
}

// A member that is stopped takes the request in without answering, and may still act on it when it wakes up.
TEST(Quorum, StoppedMemberLeavesAnUnknownOutcomeThatIsWholeOrAbsent) {
  EtcdCluster cluster;
  EtcdQuorum us(cluster.access(kUs));
  must(us.swap({.residency = "us", .next = record(kUs, 1, Mode::moving)}));
  const auto start = must(us.beat({.region = kUs, .next = beat(1)})).view;
  cluster.pause(kUs);
  const BeatRequest request{.region = kUs,
                            .expected = text_of_beat(start, kUs),
                            .next = beat(2),
                            .ride = Swap{.residency = "us", .expected = text_of(start, "us"), .next = record(kUs, 1)}};
  const auto lost = us.beat(request);
  ASSERT_FALSE(lost);
  EXPECT_EQ(lost.error().kind, Kind::unknown_outcome) << one_line(lost.error());
  // The stopped member may have been the leader: the others elect one meanwhile.
  ASSERT_TRUE(eventually([&] { return us.read().has_value(); }));
  cluster.resume(kUs);
  cluster.await_healthy();
  const auto view = must(us.read());
  const bool happened = view.beats.at(kUs).value.counter == 2;
  EXPECT_EQ(view.authorities.at("us").value.mode, happened ? Mode::serving : Mode::moving);
  // Whether it happened or will: only one of the two can, because both compare the same values.
  const auto again = must(us.beat(request));
  EXPECT_EQ(again.view.beats.at(kUs).value.counter, 2);
  EXPECT_EQ(again.view.authorities.at("us").value.mode, Mode::serving);
}

TEST(Quorum, AnotherMemberAnswersWhenTheOwnOneIsGone) {
  EtcdCluster cluster;
  EtcdQuorum us(cluster.access(kUs));
  auto text = text_of_beat(must(us.beat({.region = kUs, .next = beat(1)})).view, kUs);
  cluster.kill(kUs);
  // Refused connections were surely not processed, so one call may go on to the next endpoint by itself. If the leader
  // died, a write may also fail once or be unknown until there is a new one.
  ASSERT_TRUE(eventually([&] {
    const auto done = us.beat({.region = kUs, .expected = text, .next = beat(2)});
    return done && (done->applied || text_of_beat(done->view, kUs) == to_text(beat(2)));
  }));
  cluster.start(kUs);
  cluster.await_healthy();
  EXPECT_EQ(must(us.read()).beats.at(kUs).value, beat(2));
}

TEST(Quorum, WithoutAMajorityNothingIsReadOrWritten) {
  EtcdCluster cluster;
  EtcdQuorum us(cluster.access(kUs));
  must(us.beat({.region = kUs, .next = beat(1)}));
  cluster.kill(kEu);
  cluster.kill(kWest);
  EXPECT_FALSE(us.read());
  const auto refused = us.swap({.residency = "us", .next = record(kUs, 1)});
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().kind == Kind::unknown_outcome || refused.error().kind == Kind::unavailable)
      << one_line(refused.error());
  const auto status = etcd::status(us.client());
  EXPECT_FALSE(status.available());
  EXPECT_FALSE(status.endpoints.at(1).problem.empty());
  cluster.start(kEu);
  EXPECT_TRUE(eventually([&] { return us.read().has_value(); }));
}

TEST(Quorum, UsersAreSetUpOnceAndMendedAfterwards) {
  EtcdCluster cluster({kUs, kEu, kWest}, true);
  auto users = cluster.users();
  users.back().voter = true;
  EXPECT_FALSE(must(etcd::ensure_auth(cluster.access("root"), users)).empty());
  // The same again as a person does it, with nothing left to change.
  const auto root_access = cluster.access("root");
  std::vector<std::string> line{"quorum",
                                "init",
                                "--endpoints",
                                root_access.endpoints.front(),
                                "--ca",
                                root_access.tls.ca,
                                "--certificate",
                                root_access.tls.certificate,
                                "--key",
                                root_access.tls.key,
                                "--root-password",
                                root_access.password_file,
                                "--voters",
                                kWest};
  for (const auto& user : users) line.push_back(user.site + "=" + user.password_file);
  std::ostringstream out, err;
  cli::Io io{out, err};
  EXPECT_EQ(cli::dispatch(cli::verbs(), line, io), cli::Exit::ok) << err.str();
  EXPECT_EQ(out.str(), "");
  EtcdQuorum us(cluster.access(kUs)), voter(cluster.access(kWest));
  EXPECT_TRUE(must(us.beat({.region = kUs, .next = beat(1)})).applied);
  EXPECT_EQ(must(voter.read()).beats.size(), 1U);
  EXPECT_FALSE(voter.beat({.region = kWest, .next = beat(1)}));

  // Somebody widened a role by hand, and a password changed; the token that `us` holds is stale after that.
  etcd::Client root(cluster.access("root"));
  must(root.call("/v3/auth/role/grant", {{"name", kWest}, {"perm", {{"permType", "READWRITE"}, {"key", "eA=="}}}},
                 etcd::Effect::writes));
  must(write_secret(cluster.password_file(kUs), "another"));
  const auto mended = must(etcd::ensure_auth(cluster.access("root"), users));
  EXPECT_EQ(std::set<std::string>(mended.begin(), mended.end()),
            (std::set<std::string>{kWest + " loses x", "password of " + kUs}));
  EXPECT_TRUE(must(us.beat({.region = kUs, .expected = to_text(beat(1)), .next = beat(2)})).applied);
}

// After a restore the revision comes back with other content; only values tell.
TEST(Quorum, RestoreFromAnOlderBackupShowsInTheValues) {
  EtcdCluster cluster;
  EtcdQuorum us(cluster.access(kUs));
  must(us.swap({.residency = "us", .next = record(kUs, 1)}));
  cluster.save(cluster.directory() / "backup");
  const std::string first = to_text(record(kUs, 1)), second = to_text(record(kEu, 2));
  EXPECT_TRUE(must(us.swap({.residency = "us", .expected = first, .next = record(kEu, 2)})).applied);
  cluster.restore(cluster.directory() / "backup");
  const auto view = must(us.read());  // with the users of the backup, and a token that nobody knows any more
  EXPECT_EQ(view.authorities.at("us").text, first);
  EXPECT_FALSE(must(us.swap({.residency = "us", .expected = second, .next = record(kEu, 3)})).applied);
  EXPECT_TRUE(must(us.swap({.residency = "us", .expected = first, .next = record(kUs, 3)})).applied);
}

TEST(Quorum, WritesGoOnAfterTheLeaderIsKilled) {
  EtcdCluster cluster;
  const std::string leader = cluster.leader();
  ASSERT_FALSE(leader.empty());
  const std::string survivor = leader == kUs ? kEu : kUs;
  EtcdQuorum quorum(cluster.access(survivor));
  must(quorum.beat({.region = survivor, .next = beat(1)}));
  cluster.kill(leader);
  const Micros killed = monotonic_now();
  std::string last = to_text(beat(1));
  std::int64_t counter = 1;
  int failures = 0;
  ASSERT_TRUE(eventually([&] {
    const auto done = quorum.beat({.region = survivor, .expected = last, .next = beat(counter + 1)});
    if (!done) return ++failures, false;
    if (const auto text = text_of_beat(done->view, survivor)) last = *text;
    counter = done->view.beats.at(survivor).value.counter;
    return done->applied;
  }));
  const Micros took = monotonic_now() - killed;
  fmt::print("first write {} ms after the leader was killed, {} failed before it\n", took / kMillisecond, failures);
  EXPECT_LT(took, 10 * kSecond);
  EXPECT_NE(cluster.leader(), leader);
}

}  // namespace
}  // namespace domicile
