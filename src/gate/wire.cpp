#include "gate/wire.hpp"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <climits>

namespace domicile::gate {
namespace {

tl::unexpected<Error> ended() { return fail(Kind::unavailable, "the connection has ended"); }

// 0 when TLS only wants to wait.
Result<std::size_t> tls_result(ssl_st* tls, int moved) {
  if (moved > 0) return static_cast<std::size_t>(moved);
  const int why = SSL_get_error(tls, moved);
  ERR_clear_error();
  if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) return std::size_t{0};
  return ended();
}

}  // namespace

Result<std::size_t> Wire::read(char* into, std::size_t size) const {
  if (tls_ != nullptr)
    return tls_result(tls_, SSL_read(tls_, into, static_cast<int>(std::min<std::size_t>(size, INT_MAX))));
  const ssize_t got = ::recv(fd_, into, size, MSG_DONTWAIT);
  if (got > 0) return static_cast<std::size_t>(got);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return std::size_t{0};
  return ended();
}

Result<std::size_t> Wire::write(std::string_view bytes) const {
  if (bytes.empty()) return std::size_t{0};
  if (tls_ != nullptr)
    return tls_result(tls_,
                      SSL_write(tls_, bytes.data(), static_cast<int>(std::min<std::size_t>(bytes.size(), INT_MAX))));
  const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent >= 0) return static_cast<std::size_t>(sent);
  if (errno == EAGAIN || errno == EINTR) return std::size_t{0};
  return ended();
}

bool Wire::pending() const { return tls_ != nullptr && SSL_pending(tls_) > 0; }

Result<void> Wire::write_all(std::string_view bytes, Micros deadline) const {
  while (!bytes.empty()) {
    const std::size_t sent = TRY(write(bytes));
    bytes.remove_prefix(sent);
    if (sent == 0 && !wait(POLLOUT, deadline)) return fail(Kind::unavailable, "the other side takes nothing");
  }
  return {};
}

bool Wire::wait(short events, Micros deadline) const {
  pollfd entry{fd_, events, 0};
  const Micros left = std::max<Micros>(deadline - monotonic_now(), 0);
  return ::poll(&entry, 1, static_cast<int>(std::min<Micros>((left + 999) / 1000, INT_MAX))) != 0;
}

void Buffer::drop(std::size_t size) {
  begin_ += size;
  if (begin_ == bytes_.size()) {
    bytes_.clear();
    begin_ = 0;
  } else if (begin_ >= bytes_.size() / 2) {
    bytes_.erase(0, begin_);
    begin_ = 0;
  }
}

Result<bool> Buffer::fill(const Wire& from, std::size_t size) {
  const std::size_t before = bytes_.size();
  Result<std::size_t> got = std::size_t{0};
  // Not resize(), which clears what is about to be written: 64 KB for a row.
  bytes_.resize_and_overwrite(before + size, [&](char* bytes, std::size_t) {
    got = from.read(bytes + before, size);
    return before + got.value_or(0);
  });
  if (!got) return tl::unexpected<Error>(got.error());
  return *got > 0;
}

Result<void> Buffer::flush(const Wire& to) {
  while (!empty()) {
    const std::size_t sent = TRY(to.write(view()));
    if (sent == 0) return {};
    drop(sent);
  }
  return {};
}

}  // namespace domicile::gate
