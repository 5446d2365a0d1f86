// What happened, for people and for later proof: a bounded list in memory, each entry also logged. Ids are
// <epoch>-<sequence>, so that a reader can ask for everything after the last one it has.
#pragma once
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/json.hpp"
#include "base/log.hpp"
#include "core/authority/record.hpp"

namespace domicile::agent {

struct Event {
  std::string id;
  Micros at = 0;  // wall clock
  std::string residency, name, text, switch_id;
  authority::Epoch epoch = 0;
  Micros took = 0;  // of what it tells the end of: a step itself, any other event of a switch since the one before it
};

class Events {
 public:
  explicit Events(Log log) : log_(std::move(log)) {}
  void add(std::string_view name, std::string text, const std::string& residency = {}, authority::Epoch epoch = 0,
           const std::string& switch_id = {}, std::optional<Micros> took = {});
  // What a person ordered: `words` (who, and the reason in that person's words) stay in the list, which roles may view,
  // and are not logged.
  void ordered(std::string_view name, std::string text, const std::string& words, const std::string& residency = {},
               authority::Epoch epoch = 0, const std::string& switch_id = {});
  // A record that the quorum has taken: asked and answered (monotonic); it happened somewhere between.
  void committed(const std::string& residency, const authority::Record& record, Micros asked, Micros answered);
  std::vector<Event> last(std::size_t count) const;

 private:
  void add(std::string_view name, const std::string& logged, std::string text, const std::string& residency,
           authority::Epoch epoch, const std::string& switch_id, std::optional<Micros> took);
  void keep(Event event);                                          // under the mutex
  Micros last_of(const std::string& switch_id, Micros now) const;  // under the mutex

  Log log_;
  mutable std::mutex mutex_;
  std::deque<Event> events_;
  std::int64_t sequence_ = 0;
};

Json json_of(const Event& event);

}  // namespace domicile::agent
