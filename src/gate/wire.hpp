// One end of a session: a connected socket, with TLS around it or without, that never blocks. It owns neither.
#pragma once
#include <string_view>

#include "base/clock.hpp"
#include "base/result.hpp"

struct ssl_st;

namespace domicile::gate {

class Wire {
 public:
  Wire() = default;
  explicit Wire(int fd, ssl_st* tls = nullptr) : fd_(fd), tls_(tls) {}
  int fd() const { return fd_; }
  // Bytes moved; 0: nothing can be moved now. `unavailable`: the other side has ended or broken it.
  Result<std::size_t> read(char* into, std::size_t size) const;
  Result<std::size_t> write(std::string_view bytes) const;
  // Bytes that TLS has taken off the socket and nobody has read: poll() does not tell of them.
  bool pending() const;
  // Writes all of it, or fails at the deadline (CLOCK_MONOTONIC).
  Result<void> write_all(std::string_view bytes, Micros deadline) const;
  // Until one of `events` (POLLIN, POLLOUT) or the deadline; false at the deadline.
  bool wait(short events, Micros deadline) const;

 private:
  int fd_ = -1;
  ssl_st* tls_ = nullptr;
};

// Bytes on their way: appended at the end, taken from the front.
class Buffer {
 public:
  std::string_view view() const { return std::string_view(bytes_).substr(begin_); }
  std::size_t size() const { return bytes_.size() - begin_; }
  bool empty() const { return size() == 0; }
  void append(std::string_view more) { bytes_.append(more); }
  void drop(std::size_t size);
  // Reads what is there, at most `size` bytes. False: nothing was there.
  Result<bool> fill(const Wire& from, std::size_t size);
  // Writes what can be written.
  Result<void> flush(const Wire& to);

 private:
  std::string bytes_;
  std::size_t begin_ = 0;
};

}  // namespace domicile::gate
