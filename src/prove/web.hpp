// A client of a gateway that says what it likes: server name, host, path and headers each for itself.
#pragma once
#include <string>
#include <vector>

#include "base/result.hpp"

namespace domicile::prove {

struct WebAsk {
  std::string at;         // ip:port
  std::string sni;        // empty: none is sent
  std::string host = {};  // of the request; empty: as the server name
  std::string path = "/";
  std::string target = {};  // the request line's, instead of the path: an absolute URI
  std::string method = "GET", body = {};
  std::vector<std::string> headers = {};
  bool http2 = false;
  std::string ca = {};  // PEM file; empty: any certificate is good enough
};

struct WebAnswer {
  long status = 0;  // 0: the handshake was refused
  std::string head, body;
  std::string certificate;  // PEM of whoever answered
  // The value of a header, as sent; empty: not there.
  std::string header(const std::string& name) const;
};

// An answer, or a handshake that the other side refused. Anything else is `unavailable`: no connection, no answer.
Result<WebAnswer> ask_web(const WebAsk& ask);

}  // namespace domicile::prove
