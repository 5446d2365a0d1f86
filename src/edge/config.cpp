#include "edge/config.hpp"

#include <pwd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/file.hpp"

namespace domicile::edge {

namespace {

// A value between quotes of nginx.conf; what could end them or mean a variable is refused.
Result<std::string> quoted(const std::string& value) {
  for (const char c : value)
    if (c == '"' || c == '\\' || c == '$' || c == '\n' || c == '\0')
      return fail(Kind::invalid_input, fmt::format("'{}' cannot be written to nginx.conf", value));
  return '"' + value + '"';
}

std::string server_common(const GatewayConfig& config) {
  std::string text = "    domicile_tenant_header " + config.tenant_header + ";\n";
  // nginx's own errors, not the application's: `proxy_intercept_errors` is off.
  text +=
      "    error_page 502 504 = @domicile_again;\n"
      "    location @domicile_again { domicile_again on; return 503; }\n";
  for (const auto& read : config.reads) text += "    domicile_read " + read + ";\n";
  return text;
}

// What a client-facing server does: the application, and a peer for what is the peer's.
std::string client_server(const GatewayConfig& config, const std::string& listen, const std::string& extra) {
  const std::string region_tls = fmt::format(
      "      proxy_ssl_certificate \"{}\"; proxy_ssl_certificate_key \"{}\"; proxy_ssl_trusted_certificate \"{}\";\n"
      "      proxy_ssl_verify on; proxy_ssl_verify_depth 3; proxy_ssl_server_name on; proxy_ssl_name "
      "$domicile_owner;\n",
      config.region_tls.certificate, config.region_tls.key, config.region_tls.ca);
  std::string text = "  server {\n    " + listen + "\n" + extra + server_common(config) + config.server_extra +
                     "    location / { proxy_pass http://application; }\n";
  if (!config.region_tls.certificate.empty())
    text += "    location @domicile_forward {\n      proxy_pass https://domicile_peers;\n" + region_tls +
            "      proxy_read_timeout 60s; proxy_socket_keepalive on;\n    }\n";
  return text + "  }\n";
}

std::string stream_part(const GatewayConfig& config) {
  const std::string tls = fmt::format(
      "    proxy_ssl_certificate \"{0}\"; proxy_ssl_certificate_key \"{1}\"; proxy_ssl_trusted_certificate \"{2}\";\n",
      config.region_tls.certificate, config.region_tls.key, config.region_tls.ca);
  std::string text =
      "stream {\n  log_format domicile escape=json '{\"time\":\"$time_iso8601\",\"tenant\":\"$domicile_tenant\","
      "\"residency\":\"$domicile_residency\",\"decision\":\"$domicile_decision\",\"reason\":\"$domicile_reason\","
      "\"epoch\":\"$domicile_epoch\",\"denial\":\"$domicile_denial\",\"status\":$status,\"received\":$bytes_received,"
      "\"sent\":$bytes_sent}';\n"
      "  access_log logs/connections.log domicile;\n  proxy_connect_timeout 3s;\n  proxy_timeout 1h;\n";
  text += "  server {\n    listen " + config.listen + ";\n    domicile clients;\n";
  if (config.region_tls.certificate.empty())
    text += "    proxy_pass $domicile_tunnel;\n  }\n";
  else
    text += "    proxy_pass $domicile_tunnel;\n    proxy_ssl on;\n" + tls +
            "    proxy_ssl_verify on; proxy_ssl_verify_depth 3; proxy_ssl_server_name on; proxy_ssl_name "
            "$domicile_owner;\n  }\n";
  if (!config.tunnel.empty())
    // The client's own TLS travels inside that of the regions: one more hop in here, and no server name on the wire.
    text += fmt::format(
        "  server {{\n    listen {} ssl;\n    ssl_certificate \"{}\"; ssl_certificate_key \"{}\";\n"
        "    ssl_client_certificate \"{}\"; ssl_verify_client on; ssl_verify_depth 3;\n    access_log off;\n    "
        "domicile tunnels;\n"
        "    proxy_pass unix:run/inner.sock;\n  }}\n"
        "  server {{\n    listen unix:run/inner.sock;\n    domicile tunnelled;\n    proxy_pass "
        "unix:run/nowhere.sock;\n  }}\n",
        config.tunnel, config.region_tls.certificate, config.region_tls.key, config.region_tls.ca);
  return text + "}\n";
}

// A socket whose nginx was killed stays as a file and would stop the next start; one that answers is left alone.
void remove_stale_sockets(const std::string& directory) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(directory + "/run", error)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string path = entry.path().string();
    if (path.size() >= sizeof address.sun_path) continue;
    path.copy(address.sun_path, path.size());
    Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 && errno == ECONNREFUSED)
      unlink(path.c_str());
  }
}

}  // namespace

Result<std::string> render(const GatewayConfig& config) {
  for (const auto& value :
       {config.directory, config.region, config.modules, config.application, config.listen, config.listen_plain,
        config.tunnel, config.forward, config.region_tls.ca, config.region_tls.certificate, config.region_tls.key})
    TRY(quoted(value));
  if ((!config.tunnel.empty() || !config.forward.empty()) && config.region_tls.certificate.empty())
    return fail(Kind::invalid_input, "a gateway that peers reach needs this region's certificate");
  std::string text = fmt::format(
      "# Rendered; changes are overwritten.\nload_module {}/ngx_stream_module.so;\n"
      "load_module \"{}/ngx_domicile_http.so\";\nload_module \"{}/ngx_domicile_stream.so\";\n"
      "{}worker_processes {};\ndaemon off;\npid nginx.pid;\nerror_log logs/error.log "
      "error;\n"
      "domicile_directory \"{}\";\ndomicile_region \"{}\";\ndomicile_hold_requests {};\ndomicile_hold_bytes {};\n"
      "domicile_hold_time {}ms;\ndomicile_retry_after {};\ndomicile_wind_down {}ms;\ndomicile_warm_connections {};\n"
      "domicile_released_at_once {};\nworker_shutdown_timeout 30s;\n"
      "events {{ worker_connections {}; }}\n",
      "/usr/lib/nginx/modules", config.modules, config.modules,
      geteuid() == 0 && !config.user.empty() ? "user " + config.user + ";\n" : "", config.workers, config.directory,
      config.region, config.hold_requests, config.hold_bytes, config.hold_ms, config.retry_after_s, config.wind_down_ms,
      config.warm_connections, config.released_at_once, config.worker_connections);
  for (const auto& peer : config.peers) {
    TRY(quoted(peer.region + peer.forward));
    text += fmt::format("domicile_warm \"{}\" \"{}\";\n", peer.region, peer.forward);
  }
  text += stream_part(config);
  text +=
      "http {\n  log_format domicile escape=json '{\"time\":\"$time_iso8601\",\"tenant\":\"$domicile_tenant\","
      "\"residency\":\"$domicile_residency\",\"decision\":\"$domicile_decision\",\"reason\":\"$domicile_reason\","
      "\"epoch\":\"$domicile_epoch\",\"denial\":\"$domicile_denial\",\"method\":\"$domicile_method\",\"status\":$"
      "status,"
      "\"sent\":$body_bytes_sent,"
      "\"seconds\":$request_time}';\n"
      "  access_log logs/access.log domicile;\n  server_tokens off;\n"
      "  client_body_temp_path run/body; proxy_temp_path run/proxy; fastcgi_temp_path run/f; uwsgi_temp_path run/u;\n"
      "  scgi_temp_path run/s;\n  keepalive_timeout 75s; keepalive_requests 100000; client_max_body_size 64m;\n"
      // nginx takes any word of A-Z, '_' and '-' for a method, and a client's words are not to be in a log.
      "  map $request_method $domicile_method {\n    default other; '' '';\n    GET GET; HEAD HEAD; POST POST; PUT "
      "PUT; "
      "PATCH PATCH; DELETE DELETE; OPTIONS OPTIONS;\n  }\n"
      "  map $http_upgrade $domicile_connection { default upgrade; '' ''; }\n"
      "  proxy_http_version 1.1; proxy_set_header Host $host; proxy_set_header Upgrade $http_upgrade;\n"
      "  proxy_set_header Connection $domicile_connection; proxy_buffering off; proxy_read_timeout 1h;\n"
      "  proxy_connect_timeout 3s; proxy_next_upstream off;\n";
  // Shorter than applications keep theirs: a write on a connection that they just close would be an unknown outcome.
  text += fmt::format("  upstream application {{ server {}; keepalive {}; keepalive_timeout 2s; }}\n",
                      config.application, config.application_connections);
  // Connections to peers go where each request is decided to go; the server only satisfies nginx's parser.
  text += "  upstream domicile_peers { server unix:run/nowhere.sock; domicile_peers; }\n";
  text += "  server { listen unix:run/https-.unknown.sock ssl http2; ssl_reject_handshake on; }\n";
  for (const auto& own : config.certificates) {
    TRY(quoted(own.residency + own.certificate + own.key));
    text += client_server(config, fmt::format("listen unix:run/https-{}.sock ssl http2;", own.residency),
                          fmt::format("    domicile tls;\n    ssl_certificate \"{}\"; ssl_certificate_key \"{}\";\n"
                                      "    ssl_session_tickets off;\n",
                                      own.certificate, own.key));
  }
  if (!config.listen_plain.empty())
    text += client_server(config, "listen " + config.listen_plain + ";", "    domicile plain;\n");
  if (!config.forward.empty())
    text += fmt::format(
        "  server {{\n    listen {} ssl so_keepalive=on;\n    domicile forwarded;\n"
        "    client_header_timeout 1h; keepalive_timeout 1h;\n    ssl_certificate \"{}\"; ssl_certificate_key "
        "\"{}\";\n"
        "    ssl_client_certificate \"{}\"; ssl_verify_client on; ssl_verify_depth 3;\n{}"
        "    location / {{ proxy_pass http://application; }}\n  }}\n",
        config.forward, config.region_tls.certificate, config.region_tls.key, config.region_tls.ca,
        server_common(config));
  return text + "}\n";
}

Result<void> prepare(const GatewayConfig& config) {
  const std::string text = TRY(render(config));
  CHECK_OK(make_directories(config.directory));
  CHECK_OK(make_directories(config.directory + "/logs"));
  CHECK_OK(make_directories(config.directory + "/run", 0700));
  if (geteuid() == 0 && !config.user.empty()) {
    // Workers reach the inner sockets and write bodies there; nobody else does.
    const std::string name = config.user.substr(0, config.user.find(' '));
    const passwd* user = getpwnam(name.c_str());
    if (user == nullptr)
      return fail(Kind::invalid_input, fmt::format("there is no user '{}' for nginx's workers", name));
    if (chown((config.directory + "/run").c_str(), user->pw_uid, user->pw_gid) != 0)
      return tl::unexpected<Error>(errno_error("cannot hand over the gateway's run directory"));
  }
  remove_stale_sockets(config.directory);
  return write_file(config.directory + "/nginx.conf", text);
}

Command start_command(const GatewayConfig& config) {
  return {
      .argv = {config.nginx, "-p", config.directory, "-c", config.directory + "/nginx.conf", "-e", "logs/error.log"},
      .directory = config.directory,
      .output = config.directory + "/logs/nginx.out"};
}

}  // namespace domicile::edge
