#include "core/authority/record.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/json.hpp"

namespace domicile::authority {

std::string_view name_of(Mode mode) {
  switch (mode) {
    case Mode::serving:
      return "serving";
    case Mode::draining:
      return "draining";
    case Mode::moving:
      return "moving";
  }
  return "?";
}

std::optional<Mode> mode_of(std::string_view name) {
  for (const Mode mode : {Mode::serving, Mode::draining, Mode::moving})
    if (name == name_of(mode)) return mode;
  return {};
}

std::string_view name_of(Cause cause) {
  switch (cause) {
    case Cause::bootstrap:
      return "bootstrap";
    case Cause::planned:
      return "planned";
    case Cause::automatic:
      return "automatic";
    case Cause::approved:
      return "approved";
    case Cause::rollback:
      return "rollback";
    case Cause::takeback:
      return "takeback";
    case Cause::adopted:
      return "adopted";
    case Cause::broken_glass:
      return "broken_glass";
  }
  return "?";
}

std::optional<Cause> cause_of(std::string_view name) {
  for (const Cause cause : {Cause::bootstrap, Cause::planned, Cause::automatic, Cause::approved, Cause::rollback,
                            Cause::takeback, Cause::adopted, Cause::broken_glass})
    if (name == name_of(cause)) return cause;
  return {};
}

std::string covered_by(const Record& record) {
  return record.covered && record.covered->epoch == record.epoch ? record.covered->region : std::string();
}

std::string covered_until_open(const Record& record) {
  const bool own = record.mode == Mode::moving && record.owner == record.to;
  const bool last = record.covered && !record.history.empty() && record.covered->epoch == record.history.back().epoch;
  return own && last ? record.covered->region : std::string();
}

std::string lsn_text(std::uint64_t lsn) { return fmt::format("{:X}/{:X}", lsn >> 32, lsn & 0xffffffffU); }

std::optional<std::uint64_t> lsn_of(std::string_view text) {
  const auto slash = text.find('/');
  if (slash == std::string_view::npos) return {};
  const auto half = [](std::string_view digits) -> std::optional<std::uint64_t> {
    std::uint32_t value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
    if (error != std::errc{} || end != digits.data() + digits.size()) return {};
    return value;
  };
  const auto high = half(text.substr(0, slash)), low = half(text.substr(slash + 1));
  if (!high || !low) return {};
  return *high << 32 | *low;
}

namespace {

Json json_of(const Position& position) {
  return {{"system", position.system_id}, {"timeline", position.timeline}, {"lsn", lsn_text(position.lsn)}};
}

Result<std::uint64_t> lsn_member(const Json& object) {
  const auto lsn = lsn_of(TRY(member<std::string>(object, "lsn")));
  if (!lsn) return fail(Kind::corrupt, "'lsn' is no log position");
  return *lsn;
}

Result<Position> position_of(const Json& object) {
  Position position;
  position.system_id = TRY(member<std::string>(object, "system"));
  position.timeline = TRY(member<std::int64_t>(object, "timeline"));
  position.lsn = TRY(lsn_member(object));
  return position;
}

Json json_of(const Marker& marker) {
  return {{"clock_us", marker.clock_us}, {"lsn", lsn_text(marker.lsn)}, {"epoch", marker.epoch}};
}

Result<Marker> marker_of(const Json& object) {
  Marker marker;
  marker.clock_us = TRY(member<Micros>(object, "clock_us"));
  marker.lsn = TRY(lsn_member(object));
  marker.epoch = TRY(member<Epoch>(object, "epoch"));
  return marker;
}

}  // namespace

std::string to_text(const Record& record) {
  Json history = Json::array();
  for (const auto& opened : record.history) {
    Json entry{{"epoch", opened.epoch}, {"owner", opened.owner}};
    if (opened.fence) entry["fence"] = json_of(*opened.fence);
    if (opened.base) entry["base"] = json_of(*opened.base);
    if (opened.told) entry["told"] = json_of(*opened.told);
    history.push_back(entry);
  }
  Json json{{"owner", record.owner},
            {"epoch", record.epoch},
            {"mode", name_of(record.mode)},
            {"switch", record.switch_id},
            {"from", record.from},
            {"to", record.to},
            {"cause", name_of(record.cause)},
            {"automatic_at", record.automatic_at},
            {"history", history}};
  if (record.fence) json["fence"] = json_of(*record.fence);
  if (!covered_by(record).empty() || !covered_until_open(record).empty())
    json["covered"] = {{"epoch", record.covered->epoch}, {"region", record.covered->region}};
  if (!record.extra.empty())
    if (const auto extra = parse_json(record.extra, "members of a newer version"); extra && extra->is_object())
      for (const auto& [key, value] : extra->items())
        if (!json.contains(key)) json[key] = value;
  return dump(json);
}

namespace {

std::string unknown_members(const Json& json) {
  static constexpr std::array kKnown{"owner", "epoch",        "mode",    "switch", "from",   "to",
                                     "cause", "automatic_at", "history", "fence",  "covered"};
  Json extra = Json::object();
  for (const auto& [key, value] : json.items())
    if (std::ranges::find(kKnown, std::string_view(key)) == kKnown.end()) extra[key] = value;
  return extra.empty() ? "" : dump(extra);
}

Result<std::vector<Opened>> history_of(const Json& array) {
  if (!array.is_array()) return fail(Kind::corrupt, "the authority record's history is no array");
  std::vector<Opened> history;
  for (const auto& entry : array) {
    Opened opened;
    opened.epoch = TRY(member<Epoch>(entry, "epoch"));
    opened.owner = TRY(member<std::string>(entry, "owner"));
    if (entry.contains("fence")) opened.fence = TRY(position_of(entry["fence"]));
    if (entry.contains("base")) opened.base = TRY(position_of(entry["base"]));
    if (entry.contains("told")) opened.told = TRY(marker_of(entry["told"]));
    history.push_back(std::move(opened));
  }
  return history;
}

}  // namespace

Result<Record> record_of(std::string_view text) {
  const Json json = TRY(parse_json(text, "the authority record"));
  Record record;
  record.owner = TRY(member<std::string>(json, "owner"));
  record.epoch = TRY(member<Epoch>(json, "epoch"));
  const auto mode_name = TRY(member<std::string>(json, "mode")), cause_name = TRY(member<std::string>(json, "cause"));
  const auto mode = mode_of(mode_name);
  const auto cause = cause_of(cause_name);
  constexpr const char* kNewer = "a newer agent may have written it: update this one";
  if (!mode) return fail(Kind::corrupt, "the authority record has the unknown mode '" + mode_name + "'", kNewer);
  if (!cause) return fail(Kind::corrupt, "the authority record has the unknown cause '" + cause_name + "'", kNewer);
  record.mode = *mode;
  record.cause = *cause;
  record.switch_id = TRY(member<std::string>(json, "switch"));
  record.from = TRY(member<std::string>(json, "from"));
  record.to = TRY(member<std::string>(json, "to"));
  record.automatic_at = TRY(member_or<Micros>(json, "automatic_at", 0));
  record.history = TRY(history_of(TRY(member_or<Json>(json, "history", Json::array()))));
  if (json.contains("fence")) record.fence = TRY(position_of(json["fence"]));
  if (json.contains("covered"))
    record.covered =
        Covered{TRY(member<Epoch>(json["covered"], "epoch")), TRY(member<std::string>(json["covered"], "region"))};
  record.extra = unknown_members(json);
  if (record.epoch < 1) return fail(Kind::corrupt, "the authority record has an epoch below 1");
  return record;
}

std::string to_text(const Beat& beat) {
  Json markers = Json::object();
  for (const auto& [residency, marker] : beat.markers) markers[residency] = json_of(marker);
  return dump({{"boot", beat.boot}, {"counter", beat.counter}, {"protocol", beat.protocol}, {"markers", markers}});
}

Result<Beat> beat_of(std::string_view text) {
  const Json json = TRY(parse_json(text, "the beat"));
  Beat beat;
  beat.boot = TRY(member<std::string>(json, "boot"));
  beat.counter = TRY(member<std::int64_t>(json, "counter"));
  beat.protocol = TRY(member_or<int>(json, "protocol", 1));
  const Json markers = TRY(member_or<Json>(json, "markers", Json::object()));
  if (!markers.is_object()) return fail(Kind::corrupt, "the beat's markers are no object");
  for (const auto& [residency, value] : markers.items()) beat.markers[residency] = TRY(marker_of(value));
  return beat;
}

}  // namespace domicile::authority
