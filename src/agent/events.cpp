#include "agent/events.hpp"

#include "base/clock.hpp"

namespace domicile::agent {

namespace {
constexpr std::size_t kKept = 1000;
}

void Events::add(std::string_view name, std::string text, const std::string& residency, authority::Epoch epoch,
                 const std::string& switch_id, std::optional<Micros> took) {
  const std::string logged = text;
  add(name, logged, std::move(text), residency, epoch, switch_id, took);
}

void Events::ordered(std::string_view name, std::string text, const std::string& words, const std::string& residency,
                     authority::Epoch epoch, const std::string& switch_id) {
  add(name, text, fmt::format("{} {}", text, words), residency, epoch, switch_id, std::nullopt);
}

void Events::add(std::string_view name, const std::string& logged, std::string text, const std::string& residency,
                 authority::Epoch epoch, const std::string& switch_id, std::optional<Micros> took) {
  std::vector<LogField> fields;
  if (!residency.empty()) fields.push_back({Field::residency, residency});
  if (epoch != 0) fields.push_back({Field::epoch, epoch});
  if (!switch_id.empty()) fields.push_back({Field::switch_id, switch_id});
  log_.info(name, logged, fields);
  const std::lock_guard lock(mutex_);
  const Micros now = wall_now();
  if (!took) took = switch_id.empty() ? 0 : std::max<Micros>(0, now - last_of(switch_id, now));
  keep({"", now, residency, std::string(name), std::move(text), switch_id, epoch, *took});
}

void Events::committed(const std::string& residency, const authority::Record& record, Micros asked, Micros answered) {
  const std::lock_guard lock(mutex_);
  keep({"", wall_now() - (monotonic_now() - answered), residency,
        fmt::format("committed.{}", authority::name_of(record.mode)), "the quorum has taken the record",
        record.switch_id, record.epoch, answered - asked});
}

void Events::keep(Event event) {
  event.id = fmt::format("{}-{}", event.epoch, ++sequence_);
  events_.push_back(std::move(event));
  if (events_.size() > kKept) events_.pop_front();
}

// When this site last told something of the switch; `now` when this is the first.
Micros Events::last_of(const std::string& switch_id, Micros now) const {
  for (auto event = events_.rbegin(); event != events_.rend(); ++event)
    if (event->switch_id == switch_id) return event->at;
  return now;
}

std::vector<Event> Events::last(std::size_t count) const {
  const std::lock_guard lock(mutex_);
  const auto from = events_.size() > count ? events_.end() - static_cast<std::ptrdiff_t>(count) : events_.begin();
  return {from, events_.end()};
}

Json json_of(const Event& event) {
  return {
      {"id", event.id},         {"at", iso8601(event.at)}, {"at_us", event.at},         {"residency", event.residency},
      {"event", event.name},    {"text", event.text},      {"switch", event.switch_id}, {"epoch", event.epoch},
      {"ms", event.took / 1000}};
}

}  // namespace domicile::agent
