// Clients of an application that write through a switch: each in its own isolation level, at whichever region takes it.
#pragma once
#include <atomic>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "agents_fixture.hpp"

namespace domicile::test {

class Writers {
 public:
  Writers(Regions& regions, std::string residency, std::vector<std::string> levels)
      : regions_(regions), residency_(std::move(residency)) {
    for (auto& level : levels) threads_.emplace_back([this, level](const std::stop_token& stop) { run(stop, level); });
  }
  ~Writers() { stop(); }
  void stop() { threads_.clear(); }
  int acknowledged() const { return acknowledged_; }
  // Of the acknowledged ones, those at this region.
  int acknowledged_at(const std::string& region) {
    const std::lock_guard lock(mutex_);
    return at_[region];
  }
  bool until_more(int count, Micros timeout = kPatient) {
    const int now = acknowledged_;
    return eventually([&] { return acknowledged_ >= now + count; }, timeout);
  }
  // SQLSTATE (or "lost", "unknown") -> how often.
  std::map<std::string, int> refusals() {
    const std::lock_guard lock(mutex_);
    return refusals_;
  }

 private:
  void run(const std::stop_token& stop, const std::string& level) {
    std::optional<postgres::Connection> connection;
    std::size_t at = 0;
    while (!stop.stop_requested()) {
      const std::string& region = Regions::all()[at % Regions::all().size()];
      const std::string refused = write(connection, region, level);
      if (!refused.empty()) {
        const std::lock_guard lock(mutex_);
        ++refusals_[refused];
      }
      if (!refused.empty() && refused != "40001") {
        connection.reset();
        ++at;
      }
      ::usleep(4'000);  // a rate, so that a story does not take the whole machine
    }
  }

  std::string write(std::optional<postgres::Connection>& connection, const std::string& region,
                    const std::string& level) {
    if (!connection) {
      auto opened = postgres::Connection::open(regions_.database(region).conninfo("app"), {.connect_timeout = kSecond});
      if (!opened) return "lost";
      connection.emplace(*std::move(opened));
    }
    const auto row = regions_.next_row();
    // The snapshot is taken by the first statement: what follows is judged by a later authority than it sees.
    const auto written = connection->exec("BEGIN ISOLATION LEVEL " + level + "; SELECT 1 FROM app.orders LIMIT 1; " +
                                              Regions::insert_sql(residency_, row),
                                          monotonic_now() + 5 * kSecond);
    if (!written) return state_of(written.error(), "lost", connection);
    const auto committed = connection->exec("COMMIT", monotonic_now() + 5 * kSecond);
    if (!committed) return state_of(committed.error(), "unknown", connection);
    regions_.acknowledged(residency_, row);
    ++acknowledged_;
    const std::lock_guard lock(mutex_);
    ++at_[region];
    return "";
  }

  static std::string state_of(const Error& error, const char* otherwise,
                              std::optional<postgres::Connection>& connection) {
    const auto state = postgres::sqlstate_of(error);
    if (connection->alive() && connection->in_transaction()) (void)connection->exec("ROLLBACK").has_value();
    if (!connection->alive()) connection.reset();
    return state.empty() ? otherwise : state;
  }

  Regions& regions_;
  std::string residency_;
  std::atomic<int> acknowledged_{0};
  std::mutex mutex_;
  std::map<std::string, int> at_, refusals_;
  std::vector<std::jthread> threads_;  // last: they use everything above
};

inline const std::vector<std::string> kLevels{"READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"};

}  // namespace domicile::test
