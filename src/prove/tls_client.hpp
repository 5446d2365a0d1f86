// A TLS connection that says exactly what it is told to, and may stop in the middle.
#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.hpp"
#include "base/result.hpp"

namespace domicile::prove {

class TlsClient {
 public:
  // To ADDRESS:PORT; `server_name` as SNI, whose certificate must be of the authority `ca`.
  static Result<TlsClient> connect(const std::string& address, int port, const std::string& server_name,
                                   const std::string& ca);
  Result<void> say(std::string_view bytes);
  // All that is said until the other side ends the connection.
  Result<std::string> hear();

 private:
  struct State;
  explicit TlsClient(std::shared_ptr<State> state) : state_(std::move(state)) {}
  std::shared_ptr<State> state_;
};

}  // namespace domicile::prove
