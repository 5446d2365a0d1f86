#include "core/history/history.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace domicile::history {
namespace {

const char* const kText =
    R"({"index":0,"time":1000,"process":"nemesis","type":"info","f":"bank","residency":"us","key":"b","value":[2,10]}
{"index":1,"time":2000,"process":0,"type":"invoke","f":"read","residency":"us","key":"r","value":[]}
{"index":2,"time":3000,"process":1,"type":"invoke","f":"cas","residency":"us","key":"r","value":[1,2]}
{"index":3,"time":4000,"process":0,"type":"ok","f":"read","residency":"us","key":"r","value":null,"node":"a","epoch":3}
{"index":4,"time":5000,"process":1,"type":"info","f":"cas","residency":"us","key":"r","value":[1,2],"note":"no answer"}
{"index":5,"time":6000,"process":0,"type":"invoke","f":"append","residency":"us","key":"l","value":[7]}
{"index":6,"time":7000,"process":0,"type":"ok","f":"append","residency":"us","key":"l","value":[7],"node":"a","epoch":3,"lsn":99}
{"index":7,"time":7000,"process":2,"type":"invoke","f":"balances","residency":"us","key":"b","value":[]}
{"index":8,"time":8000,"process":2,"type":"ok","f":"balances","residency":"us","key":"b","value":[8,12],"node":"a","epoch":3}
{"index":9,"time":9000,"process":"nemesis","type":"info","f":"fault","value":[],"node":"a","note":"kill"}
)";

TEST(History, IsReadAsItIsWritten) {
  const auto history = history_of(kText);
  ASSERT_TRUE(history) << render(history.error());
  ASSERT_EQ(history->size(), 10U);
  EXPECT_TRUE((*history)[3].empty_read);
  EXPECT_EQ((*history)[6].lsn, 99U);
  EXPECT_EQ((*history)[9].process, -1);
  EXPECT_EQ(to_text(*history), kText);
}

TEST(History, IsAlsoEdnForOtherCheckers) {
  const auto history = *history_of(kText);
  EXPECT_EQ(to_edn(history, Model::registers),
            "{:index 0 :time 2000 :process 0 :type :invoke :f :read :value [\"r\" nil]}\n"
            "{:index 1 :time 3000 :process 1 :type :invoke :f :cas :value [\"r\" [1 2]]}\n"
            "{:index 2 :time 4000 :process 0 :type :ok :f :read :value [\"r\" nil]}\n"
            "{:index 3 :time 5000 :process 1 :type :info :f :cas :value [\"r\" [1 2]]}\n");
  EXPECT_EQ(to_edn(history, Model::lists),
            "{:index 0 :time 6000 :process 0 :type :invoke :f :txn :value [[:append \"l\" 7]]}\n"
            "{:index 1 :time 7000 :process 0 :type :ok :f :txn :value [[:append \"l\" 7]]}\n");
  EXPECT_EQ(to_edn(history, Model::banks),
            "{:index 0 :time 7000 :process 2 :type :invoke :f :read :value nil}\n"
            "{:index 1 :time 8000 :process 2 :type :ok :f :read :value {0 8, 1 12}}\n");
}

TEST(History, ALineThatIsNoOperationIsNamed) {
  const char* const cases[] = {
      "{",
      "[]",
      R"({"time":1,"process":0,"type":"invoke","f":"jump","residency":"us","key":"r","value":[]})",
      R"({"time":1,"process":0,"type":"done","f":"read","residency":"us","key":"r","value":[]})",
      R"({"time":1,"process":-2,"type":"invoke","f":"read","residency":"us","key":"r","value":[]})",
      R"({"time":1,"process":"nemesis","type":"invoke","f":"read","residency":"us","key":"r","value":[]})",
      R"({"time":1,"process":0,"type":"info","f":"fault"})",
      R"({"time":-5000,"process":0,"type":"invoke","f":"read","residency":"us","key":"r","value":[]})",
      R"({"time":1,"process":0,"type":"invoke","f":"read","residency":"us","value":[]})",
      R"({"time":1,"process":0,"type":"invoke","f":"read","residency":"us","key":"r","value":[1]})",
      R"({"time":1,"process":0,"type":"ok","f":"read","residency":"us","key":"r","value":[],"node":"a","epoch":1})",
      R"({"time":1,"process":0,"type":"ok","f":"read","residency":"us","key":"r","value":[1],"node":"a"})",
      R"({"time":1,"process":0,"type":"invoke","f":"write","residency":"us","key":"r","value":["1"]})",
      R"({"time":1,"process":0,"type":"invoke","f":"write","residency":"us","key":"r","value":1})",
      R"({"time":1,"process":0,"type":"invoke","f":"transfer","residency":"us","key":"b","value":[1,2,3]})",
  };
  for (const char* line : cases) {
    const auto history = history_of(std::string(kText) + line);
    ASSERT_FALSE(history) << line;
    EXPECT_EQ(history.error().kind, Kind::corrupt) << line;
    EXPECT_NE(history.error().what.find("line 11"), std::string::npos) << history.error().what;
  }
  EXPECT_FALSE(history_of(R"({"time":9000,"process":"nemesis","type":"info","f":"undo"}
{"time":1000,"process":"nemesis","type":"info","f":"undo"})"))
      << "time goes back";
}

TEST(History, WhatHasNoEndIsUnknown) {
  auto operations = *history_of(kText);
  operations.erase(operations.begin() + 6);
  const auto calls = calls_of({operations.begin(), operations.begin() + 6});
  ASSERT_TRUE(calls);
  ASSERT_EQ(calls->size(), 3U);
  EXPECT_EQ((*calls)[2].deed, Deed::append);
  EXPECT_EQ((*calls)[2].outcome, Type::info);
}

RC_GTEST_PROP(History, WhateverIsWrittenIsReadTheSame, ()) {
  std::vector<Operation> operations;
  Micros now = 0;
  const auto count = *rc::gen::inRange(0, 20);
  for (int i = 0; i < count; ++i) {
    now += *rc::gen::inRange(0, 1000);
    Operation one;
    one.time = now;
    one.process = *rc::gen::inRange(0, 100);
    one.type = static_cast<Type>(*rc::gen::inRange(0, 4));
    one.deed = *rc::gen::element(Deed::write, Deed::append);
    one.residency = "us", one.key = *rc::gen::nonEmpty<std::string>(rc::gen::string<std::string>());
    std::erase_if(one.key, [](char c) { return static_cast<unsigned char>(c) >= 0x80; });
    one.key += "k";
    one.value = {*rc::gen::arbitrary<std::int64_t>()};
    one.epoch = *rc::gen::inRange(1, 9), one.lsn = *rc::gen::arbitrary<std::uint64_t>(), one.node = "n";
    operations.push_back(one);
  }
  const auto again = history_of(to_text(operations));
  RC_ASSERT(again.has_value());
  RC_ASSERT(*again == operations);
}

}  // namespace
}  // namespace domicile::history
