// What etcd's gateway answers, without an etcd: forms that were seen on 3.4.23, and damaged ones.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <set>

#include "base/temp_dir.hpp"
#include "engines/etcd/base64.hpp"
#include "engines/etcd/bootstrap.hpp"
#include "engines/etcd/etcd_quorum.hpp"
#include "engines/etcd/member.hpp"
#include "engines/etcd/status.hpp"

namespace domicile::etcd {
namespace {

TEST(Base64, KnownForms) {
  for (const auto& [bytes, text] : std::map<std::string, std::string>{{"", ""},
                                                                      {"f", "Zg=="},
                                                                      {"fo", "Zm8="},
                                                                      {"foo", "Zm9v"},
                                                                      {"\xff\xfe", "//4="},
                                                                      {std::string(1, '\0'), "AA=="}}) {
    EXPECT_EQ(to_base64(bytes), text);
    EXPECT_EQ(from_base64(text).value_or("?"), bytes);
  }
  for (const char* bad : {"Z", "Zg=", "Zg", "Zg===", "Z===", "====", "Zm9v\n", "Zm-v", "Z=9v"})
    EXPECT_FALSE(from_base64(bad)) << bad;
}

RC_GTEST_PROP(Base64, ComesBack, (const std::string& bytes)) {
  const auto back = from_base64(to_base64(bytes));
  RC_ASSERT(back);
  RC_ASSERT(*back == bytes);
}

RC_GTEST_PROP(PrefixEnd, IsJustAfterEveryKeyWithThePrefix, (const std::string& prefix, const std::string& rest)) {
  const std::string end = prefix_end(prefix);
  if (end == std::string(1, '\0')) return;  // to the end of all keys
  RC_ASSERT(prefix + rest < end);
  RC_ASSERT(prefix < end);
  RC_ASSERT(!end.starts_with(prefix) || prefix.empty());
}

TEST(Errors, SayWhetherAWriteMayHaveHappened) {
  const auto kind = [](const char* message, int code, Effect effect, long status = 400) {
    return error_of(status, dump({{"error", message}, {"message", message}, {"code", code}}), effect).kind;
  };
  EXPECT_EQ(kind("etcdserver: permission denied", 7, Effect::writes), Kind::refused);
  EXPECT_EQ(kind("etcdserver: invalid auth token", 16, Effect::writes), Kind::refused);
  EXPECT_EQ(kind("etcdserver: authentication failed, invalid user ID or password", 3, Effect::reads), Kind::refused);
  EXPECT_EQ(kind("etcdserver: user name already exists", 9, Effect::writes), Kind::failed);
  EXPECT_EQ(kind("etcdserver: mvcc: database space exceeded", 8, Effect::writes), Kind::unavailable);
  for (const int code : {1, 2, 4, 10, 13, 14}) {
    EXPECT_EQ(kind("etcdserver: request timed out", code, Effect::writes, 503), Kind::unknown_outcome) << code;
    EXPECT_EQ(kind("etcdserver: request timed out", code, Effect::reads, 503), Kind::unavailable) << code;
  }
  EXPECT_EQ(error_of(502, "<html>", Effect::writes).kind, Kind::unknown_outcome);
  EXPECT_EQ(error_of(502, "", Effect::reads).kind, Kind::unavailable);
  EXPECT_EQ(error_of(400,
                     "CommonName of client sending a request against gateway will be ignored and not used as "
                     "expected\n",
                     Effect::writes)
                .kind,
            Kind::refused);
}

TEST(Values, AreDecodedOrRefusedWhole) {
  const auto values = values_of(Json::parse(R"({"kvs":[{"key":"YQ==","value":"Yg=="},{"key":"Yw=="}],"count":"2"})"));
  ASSERT_TRUE(values);
  EXPECT_EQ(*values, (std::map<std::string, std::string>{{"a", "b"}, {"c", ""}}));
  EXPECT_TRUE(values_of(Json::parse(R"({"header":{}})"))->empty());  // an empty range has no list
  for (const char* bad : {R"({"kvs":{}})", R"({"kvs":[1]})", R"({"kvs":[{"value":"Yg=="}]})",
                          R"({"kvs":[{"key":"!","value":""}]})", R"({"kvs":[{"key":"YQ==","value":3}]})"})
    EXPECT_FALSE(values_of(Json::parse(bad))) << bad;
}

TEST(View, OneBadValueHidesNoOther) {
  const authority::Record record{.owner = "us-east-1", .epoch = 3, .mode = authority::Mode::serving, .switch_id = "s"};
  const authority::Beat beat{.boot = "b", .counter = 7};
  const auto view = view_of({{"domicile/authority/us", to_text(record)},
                             {"domicile/authority/eu", "{"},
                             {"domicile/beat/us-east-1", to_text(beat)},
                             {"domicile/beat/eu-central-1", "[]"},
                             {"domicile/later", "of another version"}});
  ASSERT_EQ(view.authorities.size(), 1U);
  EXPECT_EQ(view.authorities.at("us").value, record);
  EXPECT_EQ(view.authorities.at("us").text, to_text(record));
  ASSERT_EQ(view.beats.size(), 1U);
  EXPECT_EQ(view.beats.at("us-east-1").value, beat);
  EXPECT_EQ(view.unreadable.size(), 2U);
  EXPECT_EQ(authority::beat_text(view, "us-east-1"), to_text(beat));
  EXPECT_EQ(authority::beat_text(view, "eu-central-1"), "[]") << "what replaces it must name it";
  EXPECT_EQ(authority::beat_text(view, "eu-west-1"), std::nullopt);
}

TEST(StatusText, NumbersListsAndWhatIsMissing) {
  EndpointStatus endpoint;
  ASSERT_TRUE(fill(endpoint, Json::parse(R"({"header":{"member_id":"16928547059852863480","raft_term":"2"},
    "version":"3.4.23","dbSize":"20480","leader":"16928547059852863480","raftTerm":"2","dbSizeInUse":"16384"})")));
  EXPECT_EQ(endpoint.leader_id, endpoint.member_id);
  EXPECT_EQ(endpoint.db_bytes, 20480);
  ASSERT_TRUE(fill(endpoint, Json::parse(R"({"header":{"member_id":"1"}})")));
  EXPECT_EQ(endpoint.leader_id, "0");  // knows of none
  for (const char* bad : {"{}", R"({"header":[]})", R"({"header":{"member_id":"1"},"dbSize":"x"})",
                          R"({"header":{"member_id":"1"},"dbSize":"99999999999999999999"})",
                          R"({"header":{"member_id":"1"},"raftTerm":"-1"})"})
    EXPECT_FALSE(fill(endpoint, Json::parse(bad))) << bad;

  EXPECT_EQ(quota_of("# TYPE x\netcd_server_quota_backend_bytes 2.147483648e+09\n"), 2147483648);
  EXPECT_EQ(quota_of("nothing"), std::nullopt);
  EXPECT_EQ(quota_of("\netcd_server_quota_backend_bytes nan\n"), std::nullopt);

  const auto members = members_of(Json::parse(R"({"members":[{"ID":"5","name":"a","peerURLs":["p"]}]})"));
  ASSERT_TRUE(members);
  EXPECT_EQ(members->at(0).name, "a");
  EXPECT_FALSE(members_of(Json::parse(R"({"members":[{"name":"a"}]})")));
  EXPECT_FALSE(members_of(Json::parse(R"({"members":[{"ID":"5","peerURLs":[1]}]})")));
  EXPECT_EQ(alarms_of(Json::parse(R"({"alarms":[{"memberID":"5","alarm":"NOSPACE"}]})"))->at(0).kind, "NOSPACE");
  EXPECT_TRUE(alarms_of(Json::parse("{}"))->empty());
}

TEST(StatusText, LeaderIsWhatTheHighestTermSays) {
  Status status;
  status.members = {{"1", "us", {}, {}}, {"2", "eu", {}, {}}};
  EXPECT_EQ(status.leader(), "");
  status.endpoints = {{.leader_id = "1", .term = 4}, {.leader_id = "2", .term = 5}};
  EXPECT_EQ(status.leader(), "eu");
  EXPECT_FALSE(status.available());  // leaders are named from memory; only a read proves a majority
  status.endpoints.push_back({.problem = "no answer", .leader_id = "1", .term = 9});
  EXPECT_EQ(status.leader(), "eu");
  status.endpoints[0].healthy = true;
  EXPECT_TRUE(status.available());
}

TEST(Member, HasEverySettingOnceAndBothSidesAreMutualTls) {
  const auto flags = member_flags({.name = "us-east-1",
                                   .data = "/var/lib/etcd",
                                   .client_url = "https://10.0.0.1:2379",
                                   .peer_url = "https://10.0.0.1:2380",
                                   .cluster = {{"us-east-1", "https://10.0.0.1:2380"}, {"eu", "https://10.0.0.2:2380"}},
                                   .tls = {"ca.pem", "site.pem", "site.key"}});
  const std::set<std::string> set(flags.begin(), flags.end());
  EXPECT_EQ(set.size(), flags.size());
  for (const char* flag :
       {"--heartbeat-interval=100", "--election-timeout=1000", "--pre-vote=true", "--auto-compaction-mode=periodic",
        "--auto-compaction-retention=1h", "--quota-backend-bytes=2147483648", "--bcrypt-cost=4",
        "--client-cert-auth=true", "--peer-client-cert-auth=true", "--trusted-ca-file=ca.pem",
        "--peer-trusted-ca-file=ca.pem", "--initial-cluster=eu=https://10.0.0.2:2380,us-east-1=https://10.0.0.1:2380",
        "--initial-cluster-state=new"})
    EXPECT_TRUE(set.contains(flag)) << flag;
}

// deploy/etcd.default is for people who start etcd by Debian's unit: the same settings, as environment.
TEST(Member, DeployedDefaultsAreTheSameSettings) {
  const auto text = read_file(fs::path(DOMICILE_SOURCE) / "deploy/etcd.default");
  ASSERT_TRUE(text);
  for (const auto& [name, value] : member_settings()) {
    std::string line = "\nETCD_";
    for (const char c : name) line += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    line += "=" + value + "\n";
    EXPECT_NE(text->find(line), std::string::npos) << "deploy/etcd.default lacks" << line;
  }
}

TEST(Client, SaysUnavailableWhenNobodyListensAndRefusesLooseSecrets) {
  const TempDir dir;
  Client nobody({.endpoints = {"http://127.0.0.1:1", "http://127.0.0.1:2"}});
  const auto write = nobody.commit({.puts = {{"a", "b"}}});
  ASSERT_FALSE(write);
  EXPECT_EQ(write.error().kind, Kind::unavailable) << one_line(write.error());
  EXPECT_FALSE(Client({}).range("a"));

  const std::string loose = (dir.path() / "loose").string(), empty = (dir.path() / "empty").string();
  ASSERT_TRUE(write_file(loose, "secret", 0644));
  ASSERT_TRUE(write_secret(empty, "\n"));
  EXPECT_FALSE(read_password(loose));
  EXPECT_FALSE(read_password(empty));
  EXPECT_FALSE(ensure_auth({.endpoints = {"http://127.0.0.1:1"}, .user = "us-east-1"}, {}));
  EXPECT_FALSE(ensure_auth({.endpoints = {"http://127.0.0.1:1"}, .user = "root"}, {{"root", loose}}));
}

}  // namespace
}  // namespace domicile::etcd
