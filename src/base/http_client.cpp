#include "base/http_client.hpp"

#include <curl/curl.h>

#include <algorithm>

namespace domicile {

struct HttpClient::State {
  CURL* easy = curl_easy_init();
  TlsFiles tls;
  std::string unix_socket;
  State() = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() { curl_easy_cleanup(easy); }
};

HttpClient::HttpClient(TlsFiles tls, std::string unix_socket) : state_(std::make_unique<State>()) {
  state_->tls = std::move(tls);
  state_->unix_socket = std::move(unix_socket);
}
HttpClient::~HttpClient() = default;
HttpClient::HttpClient(HttpClient&&) noexcept = default;
HttpClient& HttpClient::operator=(HttpClient&&) noexcept = default;

namespace {

struct Body {
  CURL* easy;
  const HttpRequest* request;
  std::string* into;
};

std::size_t collect(char* data, std::size_t size, std::size_t count, void* opaque) {
  const auto& body = *static_cast<Body*>(opaque);
  long status = 0;
  curl_easy_getinfo(body.easy, CURLINFO_RESPONSE_CODE, &status);
  if (!body.request->on_body || status >= 400) {
    body.into->append(data, size * count);
    return size * count;
  }
  return body.request->on_body({data, size * count}) ? size * count : 0;
}

// What went on the wire, as libcurl's last call before it sends a request tells.
struct Sending {
  bool repeatable = false;
  int times = 0;
};

// libcurl sends a request again by itself when a kept-alive connection died under it. After that, "connection refused"
// would look as if nothing had been sent: so a request that may change something is never sent twice.
int before_sending(void* sending_ptr, char*, char*, int, int) {
  auto& sending = *static_cast<Sending*>(sending_ptr);
  if (sending.times++ > 0 && !sending.repeatable) return CURL_PREREQFUNC_ABORT;
  return CURL_PREREQFUNC_OK;
}

using Headers = std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)>;

// libcurl's own type for a body is a form's, which servers read into memory and bound by a few kilobytes.
Headers header_list(const std::vector<std::string>& lines) {
  curl_slist* list = nullptr;
  if (std::ranges::none_of(lines, [](const std::string& line) { return line.starts_with("Content-Type:"); }))
    list = curl_slist_append(list, "Content-Type: application/octet-stream");
  for (const auto& line : lines) list = curl_slist_append(list, line.c_str());
  return {list, &curl_slist_free_all};
}

}  // namespace

Result<HttpResponse> HttpClient::send(const HttpRequest& request) {
  CURL* easy = state_->easy;
  curl_easy_reset(easy);  // options only: connections stay
  const Headers headers = header_list(request.headers);
  HttpResponse response;
  Body body{easy, &request, &response.body};
  char reason[CURL_ERROR_SIZE] = "";
  curl_easy_setopt(easy, CURLOPT_URL, request.url.c_str());
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_PROXY, "");  // an environment's proxy is not for us
  curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, static_cast<long>(request.timeout / kMillisecond));
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(request.timeout / kMillisecond));
  curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers.get());
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, &collect);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &body);
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, reason);
  curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request.method.c_str());
  Sending sending{.repeatable = request.method == "GET" || request.method == "HEAD"};
  curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, &before_sending);
  curl_easy_setopt(easy, CURLOPT_PREREQDATA, &sending);
  if (request.method == "HEAD") curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
  if (!request.body.empty() || request.method == "POST" || request.method == "PUT") {
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request.body.c_str());
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
  }
  if (!state_->unix_socket.empty()) curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, state_->unix_socket.c_str());
  if (!state_->tls.ca.empty()) curl_easy_setopt(easy, CURLOPT_CAINFO, state_->tls.ca.c_str());
  curl_easy_setopt(easy, CURLOPT_SSL_SESSIONID_CACHE, 0L);  // see http_server.cpp: servers of before break it off
  if (!state_->tls.certificate.empty()) {
    curl_easy_setopt(easy, CURLOPT_SSLCERT, state_->tls.certificate.c_str());
    curl_easy_setopt(easy, CURLOPT_SSLKEY, state_->tls.key.c_str());
  }
  const CURLcode code = curl_easy_perform(easy);
  if (code != CURLE_OK) {
    return fail(
        sending.times == 0 ? Kind::unavailable : Kind::unknown_outcome,
        fmt::format("{} {}: {}", request.method, request.url, *reason != 0 ? reason : curl_easy_strerror(code)));
  }
  curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &response.status);
  return response;
}

}  // namespace domicile
