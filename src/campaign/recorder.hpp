// Writes a history down while it happens.
#pragma once
#include <fstream>
#include <mutex>

#include "base/file.hpp"
#include "core/history/history.hpp"

namespace domicile::campaign {

// The order in which operations are recorded is the order of their times. From any thread.
class Recorder {
 public:
  static Result<std::unique_ptr<Recorder>> open(const fs::path& file);
  void add(history::Operation operation);  // its time is now
  // What no client did.
  void note(history::Deed deed, const std::string& residency, const std::string& key, std::vector<std::int64_t> value,
            const std::string& node = {}, std::int64_t epoch = 0, const std::string& text = {});
  std::vector<history::Operation> operations() const;
  Result<void> written() const;  // whether all of it is in the file

 private:
  explicit Recorder(std::ofstream file) : file_(std::move(file)) {}
  const Micros begin_ = monotonic_now();
  mutable std::mutex mutex_;
  std::ofstream file_;
  std::vector<history::Operation> operations_;
};

}  // namespace domicile::campaign
