#include "agent/events.hpp"

#include "base/clock.hpp"

namespace domicile::agent {

namespace {
constexpr std::size_t kKept = 1000;
}

void Events::add(std::string_view name, std::string text, const std::string& residency, authority::Epoch epoch,
                 const std::string& switch_id) {
  std::vector<LogField> fields;
  if (!residency.empty()) fields.push_back({Field::residency, residency});
  if (epoch != 0) fields.push_back({Field::epoch, epoch});
  if (!switch_id.empty()) fields.push_back({Field::switch_id, switch_id});
  log_.info(name, text, fields);
  const std::lock_guard lock(mutex_);
  events_.push_back({fmt::format("{}-{}", epoch, ++sequence_), wall_now(), residency, std::string(name),
                     std::move(text), switch_id, epoch});
  if (events_.size() > kKept) events_.pop_front();
}

std::vector<Event> Events::last(std::size_t count) const {
  const std::lock_guard lock(mutex_);
  const auto from = events_.size() > count ? events_.end() - static_cast<std::ptrdiff_t>(count) : events_.begin();
  return {from, events_.end()};
}

Json json_of(const Event& event) {
  return {{"id", event.id},      {"at", iso8601(event.at)}, {"at_us", event.at},         {"residency", event.residency},
          {"event", event.name}, {"text", event.text},      {"switch", event.switch_id}, {"epoch", event.epoch}};
}

}  // namespace domicile::agent
