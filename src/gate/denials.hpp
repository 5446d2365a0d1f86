// What a gate has refused: the last thousand, in memory and in a small file (STATE/denials), so that the id that a peer
// saw is still explained after a restart.
//
// A refusal never waits for the disk longer than kPatience, and no disk, full or hanging, stops one: what could not be
// written stays in memory and is tried again with the next.
#pragma once
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.hpp"
#include "base/file.hpp"
#include "base/log.hpp"

namespace domicile::gate {

struct Denial {        // something that was refused
  std::string id;      // the peer sees it too
  std::string region;  // empty: not known yet
  std::string rule, what;
  Micros at = 0;
};

class Denials {
 public:
  static constexpr std::size_t kKept = 1000;
  // The file's lines at most; then the last kKept are written anew.
  static constexpr std::size_t kLines = 2 * kKept;
  static constexpr Micros kPatience = 50 * kMillisecond;

  // A file that cannot be opened or read is told to the log; then denials live in memory alone.
  Denials(const fs::path& file, Log log);
  ~Denials();  // writes what is left
  Denials(const Denials&) = delete;
  Denials& operator=(const Denials&) = delete;

  std::string add(const std::string& region, std::string_view rule, const std::string& what);  // its id
  std::vector<Denial> all() const;                                                             // oldest first
  std::optional<Denial> find(const std::string& id) const;

 private:
  void write_all(const std::stop_token& stop);
  Result<void> write(const Denial& denial);

  Log log_;
  mutable std::mutex mutex_;
  std::condition_variable_any rung_;
  std::deque<Denial> kept_;
  std::deque<Denial> unwritten_;
  std::uint64_t last_ = 0, written_ = 0;  // numbers of denials; written: on the disk, or given up
  bool trouble_ = false;                  // the file could not be written last time
  std::optional<Journal> journal_;        // of the thread alone
  std::size_t lines_ = 0;
  std::jthread thread_;  // last: it uses all of the above
};

}  // namespace domicile::gate
