#include "prove/web.hpp"

#include <curl/curl.h>

#include <algorithm>
#include <memory>

namespace domicile::prove {
namespace {

using Curl = std::unique_ptr<CURL, decltype(&curl_easy_cleanup)>;

class List {
 public:
  List() = default;
  ~List() { curl_slist_free_all(list_); }
  List(const List&) = delete;
  List& operator=(const List&) = delete;
  void add(const std::string& text) { list_ = curl_slist_append(list_, text.c_str()); }
  curl_slist* get() const { return list_; }

 private:
  curl_slist* list_ = nullptr;
};

std::size_t append(char* data, std::size_t size, std::size_t count, std::string* to) {
  to->append(data, size * count);
  return size * count;
}

// PEM of the first certificate of the chain.
std::string certificate_of(CURL* curl) {
  curl_certinfo* info = nullptr;
  if (curl_easy_getinfo(curl, CURLINFO_CERTINFO, &info) != CURLE_OK || info == nullptr || info->num_of_certs < 1)
    return {};
  for (const curl_slist* each = info->certinfo[0]; each != nullptr; each = each->next) {
    const std::string_view text = each->data;
    if (text.starts_with("Cert:")) return std::string(text.substr(5));
  }
  return {};
}

}  // namespace

std::string WebAnswer::header(const std::string& name) const {
  const auto same = [](char a, char b) {
    return std::tolower(static_cast<unsigned char>(a)) == std::tolower(static_cast<unsigned char>(b));
  };
  const std::string wanted = "\n" + name + ": ";
  const auto found = std::search(head.begin(), head.end(), wanted.begin(), wanted.end(), same);
  if (found == head.end()) return {};
  const auto begin = found + static_cast<std::ptrdiff_t>(wanted.size());
  return {begin, std::find(begin, head.end(), '\r')};
}

Result<WebAnswer> ask_web(const WebAsk& ask) {
  const Curl curl(curl_easy_init(), &curl_easy_cleanup);
  if (!curl) return fail(Kind::unavailable, "no memory for a client");
  CURL* c = curl.get();
  WebAnswer answer;
  const auto colon = ask.at.rfind(':');
  const std::string address = ask.at.substr(0, colon), port = ask.at.substr(colon + 1);
  // An address as the URL's host: then no server name goes out.
  const std::string url = fmt::format("https://{}:{}{}", ask.sni.empty() ? address : ask.sni, port, ask.path);
  List resolve, headers;
  resolve.add(fmt::format("{}:{}:{}", ask.sni, port, address));
  if (!ask.host.empty()) headers.add("Host: " + ask.host);
  for (const auto& header : ask.headers) headers.add(header);
  headers.add("Expect:");
  if (!ask.body.empty()) headers.add("Content-Type: application/json");
  curl_easy_setopt(c, CURLOPT_URL, url.c_str());
  if (!ask.sni.empty()) curl_easy_setopt(c, CURLOPT_RESOLVE, resolve.get());
  curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers.get());
  curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(c, CURLOPT_NOPROXY, "*");
  curl_easy_setopt(c, CURLOPT_TIMEOUT, 20L);
  curl_easy_setopt(c, CURLOPT_CERTINFO, 1L);
  curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, ask.method.c_str());
  curl_easy_setopt(c, CURLOPT_HTTP_VERSION,
                   static_cast<long>(ask.http2 ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1));
  if (!ask.target.empty()) curl_easy_setopt(c, CURLOPT_REQUEST_TARGET, ask.target.c_str());
  if (!ask.body.empty()) {
    curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE, static_cast<long>(ask.body.size()));
    curl_easy_setopt(c, CURLOPT_POSTFIELDS, ask.body.c_str());
  }
  if (ask.ca.empty()) {
    curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 0L);
  } else {
    curl_easy_setopt(c, CURLOPT_CAINFO, ask.ca.c_str());
  }
  curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, append);
  curl_easy_setopt(c, CURLOPT_WRITEDATA, &answer.body);
  curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, append);
  curl_easy_setopt(c, CURLOPT_HEADERDATA, &answer.head);
  const CURLcode code = curl_easy_perform(c);
  curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &answer.status);
  answer.certificate = certificate_of(c);
  if (code == CURLE_OK) return answer;
  // A TCP connection that was made, and a handshake that the other side ended.
  if (code == CURLE_SSL_CONNECT_ERROR) return WebAnswer{};
  return fail(Kind::unavailable, fmt::format("{} does not answer: {}", ask.at, curl_easy_strerror(code)));
}

}  // namespace domicile::prove
