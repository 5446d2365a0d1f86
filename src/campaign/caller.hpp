// HTTPS requests of one client to a tenant's host by a gateway of its choice, over kept-alive connections.
#pragma once
#include "drill/load.hpp"

namespace domicile::campaign {

class Caller {
 public:
  explicit Caller(std::string ca);
  ~Caller();
  Caller(const Caller&) = delete;
  Caller& operator=(const Caller&) = delete;
  // Any status is a response. `unavailable`: it surely was not sent; `unknown_outcome`: sent, and no answer. Nothing is
  // ever sent twice.
  Result<HttpResponse> send(const drill::Gateway& gateway, const std::string& host, const std::string& method,
                            const std::string& path, const std::string& body, Micros timeout);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace domicile::campaign
