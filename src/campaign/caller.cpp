#include "campaign/caller.hpp"

#include <curl/curl.h>

namespace domicile::campaign {
namespace {

using List = std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)>;

std::size_t collect(char* data, std::size_t size, std::size_t count, void* into) {
  static_cast<std::string*>(into)->append(data, size * count);
  return size * count;
}

// libcurl's last call before it sends a request. It would send again by itself what a kept-alive connection lost.
int before_sending(void* times, char*, char*, int, int) {
  return ++*static_cast<int*>(times) > 1 ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

}  // namespace

struct Caller::State {
  std::string ca;
  std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> easy{curl_easy_init(), &curl_easy_cleanup};
  List headers{curl_slist_append(curl_slist_append(nullptr, "Content-Type: application/json"), "Expect:"),
               &curl_slist_free_all};
};

Caller::Caller(std::string ca) : state_(std::make_unique<State>()) { state_->ca = std::move(ca); }
Caller::~Caller() = default;

Result<HttpResponse> Caller::send(const drill::Gateway& gateway, const std::string& host, const std::string& method,
                                  const std::string& path, const std::string& body, Micros timeout) {
  CURL* easy = state_->easy.get();
  curl_easy_reset(easy);  // options only: connections stay
  const std::string url = fmt::format("https://{}:{}{}", host, gateway.port, path);
  const List to{curl_slist_append(nullptr, fmt::format("::{}:{}", gateway.address, gateway.port).c_str()),
                &curl_slist_free_all};
  HttpResponse response;
  int times = 0;
  curl_easy_setopt(easy, CURLOPT_URL, url.c_str());
  curl_easy_setopt(easy, CURLOPT_CONNECT_TO, to.get());
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_PROXY, "");  // an environment's proxy is not for us
  curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
  curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, static_cast<long>(timeout / kMillisecond));
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, 2000L);
  curl_easy_setopt(easy, CURLOPT_CAINFO, state_->ca.c_str());
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, state_->headers.get());
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, &collect);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &response.body);
  curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method.c_str());
  curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, &before_sending);
  curl_easy_setopt(easy, CURLOPT_PREREQDATA, &times);
  if (method != "GET") {
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body.c_str());
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
  }
  if (const CURLcode code = curl_easy_perform(easy); code != CURLE_OK)
    return fail(times == 0 ? Kind::unavailable : Kind::unknown_outcome,
                fmt::format("{} gives no answer: {}", gateway.region, curl_easy_strerror(code)));
  curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &response.status);
  return response;
}

}  // namespace domicile::campaign
