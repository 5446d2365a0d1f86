// A TLS client whose steps a test takes one by one: connect, handshake, write, read.
#pragma once
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.hpp"
#include "base/file.hpp"

namespace domicile {

class TlsClient {
 public:
  explicit TlsClient(int port) : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const sockaddr_in address{.sin_family = AF_INET,
                              .sin_port = htons(static_cast<std::uint16_t>(port)),
                              .sin_addr = {htonl(INADDR_LOOPBACK)},
                              .sin_zero = {}};
    connected_ = connect(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    const timeval patience{.tv_sec = 20, .tv_usec = 0};
    setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  }
  bool connected() const { return connected_; }
  int fd() const { return fd_.get(); }

  // False when the other side refuses or closes; `ca` is a PEM file. `protocol`: to be agreed upon by ALPN.
  bool handshake(const std::string& host, const std::string& ca, const std::string& protocol = "") {
    context_.reset(SSL_CTX_new(TLS_client_method()));
    SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER, nullptr);
    if (SSL_CTX_load_verify_locations(context_.get(), ca.c_str(), nullptr) != 1) std::abort();
    ssl_.reset(SSL_new(context_.get()));
    SSL_set_tlsext_host_name(ssl_.get(), host.c_str());
    SSL_set1_host(ssl_.get(), host.c_str());
    SSL_set_fd(ssl_.get(), fd_.get());
    const std::string wish = static_cast<char>(protocol.size()) + protocol;
    if (!protocol.empty())
      SSL_set_alpn_protos(ssl_.get(), reinterpret_cast<const unsigned char*>(wish.data()),
                          static_cast<unsigned>(wish.size()));
    if (SSL_connect(ssl_.get()) != 1) return false;
    const unsigned char* agreed = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(ssl_.get(), &agreed, &size);
    return std::string_view(reinterpret_cast<const char*>(agreed), size) == protocol;
  }
  bool write(const std::string& bytes) {
    return SSL_write(ssl_.get(), bytes.data(), static_cast<int>(bytes.size())) == static_cast<int>(bytes.size());
  }
  // What is there, waiting for it; empty at the end of the connection or after 20 s.
  std::string read() {
    char buffer[16384];
    const int n = SSL_read(ssl_.get(), buffer, sizeof buffer);
    return n > 0 ? std::string(buffer, static_cast<std::size_t>(n)) : std::string();
  }
  // So many bytes, or fewer at the end of the connection.
  std::string read_bytes(std::size_t size) {
    std::string all(size, 0);
    std::size_t have = 0;
    for (int n; have < size && (n = SSL_read(ssl_.get(), all.data() + have, static_cast<int>(size - have))) > 0;)
      have += static_cast<std::size_t>(n);
    all.resize(have);
    return all;
  }
  // Byte by byte, so that nothing behind `end` is taken; all there is when the connection ends before it.
  std::string read_until(const std::string& end) {
    std::string all;
    for (std::string more; !all.ends_with(end) && !(more = read_bytes(1)).empty();) all += more;
    return all;
  }
  std::string read_all() {
    std::string all;
    for (std::string more; !(more = read()).empty();) all += more;
    return all;
  }
  // An HTTP/1.1 answer whose length is told: its head and its body. Less, or nothing, when the connection ends before.
  std::string read_answer() {
    constexpr std::string_view name = "\r\nContent-Length: ";
    std::string answer = read_until("\r\n\r\n");
    if (const auto at = answer.find(name); at != answer.npos)
      answer += read_bytes(std::strtoul(answer.c_str() + at + name.size(), nullptr, 10));
    return answer;
  }
  void close() { fd_.reset(); }

 private:
  Fd fd_;
  bool connected_ = false;
  std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context_{nullptr, SSL_CTX_free};
  std::unique_ptr<SSL, decltype(&SSL_free)> ssl_{nullptr, SSL_free};
};

}  // namespace domicile
