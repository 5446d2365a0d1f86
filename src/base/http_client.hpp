// HTTP(S) requests over kept-alive connections, by libcurl.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"

namespace domicile {

// Whom we trust and who we are, as PEM files. Empty ca: plain HTTP only.
struct TlsFiles {
  std::string ca, certificate, key;
};

struct HttpRequest {
  std::string method = "GET";
  std::string url;                   // http://…, https://…; over a Unix socket the host is ignored
  std::vector<std::string> headers;  // "Name: value"
  std::string body;
  Micros timeout = 5 * kSecond;  // whole request, connection included
  // Gets a successful answer's body piece by piece instead of HttpResponse::body; false ends the request.
  std::function<bool(std::string_view)> on_body = {};
};

struct HttpResponse {
  long status = 0;
  std::string body;
};

// One client per thread: it keeps its connections. Not movable while a request runs.
class HttpClient {
 public:
  explicit HttpClient(TlsFiles tls = {}, std::string unix_socket = {});
  ~HttpClient();
  HttpClient(HttpClient&&) noexcept;
  HttpClient& operator=(HttpClient&&) noexcept;
  // Any status is a response. `unavailable`: it surely was not processed (no connection); `unknown_outcome`: sent, no
  // answer.
  Result<HttpResponse> send(const HttpRequest& request);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace domicile
