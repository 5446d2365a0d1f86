#include "agent/transport.hpp"

#include <algorithm>
#include <charconv>
#include <vector>

#include "engines/postgres/conninfo.hpp"

namespace domicile::agent {
namespace {

using Settings = std::map<std::string, std::string>;

std::string of(const Settings& settings, const char* key) {
  const auto it = settings.find(key);
  return it == settings.end() ? std::string() : it->second;
}

// libpq takes several hosts, separated by commas; an empty one is its default, a Unix socket.
std::vector<std::string> split(const std::string& list) {
  std::vector<std::string> out{""};
  for (const char c : list)
    if (c == ',')
      out.emplace_back();
    else
      out.back() += c;
  return out;
}

bool unix_socket(const std::string& host) { return host.empty() || host[0] == '/' || host[0] == '@'; }

// By the address itself: what a name means is somebody else's word.
bool stays_here(const std::string& host) {
  if (unix_socket(host) || host == "localhost" || host == "::1") return true;
  return host.starts_with("127.") && host.find_first_not_of("0123456789.") == std::string::npos;
}

bool is_port(std::string_view text) {
  int port = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), port);
  return code == std::errc() && end == text.data() + text.size() && port >= 1 && port <= 65535;
}

}  // namespace

Result<void> check_url(const std::string& url) {
  constexpr std::string_view kScheme = "https://";
  const auto bad = [&](const char* fix) {
    return fail(Kind::refused, fmt::format("'{}' is no address for mutual TLS", url), fix, "DOM-E604");
  };
  if (!url.starts_with(kScheme)) return bad("write https://host:port");
  const std::string_view rest = std::string_view(url).substr(kScheme.size());
  const auto colon = rest.rfind(':');
  if (colon == rest.npos || colon == 0 || !is_port(rest.substr(colon + 1))) return bad("write https://host:port");
  if (rest.find_first_of("/@?# ") != rest.npos) return bad("write https://host:port, without user and path");
  return {};
}

Result<void> check_link(const std::string& conninfo, bool insecure) {
  const auto settings = postgres::settings_of(conninfo);
  if (!settings) return fail(Kind::invalid_input, settings.error().what, "write host=… dbname=… user=…", "DOM-E605");
  const auto hosts = split(of(*settings, "host"));
  if (insecure) {
    auto all = hosts;
    for (const auto& address : split(of(*settings, "hostaddr"))) all.push_back(address);
    if (settings->contains("service") || !std::ranges::all_of(all, stays_here))
      return fail(Kind::refused, "a link without mutual TLS may not leave this host",
                  "remove insecure_link and write sslmode=verify-full with certificates", "DOM-E606");
    return {};
  }
  const auto lacks = [](const std::string& what) {
    return fail(Kind::refused, "a link without mutual TLS: " + what,
                "write sslmode=verify-full sslrootcert=… sslcert=… sslkey=…", "DOM-E605");
  };
  // libpq speaks no TLS over a Unix socket, whatever sslmode says.
  for (const auto& host : hosts)
    if (unix_socket(host)) return lacks("it has no host to verify");
  if (of(*settings, "sslmode") != "verify-full")
    return lacks(settings->contains("sslmode") ? "sslmode is " + of(*settings, "sslmode") : "it has no sslmode");
  for (const char* key : {"sslrootcert", "sslcert", "sslkey"})
    if (of(*settings, key).empty()) return lacks(fmt::format("it has no {}", key));
  return {};
}

}  // namespace domicile::agent
