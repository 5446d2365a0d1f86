// Peers of a gate that say what no client of PostgreSQL says: in the clear, and inside of TLS.
#pragma once
#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <memory>
#include <stdexcept>
#include <string>

#include "base/file.hpp"
#include "gate/protocol/frames.hpp"
#include "gate/protocol/pgoutput_bytes.hpp"

namespace domicile::gate {

// The first message of a connection.
inline std::string first_message(const std::string& body) { return bytes::number(body.size() + 4, 4) + body; }
inline std::string wish(std::uint64_t code, const std::string& more = "") {
  return first_message(bytes::number(code, 4) + more);
}
inline constexpr std::uint64_t kSession = 3U << 16, kWantsTls = 80877103, kWantsGssapi = 80877104, kWantsEnd = 80877102;

struct Raw {
  Fd fd{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  explicit Raw(int port) {
    sockaddr_in to{};
    to.sin_family = AF_INET, to.sin_port = htons(static_cast<std::uint16_t>(port));
    ::inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
    if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) throw std::runtime_error("no gate");
    const timeval patience{.tv_sec = 60, .tv_usec = 0};
    ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  }
  bool hears() const {  // it was told nothing yet, and is not closed
    char next = 0;
    return ::recv(fd.get(), &next, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
  }
  void say(const std::string& bytes) const { (void)!::send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL); }
  void leave() const { ::shutdown(fd.get(), SHUT_WR); }
  char next() const {  // '\0' at the end
    char byte = '\0';
    (void)!::recv(fd.get(), &byte, 1, 0);
    return byte;
  }
  std::string rest() const {  // until it is closed
    std::string all;
    char buffer[4096];
    for (ssize_t n = 0; (n = ::recv(fd.get(), buffer, sizeof buffer, 0)) > 0;)
      all.append(buffer, static_cast<std::size_t>(n));
    return all;
  }
};

// Through TLS with a certificate, NAME.pem and NAME.key.
class InsideTls {
 public:
  InsideTls(int port, const std::string& name) : raw_(port), context_(SSL_CTX_new(TLS_client_method()), &SSL_CTX_free) {
    raw_.say(wish(kWantsTls));
    if (raw_.next() != 'S') throw std::runtime_error("no TLS");
    if (SSL_CTX_use_certificate_file(context_.get(), (name + ".pem").c_str(), SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_use_PrivateKey_file(context_.get(), (name + ".key").c_str(), SSL_FILETYPE_PEM) != 1)
      throw std::runtime_error("no certificate " + name);
    ssl_.reset(SSL_new(context_.get()));
    SSL_set_fd(ssl_.get(), raw_.fd.get());
    if (SSL_connect(ssl_.get()) != 1) throw std::runtime_error("no TLS handshake");
  }
  void say(const std::string& bytes) { (void)SSL_write(ssl_.get(), bytes.data(), static_cast<int>(bytes.size())); }
  void leave() const { raw_.leave(); }
  // Frames until one of a type in `types`, whose type it is; '\0' at the end of the connection.
  char until(std::string_view types) {
    while (true) {
      std::string_view view = heard_;
      const auto taken = take_frame(view, 1U << 20);
      if (!taken) return '\0';
      if (*taken) {
        const char type = (*taken)->type;
        heard_.erase(0, heard_.size() - view.size());
        if (types.find(type) != types.npos) return type;
        continue;
      }
      char buffer[4096];
      const int n = SSL_read(ssl_.get(), buffer, sizeof buffer);
      if (n <= 0) return '\0';
      heard_.append(buffer, static_cast<std::size_t>(n));
    }
  }
  void to_the_end() {
    while (until("") != '\0') continue;
  }

 private:
  Raw raw_;
  std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context_;
  std::unique_ptr<SSL, decltype(&SSL_free)> ssl_{nullptr, &SSL_free};
  std::string heard_;
};

}  // namespace domicile::gate
