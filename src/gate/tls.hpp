// The gate's end of mutual TLS: 1.3 only, and a certificate of the regions' authority or no word is spoken.
#pragma once
#include <memory>
#include <string>

#include "base/file.hpp"
#include "base/http_client.hpp"
#include "gate/wire.hpp"

struct ssl_ctx_st;

namespace domicile::gate {

class TlsSession {
 public:
  const Wire& wire() const { return wire_; }
  const std::string& common_name() const { return common_name_; }  // of the peer's certificate
  const std::string& serial() const { return serial_; }  // hex, upper case, as `openssl x509 -serial` prints it

 private:
  friend class TlsServer;
  struct End {
    void operator()(ssl_st* tls) const;
  };
  std::unique_ptr<ssl_st, End> tls_;
  Wire wire_;
  std::string common_name_, serial_;
};

class TlsServer {
 public:
  static Result<TlsServer> make(const TlsFiles& files);
  // The handshake on a connected, non-blocking socket, which must outlive the session.
  Result<TlsSession> accept(int fd, Micros deadline) const;

 private:
  struct End {
    void operator()(ssl_ctx_st* context) const;
  };
  std::shared_ptr<ssl_ctx_st> context_;
};

}  // namespace domicile::gate
