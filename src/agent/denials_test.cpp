#include "agent/denials.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "base/temp_dir.hpp"

namespace domicile::agent {
namespace {

const Log kSilent(-1, Log::Format::text, Level::error, "");

HttpCall asked(const std::string& body = "{}") {
  HttpCall call;
  call.method = "POST";
  call.path = "/v1/switch";
  call.body = body;
  return call;
}
HttpReply refused(const std::string& what, int status = 403) {
  return {status, dump({{"what", what}, {"kind", "refused"}, {"code", "DOM-E610"}, {"fix", "ask somebody"}})};
}
std::string id_of(Denials& denials, const std::string& what, bool again = false, int status = 403,
                  const HttpCall& call = asked()) {
  HttpReply reply = refused(what, status);
  denials.name(call, "ann", again, reply);
  return member_or<std::string>(parse_json(reply.body, "answer").value(), "denial", "").value_or("");
}

TEST(ApiDenials, TheIdOfARefusalIsExplainedAfterARestartToo) {
  const TempDir dir;
  std::string id;
  {
    Denials denials(dir.path() / "denials", kSilent);
    id = id_of(denials, "ann may not");
  }
  const auto found = Denials(dir.path() / "denials", kSilent).find(id);
  ASSERT_TRUE(found) << id;
  EXPECT_EQ(id.size(), 18u);
  EXPECT_EQ(found->who, "ann");
  EXPECT_EQ(found->asked, "POST /v1/switch");
  EXPECT_EQ(found->rule, "DOM-E610");
  EXPECT_EQ(found->what, "ann may not");
  EXPECT_EQ(found->fix, "ask somebody");
  EXPECT_EQ(found->status, 403);
  EXPECT_GT(found->at, 0);
}

TEST(ApiDenials, OnlyWhatRefusesHasAnId) {
  const TempDir dir;
  Denials denials(dir.path() / "denials", kSilent);
  for (const int status : {200, 202, 400, 404, 500, 503, 504})
    EXPECT_EQ(id_of(denials, "x", false, status), "") << status;
  for (const int status : {403, 409, 412}) EXPECT_TRUE(id_of(denials, "x", false, status).starts_with("a-")) << status;
}

TEST(ApiDenials, APersonGetsANewIdEachTimeAndAnAgentThatRepeatsItselfDoesNot) {
  const TempDir dir;
  Denials denials(dir.path() / "denials", kSilent);
  std::set<std::string> ids;
  for (int i = 0; i < 3; ++i) ids.insert(id_of(denials, "x"));
  EXPECT_EQ(ids.size(), 3u);
  ids.clear();
  for (int i = 0; i < 3; ++i) ids.insert(id_of(denials, "y", true));
  EXPECT_EQ(ids.size(), 1u);
  EXPECT_NE(id_of(denials, "z", true), *ids.begin());
}

// As in the log: what a caller wrote gets in only where it has the shape of a name.
TEST(ApiDenials, NoWordsOfTheCallersAreKept) {
  const TempDir dir;
  Denials denials(dir.path() / "denials", kSilent);
  HttpCall call =
      asked(R"({"tenant": "erika@example.com", "list": [{"x": "Erika Mustermann"}], "to": "eu-central-1"})");
  call.path = "/v1/links/erika@example.org";
  call.query["residency"] = "erika mustermann";
  const auto id = id_of(denials, "'erika@example.com' and Erika Mustermann go not to eu-central-1 as erika mustermann",
                        false, 409, call);
  const auto found = denials.find(id);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->what, "'?' and ? go not to eu-central-1 as ?");
  EXPECT_EQ(found->asked, "POST ?");
  EXPECT_EQ(read_file(dir.path() / "denials").value_or("erika").find("rika"), std::string::npos);
}

TEST(ApiDenials, TheirFileStaysSmallAndKeepsTheLastThousand) {
  const TempDir dir;
  std::string first, last;
  {
    Denials denials(dir.path() / "denials", kSilent);
    first = id_of(denials, "x");
    for (std::size_t i = 0; i < Denials::kLines + 10; ++i) last = id_of(denials, std::string(2000, 'x'));
  }
  const std::string text = read_file(dir.path() / "denials").value_or("");
  EXPECT_LE(static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n')), Denials::kLines);
  EXPECT_LT(text.size(), Denials::kLines * 800);
  const Denials again(dir.path() / "denials", kSilent);
  EXPECT_TRUE(again.find(last));
  EXPECT_FALSE(again.find(first));
}

TEST(ApiDenials, WithoutAFileTheyLiveInMemory) {
  const TempDir dir;
  fs::create_directories(dir.path() / "denials");
  Denials denials(dir.path() / "denials", kSilent);
  EXPECT_TRUE(denials.find(id_of(denials, "x")));
}

}  // namespace
}  // namespace domicile::agent
