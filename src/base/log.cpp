#include "base/log.hpp"

#include <unistd.h>

#include "base/clock.hpp"
#include "base/json.hpp"
#include "base/name.hpp"

namespace domicile {

std::string_view name_of(Field field) {
  switch (field) {
    case Field::region:
      return "region";
    case Field::residency:
      return "residency";
    case Field::epoch:
      return "epoch";
    case Field::switch_id:
      return "switch_id";
    case Field::owner:
      return "owner";
    case Field::from:
      return "from";
    case Field::to:
      return "to";
    case Field::mode:
      return "mode";
    case Field::link:
      return "link";
    case Field::slot:
      return "slot";
    case Field::table:
      return "table";
    case Field::step:
      return "step";
    case Field::peer:
      return "peer";
    case Field::engine:
      return "engine";
    case Field::path:
      return "path";
    case Field::pid:
      return "pid";
    case Field::duration_ms:
      return "duration_ms";
    case Field::lag_ms:
      return "lag_ms";
    case Field::bytes:
      return "bytes";
    case Field::rows:
      return "rows";
    case Field::count:
      return "count";
    case Field::lsn:
      return "lsn";
    case Field::code:
      return "code";
    case Field::reason:
      return "reason";
    case Field::detail:
      return "detail";
    case Field::tenant_count:
      return "tenant_count";
  }
  return "?";
}

Shape shape_of(Field field) {
  switch (field) {
    case Field::region:
    case Field::residency:
    case Field::switch_id:
    case Field::owner:
    case Field::from:
    case Field::to:
    case Field::mode:
    case Field::link:
    case Field::slot:
    case Field::table:
    case Field::step:
    case Field::peer:
    case Field::engine:
    case Field::lsn:
    case Field::code:
      return Shape::name;
    case Field::epoch:
    case Field::pid:
    case Field::duration_ms:
    case Field::lag_ms:
    case Field::bytes:
    case Field::rows:
    case Field::count:
    case Field::tenant_count:
      return Shape::number;
    case Field::path:
    case Field::reason:
    case Field::detail:
      return Shape::sentence;
  }
  return Shape::number;
}

namespace {

LogValue shaped(const LogField& field) {
  const auto* text = std::get_if<std::string>(&field.value);
  if (text == nullptr) return field.value;
  const Shape shape = shape_of(field.name);
  if (shape == Shape::sentence || (shape == Shape::name && is_name(*text))) return *text;
  return std::string("?");
}

std::string_view name_of_level(Level level) {
  switch (level) {
    case Level::debug:
      return "debug";
    case Level::info:
      return "info";
    case Level::warn:
      return "warn";
    case Level::error:
      return "error";
  }
  return "?";
}

std::string as_json(Level level, std::string_view event, std::string_view text, const std::string& region,
                    const std::vector<LogField>& fields) {
  Json line{{"at", iso8601(wall_now())}, {"level", name_of_level(level)}, {"event", event}, {"text", text}};
  if (!region.empty()) line["region"] = region;
  for (const auto& field : fields)
    std::visit([&](const auto& value) { line[std::string(name_of(field.name))] = value; }, shaped(field));
  return dump(line) + "\n";
}

std::string as_text(Level level, std::string_view event, std::string_view text, const std::string& region,
                    const std::vector<LogField>& fields) {
  std::string line = fmt::format("{} {:5} {}{}{}: {}", iso8601(wall_now()), name_of_level(level), region,
                                 region.empty() ? "" : " ", event, text);
  for (const auto& field : fields)
    std::visit([&](const auto& value) { line += fmt::format(" {}={}", name_of(field.name), value); }, shaped(field));
  for (char& c : line)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';  // one event, one line, and nothing for a terminal
  return line + "\n";
}

}  // namespace

Log::Log(int fd, Format format, Level least, std::string region)
    : fd_(fd), format_(format), least_(least), region_(std::move(region)) {}

void Log::write(Level level, std::string_view event, std::string_view text, const std::vector<LogField>& fields) const {
  if (level < least_) return;
  const std::string line = format_ == Format::json ? as_json(level, event, text, region_, fields)
                                                   : as_text(level, event, text, region_, fields);
  // A full log disk must never stop a decision: what cannot be written is dropped.
  [[maybe_unused]] const ssize_t n = ::write(fd_, line.data(), line.size());
}

}  // namespace domicile
