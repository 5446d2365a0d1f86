// Two PostgreSQL of a bench's own, a gate process in front of the first, and links between them, one for each
// residency, which can be subscribed to through the gate or directly: the same certificates, mutual TLS 1.3 and
// verify-full both times.
#pragma once
#include <stdexcept>

#include "base/process.hpp"
#include "base/temp_dir.hpp"
#include "support/postgres_fixture.hpp"

namespace domicile::bench {

template <class T>
T must(Result<T> result) {
  if (!result) throw std::runtime_error(render(result.error()));
  if constexpr (!std::is_void_v<T>) return *std::move(result);
}

enum class Route { direct, gate };
using Residencies = std::vector<std::string>;
inline const Residencies kOne{"us"}, kAll{"us", "ca"};

class Sites {
 public:
  Sites();  // throws
  postgres::Connection& source() { return from_; }
  postgres::Connection source_session() const { return source_.connect(); }

  // The log from here on is what replays read, each from a copy of one slot. Everything before it is forgotten.
  void mark();
  // Commits a row of each residency behind all that was written: the end of what replays read.
  void seal();
  // Seconds from ALTER SUBSCRIPTION … ENABLE until all of the marked log is applied in an empty table of the target.
  // Throws unless that has `rows` rows then, apart from the seals.
  double replay_seconds(Route route, std::size_t rows, const Residencies& residencies = kOne);

  // Follows from now on, as the standby that a synchronous commit of the source waits for.
  void follow(Route route);
  void stop_following();
  bool has_row(std::int64_t id);  // the target, of kOne

  double gate_cpu_seconds() const;  // so far
  // Of the gate's process, in MB.
  double gate_peak_mb() const { return gate_memory("VmHWM:"); }
  double gate_now_mb() const { return gate_memory("VmRSS:"); }

 private:
  void start_gate();
  void subscribe(Route route, const std::string& residency, const std::string& synchronous_commit);
  void unsubscribe(const std::string& residency);
  void await_senders(Route route, std::size_t count);
  void expect_soon(const std::string& what, const std::function<bool()>& condition) const;
  std::string conninfo(Route route) const;
  double gate_memory(std::string_view field) const;

  TempDir dir_;  // certificates, and the gate's files
  std::vector<int> ports_;
  test::PostgresCluster source_, target_;
  postgres::Connection from_, to_;
  std::optional<Process> gate_;
  std::string end_;  // of the marked log
};

}  // namespace domicile::bench
