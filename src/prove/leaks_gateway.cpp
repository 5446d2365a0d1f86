// Leaks through nginx: its logs, its cache, and bodies that it keeps in files without a name.
#include <signal.h>

#include <charconv>

#include "base/json.hpp"
#include "lab/processes.hpp"
#include "prove/leaks.hpp"
#include "prove/tls_client.hpp"

namespace domicile::prove {
namespace {

using census::Canary;

constexpr Micros kPatience = 20 * kSecond;

Result<TlsClient> connect(const Scene& scene) {
  return TlsClient::connect(scene.gateway.address, scene.gateway.port, scene.client.host, scene.field->ca());
}

// What the gateway answers, head and body.
Result<std::string> request(const Scene& scene, const std::string& method, const std::string& path,
                            const std::string& body = {}) {
  auto client = TRY(connect(scene));
  CHECK_OK(client.say(fmt::format("{} {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{}",
                                  method, path, scene.client.host, body.size(), body)));
  return client.hear();
}

bool holds(const fs::path& file, const std::string& text) {
  return read_file(file).value_or("").find(text) != std::string::npos;
}

Result<void> replace(std::string& text, std::string_view from, std::string_view to) {
  const auto at = text.find(from);
  if (at == text.npos) return fail(Kind::failed, fmt::format("nginx.conf has no '{}'", from));
  for (auto next = at; next != text.npos; next = text.find(from, next + to.size())) text.replace(next, from.size(), to);
  return {};
}

// From here on the gateway logs URIs, rewrites aloud and keeps what the application answers.
Result<void> make_talkative(const Scene& scene) {
  const fs::path gateway = scene.folder() / "gateway";
  std::string conf = TRY(read_file(gateway / "nginx.conf"));
  CHECK_OK(replace(conf, "error_log logs/error.log error;", "error_log logs/error.log notice;"));
  CHECK_OK(replace(conf, R"("method":"$domicile_method")", R"("method":"$domicile_method","uri":"$request_uri")"));
  CHECK_OK(replace(conf, "proxy_buffering off;",
                   "proxy_buffering on; proxy_cache_path cache keys_zone=leak:1m; proxy_cache leak; "
                   "proxy_cache_valid 200 1h;"));
  CHECK_OK(replace(conf, "    domicile tls;\n", "    domicile tls; rewrite_log on; rewrite ^/leak/(.*)$ /$1;\n"));
  CHECK_OK(write_file(gateway / "nginx.conf", conf));
  const std::string text = TRY(read_file(gateway / "nginx.pid"));
  pid_t master = 0;
  std::from_chars(text.data(), text.data() + text.size(), master);
  if (master <= 1 || ::kill(master, SIGHUP) != 0) return tl::unexpected<Error>(errno_error("cannot reload nginx"));
  return {};
}

// Asks until the log has it: the workers that obey the old configuration end a moment later.
Result<Expected> by_path(Scene& scene, const Canary& canary, const std::string& log) {
  if (!await(kPatience, [&] {
        (void)request(scene, "GET", "/leak/" + canary.value);
        return holds(scene.folder() / "gateway" / "logs" / log, canary.value);
      }))
    return fail(Kind::unavailable, "nginx does not log what it was told to");
  return Expected{scene.place("gateway"), "/logs/" + log};
}

Result<Expected> access_log(Scene& scene, const Canary& canary) {
  CHECK_OK(make_talkative(scene));
  return by_path(scene, canary, "access.log");
}

Result<Expected> error_log(Scene& scene, const Canary& canary) { return by_path(scene, canary, "error.log"); }

Result<Expected> cached_answer(Scene& scene, const Canary& canary) {
  auto sql = TRY(scene.sql(scene.site));
  const auto id = TRY(sql.exec("select gen_random_uuid()")).text(0, 0);
  const auto order =
      dump({{"id", id}, {"tenant", scene.client.tenant}, {"customer_name", canary.value}, {"amount", 1}});
  std::string added;
  // Until the gateway knows the tenant.
  if (!await(kPatience, [&] {
        added = request(scene, "POST", "/orders", order).value_or("");
        return added.starts_with("HTTP/1.1 201");
      }))
    return fail(Kind::unavailable, "an order was not taken: " + added.substr(0, added.find('\r')));
  const auto shown = TRY(request(scene, "GET", "/orders/" + id));
  if (shown.find(canary.value) == shown.npos) return fail(Kind::unavailable, "an order was not shown");
  return Expected{scene.place("gateway"), "/gateway/cache/"};
}

// The file of a body is removed before anything is written into it; here the client stops in the middle.
Result<Expected> unfinished_body(Scene& scene, const Canary& canary) {
  auto client = std::make_shared<TlsClient>(TRY(connect(scene)));
  CHECK_OK(client->say(fmt::format("POST /orders HTTP/1.1\r\nHost: {}\r\nContent-Length: 1000000\r\n\r\n{}{}",
                                   scene.client.host, canary.value, std::string(300'000, '.'))));
  scene.kept.push_back(std::move(client));
  const fs::path gateway = fs::canonical(scene.folder()) / "gateway";
  if (!await(kPatience, [&] {
        std::error_code code;
        for (const pid_t pid : lab::processes_below(gateway))
          for (const auto& link : fs::directory_iterator(fmt::format("/proc/{}/fd", pid), code)) {
            const std::string target = fs::read_symlink(link.path(), code).string();
            if (target.find("/run/body/") != target.npos && holds(link.path(), canary.value)) return true;
          }
        return false;
      }))
    return fail(Kind::unavailable, "nginx keeps no body in a file");
  return Expected{scene.place("deleted"), "/deleted/"};
}

}  // namespace

std::vector<Planting> gateway_leaks() {
  return {{"gateway", "its access log, told to log the URI", access_log},
          {"gateway", "its error log, told to log rewrites", error_log},
          {"gateway", "an answer in its cache", cached_answer},
          {"gateway", "a body in a deleted file", unfinished_body}};
}

}  // namespace domicile::prove
