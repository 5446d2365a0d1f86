#include "prove/tls_client.hpp"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "base/file.hpp"

namespace domicile::prove {

struct TlsClient::State {
  Fd socket;
  std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context{SSL_CTX_new(TLS_client_method()), &SSL_CTX_free};
  std::unique_ptr<SSL, decltype(&SSL_free)> tls{nullptr, &SSL_free};
};

Result<TlsClient> TlsClient::connect(const std::string& address, int port, const std::string& server_name,
                                     const std::string& ca) {
  ::signal(SIGPIPE, SIG_IGN);  // libssl writes without MSG_NOSIGNAL
  auto state = std::make_shared<State>();
  state->socket = Fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const timeval patience{10, 0};  // for each piece, both ways
  for (const int direction : {SO_RCVTIMEO, SO_SNDTIMEO})
    ::setsockopt(state->socket.get(), SOL_SOCKET, direction, &patience, sizeof patience);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<std::uint16_t>(port));
  ::inet_pton(AF_INET, address.c_str(), &to.sin_addr);
  if (::connect(state->socket.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0)
    return tl::unexpected<Error>(errno_error(fmt::format("cannot connect to {}:{}", address, port)));
  SSL_CTX_set_verify(state->context.get(), SSL_VERIFY_PEER, nullptr);
  if (SSL_CTX_load_verify_locations(state->context.get(), ca.c_str(), nullptr) != 1)
    return fail(Kind::invalid_input, "cannot read the authority in " + ca);
  state->tls.reset(SSL_new(state->context.get()));
  SSL_set_fd(state->tls.get(), state->socket.get());
  SSL_set_tlsext_host_name(state->tls.get(), server_name.c_str());
  SSL_set1_host(state->tls.get(), server_name.c_str());
  if (SSL_connect(state->tls.get()) != 1) {
    ERR_clear_error();
    return fail(Kind::unavailable, fmt::format("no TLS with {}:{}", address, port));
  }
  return TlsClient(std::move(state));
}

Result<void> TlsClient::say(std::string_view bytes) {
  std::size_t sent = 0;
  if (SSL_write_ex(state_->tls.get(), bytes.data(), bytes.size(), &sent) == 1 && sent == bytes.size()) return {};
  ERR_clear_error();
  return fail(Kind::unavailable, "the other side of a TLS connection takes nothing");
}

Result<std::string> TlsClient::hear() {
  std::string all;
  char buffer[4096];
  std::size_t got = 0;
  while (SSL_read_ex(state_->tls.get(), buffer, sizeof buffer, &got) == 1) all.append(buffer, got);
  ERR_clear_error();
  if (all.empty()) return fail(Kind::unavailable, "the other side of a TLS connection says nothing");
  return all;
}

}  // namespace domicile::prove
