// A client of a gateway, by libcurl: whatever its host's name is, it goes to the address it is told.
#pragma once
#include <curl/curl.h>
#include <fcntl.h>
#include <fmt/format.h>

#include <string>
#include <vector>

namespace domicile::edge {

struct Answer {
  long status = 0;
  long version = 0;
  CURLcode code = CURLE_OK;
  std::string body, headers;
};
struct Ask {
  std::string host, path = "/", method = "GET", body = {};
  std::vector<std::string> headers = {};
  std::string host_header = {};
  bool http2 = false, plain = false;
  std::string address = "127.0.0.1";
};

class Client {
 public:
  Client() : curl_(curl_easy_init()) {}
  ~Client() { curl_easy_cleanup(curl_); }
  Client(const Client&) = delete;
  Answer ask(int port, const std::string& ca, const Ask& ask) {
    curl_easy_reset(curl_);
    Answer answer;
    const std::string url = fmt::format("{}://{}:{}{}", ask.plain ? "http" : "https", ask.host, port, ask.path);
    const std::string where = fmt::format("{}:{}:{}", ask.host, port, ask.address);
    curl_slist* resolve = curl_slist_append(nullptr, where.c_str());
    curl_slist* headers = nullptr;
    if (!ask.host_header.empty()) headers = curl_slist_append(headers, ("Host: " + ask.host_header).c_str());
    for (const auto& header : ask.headers) headers = curl_slist_append(headers, header.c_str());
    headers = curl_slist_append(headers, "Expect:");
    headers = curl_slist_append(headers, "Content-Type: application/octet-stream");
    curl_easy_setopt(curl_, CURLOPT_URL, url.c_str());
    curl_easy_setopt(curl_, CURLOPT_RESOLVE, resolve);
    curl_easy_setopt(curl_, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl_, CURLOPT_CAINFO, ca.c_str());
    curl_easy_setopt(curl_, CURLOPT_TIMEOUT, 20L);
    curl_easy_setopt(curl_, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl_, CURLOPT_CUSTOMREQUEST, ask.method.c_str());
    if (!ask.body.empty()) {
      curl_easy_setopt(curl_, CURLOPT_POSTFIELDSIZE, static_cast<long>(ask.body.size()));
      curl_easy_setopt(curl_, CURLOPT_POSTFIELDS, ask.body.c_str());
    }
    curl_easy_setopt(curl_, CURLOPT_HTTP_VERSION,
                     static_cast<long>(ask.http2 ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1));
    // An nginx that is started meanwhile must not inherit the connection.
    curl_easy_setopt(
        curl_, CURLOPT_SOCKOPTFUNCTION,
        +[](void*, curl_socket_t fd, curlsocktype) { return fcntl(fd, F_SETFD, FD_CLOEXEC); });
    const auto append = +[](char* data, std::size_t size, std::size_t count, std::string* to) {
      to->append(data, size * count);
      return size * count;
    };
    curl_easy_setopt(curl_, CURLOPT_WRITEFUNCTION, append);
    curl_easy_setopt(curl_, CURLOPT_WRITEDATA, &answer.body);
    curl_easy_setopt(curl_, CURLOPT_HEADERFUNCTION, append);
    curl_easy_setopt(curl_, CURLOPT_HEADERDATA, &answer.headers);
    answer.code = curl_easy_perform(curl_);
    curl_easy_getinfo(curl_, CURLINFO_RESPONSE_CODE, &answer.status);
    curl_easy_getinfo(curl_, CURLINFO_HTTP_VERSION, &answer.version);
    curl_slist_free_all(resolve);
    curl_slist_free_all(headers);
    return answer;
  }

 private:
  CURL* curl_;
};

inline bool has(const Answer& answer, const std::string& header) {
  return answer.headers.find(header) != std::string::npos;
}

}  // namespace domicile::edge
