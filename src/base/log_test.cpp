#include "base/log.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include "base/file.hpp"
#include "base/json.hpp"

namespace domicile {
namespace {

std::string written(Log::Format format, const std::vector<LogField>& fields, std::string_view text = "text") {
  int ends[2];
  EXPECT_EQ(::pipe(ends), 0);
  const Fd in(ends[0]);
  {
    const Fd out(ends[1]);
    Log(out.get(), format, Level::debug, "us-east-1").info("some.event", text, fields);
  }
  char buffer[4096];
  const ssize_t size = ::read(in.get(), buffer, sizeof buffer);
  return {buffer, static_cast<std::size_t>(std::max<ssize_t>(0, size))};
}

// Whoever adds a field has to say here what may stand in it.
TEST(Log, AFieldHoldsANameANumberOrASentenceOfOursAndNothingElse) {
  const std::string personal = "Erika Mustermann <erika@example.com>";
  int names = 0, numbers = 0;
  std::string sentences;
  for (int i = 0; i <= static_cast<int>(Field::tenant_count); ++i) {
    const auto field = static_cast<Field>(i);
    ASSERT_NE(name_of(field), "?");
    const bool sentence = shape_of(field) == Shape::sentence;
    for (const auto format : {Log::Format::text, Log::Format::json})
      EXPECT_EQ(written(format, {{field, personal}}).find("Erika") != std::string::npos, sentence) << name_of(field);
    if (sentence) sentences += std::string(name_of(field)) + " ";
    names += shape_of(field) == Shape::name;
    numbers += shape_of(field) == Shape::number;
    if (shape_of(field) == Shape::number) {
      EXPECT_EQ(parse_json(written(Log::Format::json, {{field, "4711"}}), "line").value()[name_of(field)], "?");
      EXPECT_EQ(parse_json(written(Log::Format::json, {{field, std::int64_t{7}}}), "line").value()[name_of(field)], 7);
    }
  }
  EXPECT_EQ(sentences, "path reason detail ");
  EXPECT_EQ(names + numbers, 23);
}

TEST(Log, NamesOfOursAreWrittenAsTheyAre) {
  for (const std::string name : {"eu-central-1", "app.orders", "0/16B3748", "domicile_eu_a_b", "42501", "link.column",
                                 "6f1e-1", "https://10.0.0.1:7400", ""})
    EXPECT_NE(written(Log::Format::text, {{Field::peer, name}}).find("peer=" + name + "\n"), std::string::npos) << name;
  for (const std::string& none : {std::string("two words"), std::string("a=b"), std::string("q?mail"),
                                  std::string("caf\xc3\xa9"), std::string("erika@example.com"), std::string(129, 'a')})
    EXPECT_NE(written(Log::Format::text, {{Field::peer, none}}).find("peer=?\n"), std::string::npos) << none;
}

TEST(Log, OneEventIsOneLineWithoutControlCharacters) {
  const auto line = written(Log::Format::text, {{Field::reason, "a\nb\rc\x1b[31m"}}, "x\ny");
  EXPECT_EQ(std::count_if(line.begin(), line.end(), [](unsigned char c) { return c < 0x20; }), 1) << line;
  EXPECT_EQ(line.back(), '\n');
}

}  // namespace
}  // namespace domicile
