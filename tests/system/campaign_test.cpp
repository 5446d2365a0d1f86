// A campaign as an operator runs it: a lab of its own under load while faults happen. Nothing acknowledged may be lost,
// nobody may see what cannot have been.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>

#include "base/clock.hpp"
#include "base/file.hpp"
#include "base/json.hpp"
#include "base/process.hpp"
#include "base/temp_dir.hpp"

namespace domicile {
namespace {

class Campaign : public testing::Test {
 protected:
  Outcome domicile(std::vector<std::string> words) {
    words.insert(words.begin(), DOMICILE_BINARY);
    const auto ran = run({words}, 1700 * kSecond);
    if (!ran) ADD_FAILURE() << render(ran.error());
    return ran ? *ran : Outcome{};
  }
  const std::string base_ = std::to_string(2000 + ::getpid() % 10000);
  const TempDir folder_;
  const std::string history_ = (folder_.path() / "history.jsonl").string();
};

TEST_F(Campaign, HoldsUnderFaultsAndItsHistoryIsJudgedTheSameAgain) {
  // ./test long goes on for longer, with other faults each time.
  const bool at_length = std::getenv("DOMICILE_LONG") != nullptr;
  const std::string seed = at_length ? std::to_string(::time(nullptr)) : "6";
  const auto ran = domicile({"campaign", "--minutes", at_length ? "10" : "1", "--seed", seed, "--base", base_,
                             "--history", history_, "--json"});
  ASSERT_EQ(ran.exit_code, 0) << "seed " << seed << "\n" << ran.out << ran.err;
  const auto verdict = parse_json(ran.out, "the verdict");
  ASSERT_TRUE(verdict) << ran.out;
  EXPECT_TRUE(ran.out.starts_with("{\"operations\":")) << ran.out;
  EXPECT_GT((*verdict)["operations"], 100);
  EXPECT_GT((*verdict)["faults"], 3);
  EXPECT_GT((*verdict)["acknowledged"], 50);
  EXPECT_EQ((*verdict)["anomalies"], 0);
  EXPECT_EQ((*verdict)["lost"], 0);
  EXPECT_EQ((*verdict)["forbidden_bytes"], 0);

  const auto again = domicile({"campaign", "check", history_, "--json"});
  EXPECT_EQ(again.exit_code, 0) << again.err;
  EXPECT_EQ(again.out, ran.out);

  // An acknowledged append that is not there any more in the end.
  std::string text = read_file(history_).value_or("");
  auto last = text.rfind("\"f\":\"last-list\"");
  const auto value = [&] { return text.find("\"value\":[", last) + 9; };
  while (last != std::string::npos && text[value()] == ']') last = text.rfind("\"f\":\"last-list\"", last - 1);
  ASSERT_NE(last, std::string::npos);
  text.erase(value(), text.find(']', value()) - value());
  ASSERT_TRUE(write_file(history_, text));
  const auto broken = domicile({"campaign", "check", history_, "--json"});
  EXPECT_EQ(broken.exit_code, 4) << broken.out;
  EXPECT_NE(broken.out.find("\"rule\":\"lost\""), std::string::npos) << broken.out;
}

TEST_F(Campaign, TellsItsFaultsBeforehandAndTheSameForOneSeed) {
  const auto once = domicile({"campaign", "--minutes", "10", "--seed", "7", "--dry-run"});
  EXPECT_EQ(once.exit_code, 0) << once.err;
  EXPECT_NE(once.out.find("kill-site"), std::string::npos);
  EXPECT_EQ(domicile({"campaign", "--minutes", "10", "--seed", "7", "--dry-run"}).out, once.out);
  EXPECT_EQ(domicile({"campaign", "--minutes", "forever"}).exit_code, 64);
  EXPECT_EQ(domicile({"campaign", "check", DOMICILE_BINARY}).exit_code, 4) << "no history";
}

}  // namespace
}  // namespace domicile
