// How the loops speak to each other: values that one loop publishes and others read.
#pragma once
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>

#include "base/clock.hpp"

namespace domicile::agent {

// Wakes loops that wait. A wake that comes before the wait is not lost.
class Bell {
 public:
  void ring() {
    const std::lock_guard lock(mutex_);
    ++rung_;
    changed_.notify_all();
  }
  // Until a ring that came after `seen`, or `until` (monotonic). The count to pass next time.
  std::uint64_t wait(std::uint64_t seen, Micros until) {
    std::unique_lock lock(mutex_);
    while (rung_ == seen) {
      const Micros left = until - monotonic_now();
      if (left <= 0) break;
      changed_.wait_for(lock, std::chrono::microseconds(left));
    }
    return rung_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t rung_ = 0;
};

// The latest value of one writer. Readers hold a snapshot for as long as they like, in a variable of their own: in
// `for (auto& each : board.get()->list)` it is let go before the first round.
template <class T>
class Published {
 public:
  explicit Published(Bell* bell = nullptr) : bell_(bell), value_(std::make_shared<const T>()) {}
  void set(T value) {
    auto fresh = std::make_shared<const T>(std::move(value));
    {
      const std::lock_guard lock(mutex_);
      value_ = std::move(fresh);
    }
    if (bell_ != nullptr) bell_->ring();
  }
  std::shared_ptr<const T> get() const {
    const std::lock_guard lock(mutex_);
    return value_;
  }

 private:
  Bell* bell_;
  mutable std::mutex mutex_;
  std::shared_ptr<const T> value_;
};

// Values for one reader, in order.
template <class T>
class Mailbox {
 public:
  explicit Mailbox(Bell& bell) : bell_(bell) {}
  void put(T value) {
    {
      const std::lock_guard lock(mutex_);
      values_.push_back(std::move(value));
    }
    bell_.ring();
  }
  std::optional<T> take() {
    const std::lock_guard lock(mutex_);
    if (values_.empty()) return {};
    T value = std::move(values_.front());
    values_.pop_front();
    return value;
  }

 private:
  Bell& bell_;
  std::mutex mutex_;
  std::deque<T> values_;
};

}  // namespace domicile::agent
