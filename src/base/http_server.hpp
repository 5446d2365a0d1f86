// A small HTTP server for control APIs and the demo service, by cpp-httplib: TCP, TLS with client certificates, or a
// Unix socket. Handlers run on its threads and must be thread-safe.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/http_client.hpp"
#include "base/result.hpp"

namespace domicile {

struct HttpCall {
  std::string method, path;  // path without query, undecoded
  std::map<std::string, std::string> query;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
  std::string peer_name;    // the client certificate's common name; empty without one
  std::string peer_serial;  // its serial number, hex
  bool local = false;       // came over a Unix socket
};

struct HttpReply {
  int status = 200;
  std::string body;
  std::string type = "application/json";
  std::map<std::string, std::string> headers = {};
  // Writes the body piece by piece instead of `body`. `write` answers false when the client is gone; returning false
  // breaks the connection off, so that a client can tell a whole answer from half of one.
  std::function<bool(const std::function<bool(std::string_view)>& write)> stream = {};
};

using HttpHandler = std::function<HttpReply(const HttpCall&)>;

struct HttpListen {
  std::string host;         // "127.10.0.1"; ignored with unix_socket
  int port = 0;             // 0: a free one, see HttpServer::port
  std::string unix_socket;  // path; an old socket file there is replaced; mode 0660
  TlsFiles tls;             // with ca: clients without a certificate of that authority are refused in the handshake
  int threads = 8;
  int idle_s = 5;  // a kept-alive connection without a request is closed then; until then it occupies a thread
  std::size_t max_body = 64ULL << 20;  // bytes; a larger request is refused
};

// Serves from start until destruction. One handler gets every request.
class HttpServer {
 public:
  static Result<HttpServer> start(const HttpListen& listen, HttpHandler handler);
  HttpServer(HttpServer&&) noexcept;
  HttpServer& operator=(HttpServer&&) noexcept;
  ~HttpServer();
  int port() const;

 private:
  struct State;
  explicit HttpServer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace domicile
