#include "agent/drill_book.hpp"

#include <algorithm>

namespace domicile::agent {
namespace {

constexpr Micros kDay = 24 * 3600 * kSecond;
constexpr std::size_t kMostDrills = 200;
constexpr Micros kMostAt = Micros{1} << 60;

Result<void> valid_name(const std::string& name) {
  const auto fits = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; };
  if (!name.empty() && name.size() <= 80 && std::ranges::all_of(name, fits)) return {};
  return fail(Kind::invalid_input, "this is no drill's name");
}

// Words of a report go to terminals and stay on a disk.
std::string short_text(std::string text) {
  text.resize(std::min<std::size_t>(text.size(), 200));
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  return text;
}

Result<std::size_t> days(const Json& value) {
  if (value.is_number_unsigned() && value.get<std::uint64_t>() <= 3650) return value.get<std::size_t>();
  return fail(Kind::invalid_input, "a drill is due every 0 to 3650 days");
}

Result<DrillNews> news_of(const Json& json) {
  DrillNews news;
  const Json schedule = TRY(member<Json>(json, "schedule"));
  if (!schedule.is_object() || schedule.size() > kMostDrills)
    return fail(Kind::invalid_input, "'schedule' is no object, or too long");
  for (const auto& [name, value] : schedule.items()) {
    CHECK_OK(valid_name(name));
    news.schedule[name] = TRY(days(value));
  }
  const Json result = TRY(member_or<Json>(json, "result", Json()));
  if (result.is_null()) return news;
  news.drill = TRY(member<std::string>(result, "drill"));
  CHECK_OK(valid_name(news.drill));
  news.result.at = TRY(member<Micros>(result, "at_us"));
  if (news.result.at <= 0 || news.result.at > kMostAt) return fail(Kind::invalid_input, "'at_us' is no instant");
  if (TRY(member<bool>(result, "held"))) news.result.held_at = news.result.at;
  news.result.broken = short_text(TRY(member_or<std::string>(result, "broken", "")));
  if (news.result.held_at == 0 && news.result.broken.empty()) news.result.broken = "it did not hold";
  news.result.report = short_text(TRY(member_or<std::string>(result, "report", "")));
  return news;
}

fs::path file_in(const fs::path& directory) { return directory / "drills.json"; }

}  // namespace

Result<DrillNews> drill_body(std::string_view text) {
  const auto json = parse_json(text, "the question");
  auto news = json ? news_of(*json) : Result<DrillNews>(tl::unexpect, json.error());
  if (!news) news.error().kind = Kind::invalid_input;
  return news;
}

DrillBook told(DrillBook book, const DrillNews& news) {
  DrillBook out;
  for (const auto& [name, every] : news.schedule) {
    DrillRecord& record = out[name] = book[name];
    record.every_days = every;
  }
  if (news.drill.empty()) return out;
  // News may arrive late; an older result takes nothing back.
  DrillRecord& record = out[news.drill] = book[news.drill];
  if (const auto every = news.schedule.find(news.drill); every != news.schedule.end())
    record.every_days = every->second;
  record.held_at = std::max(record.held_at, news.result.held_at);
  if (news.result.at < record.at) return out;
  record.at = news.result.at;
  record.broken = news.result.held_at != 0 ? "" : news.result.broken;
  record.report = news.result.report;
  return out;
}

Result<DrillBook> read_drills(const fs::path& directory) {
  DrillBook book;
  if (!fs::exists(file_in(directory))) return book;
  const Json json = TRY(parse_json(TRY(read_file(file_in(directory))), "drills.json"));
  if (!json.is_object()) return fail(Kind::corrupt, "drills.json holds no object");
  for (const auto& [name, value] : json.items()) {
    DrillRecord& record = book[name];
    record.every_days = TRY(member<std::size_t>(value, "every_days"));
    record.at = TRY(member<Micros>(value, "at_us"));
    record.held_at = TRY(member<Micros>(value, "held_at_us"));
    record.broken = TRY(member<std::string>(value, "broken"));
    record.report = TRY(member<std::string>(value, "report"));
  }
  return book;
}

Result<void> keep_drills(const fs::path& directory, const DrillNews& news) {
  const Fd lock = TRY(lock_file(directory / "drills.lock"));
  Json json = Json::object();
  for (const auto& [name, record] : told(TRY(read_drills(directory)), news))
    json[name] = {{"every_days", record.every_days},
                  {"at_us", record.at},
                  {"held_at_us", record.held_at},
                  {"broken", record.broken},
                  {"report", record.report}};
  return write_file(file_in(directory), dump(json));
}

Json json_of(const DrillBook& book, Micros now) {
  Json out = Json::array();
  for (const auto& [name, record] : book) {
    const auto since = record.every_days == 0 ? Micros{0} : static_cast<Micros>(record.every_days) * kDay;
    out.push_back({{"drill", name},
                   {"every_days", record.every_days == 0 ? Json() : Json(record.every_days)},
                   {"at", record.at == 0 ? Json() : Json(iso8601(record.at))},
                   {"held_at", record.held_at == 0 ? Json() : Json(iso8601(record.held_at))},
                   {"age_days", record.held_at == 0 ? Json() : Json((now - record.held_at) / kDay)},
                   {"broken", record.broken},
                   {"report", record.report},
                   {"late", since != 0 && now - record.held_at > since}});
  }
  return out;
}

}  // namespace domicile::agent
