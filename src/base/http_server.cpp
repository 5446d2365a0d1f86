#include "base/http_server.hpp"

#define CPPHTTPLIB_OPENSSL_SUPPORT
#include <httplib.h>
#include <openssl/x509.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cctype>
#include <thread>

#include "base/file.hpp"

namespace domicile {
namespace {

// httplib 0.11 has no Unix sockets, but accepts on any listening socket that it is given.
class UnixServer final : public httplib::Server {
 public:
  Result<void> bind_unix(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path)
      return fail(Kind::invalid_input, path + " is too long for a Unix socket (107 bytes at most)",
                  "use a shorter folder");
    path.copy(address.sun_path, path.size());
    Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ::unlink(path.c_str());
    if (!fd || ::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
        ::chmod(path.c_str(), 0660) != 0 || ::listen(fd.get(), 128) != 0)
      return tl::unexpected<Error>(errno_error("cannot listen on " + path));
    svr_sock_ = fd.release();
    return {};
  }
};

// httplib listens with a backlog of 5. A gateway that releases what it held opens hundreds of connections at once;
// those beyond it were dropped, came back a second later or were reset. listen() may be repeated, and then deepens it.
template <class Server>
class Deep final : public Server {
 public:
  using Server::Server;
  void deepen() { ::listen(this->svr_sock_, 4096); }
};

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

void read_peer(const httplib::Request& request, HttpCall& call) {
  if (request.ssl == nullptr) return;
  const std::unique_ptr<X509, decltype(&X509_free)> peer(SSL_get1_peer_certificate(request.ssl), &X509_free);
  if (!peer) return;
  char name[256] = "";
  if (X509_NAME_get_text_by_NID(X509_get_subject_name(peer.get()), NID_commonName, name, sizeof name) > 0)
    call.peer_name = name;
  const std::unique_ptr<BIGNUM, decltype(&BN_free)> serial(
      ASN1_INTEGER_to_BN(X509_get0_serialNumber(peer.get()), nullptr), &BN_free);
  if (!serial) return;
  char* hex = BN_bn2hex(serial.get());
  call.peer_serial = hex;
  OPENSSL_free(hex);
}

HttpCall call_of(const httplib::Request& request, bool local) {
  HttpCall call;
  call.method = request.method;
  call.path = request.path;
  for (const auto& [key, value] : request.params) call.query[key] = value;
  for (const auto& [key, value] : request.headers) call.headers[lower(key)] = value;
  call.body = request.body;
  call.local = local;
  read_peer(request, call);
  return call;
}

void install(httplib::Server& server, const HttpHandler& handler, bool local, const HttpListen& listen) {
  const int threads = listen.threads;
  server.new_task_queue = [threads] { return new httplib::ThreadPool(static_cast<std::size_t>(threads)); };
  server.set_tcp_nodelay(true);
  server.set_keep_alive_max_count(1'000'000'000);
  server.set_keep_alive_timeout(listen.idle_s);
  server.set_payload_max_length(listen.max_body);
  const auto answer = [handler, local](const httplib::Request& request, httplib::Response& response) {
    const HttpReply reply = handler(call_of(request, local));
    response.status = reply.status;
    for (const auto& [key, value] : reply.headers) response.set_header(key, value);
    if (!reply.stream) return response.set_content(reply.body, reply.type);
    response.set_chunked_content_provider(reply.type, [stream = reply.stream](std::size_t, httplib::DataSink& sink) {
      if (!stream([&sink](std::string_view piece) { return sink.write(piece.data(), piece.size()); })) return false;
      sink.done();
      return true;
    });
  };
  server.Get(".*", answer);
  server.Post(".*", answer);
  server.Put(".*", answer);
  server.Patch(".*", answer);
  server.Delete(".*", answer);
  server.Options(".*", answer);
}

bool require_client_certificate(SSL_CTX& context, const TlsFiles& tls) {
  if (SSL_CTX_use_certificate_chain_file(&context, tls.certificate.c_str()) != 1) return false;
  if (SSL_CTX_use_PrivateKey_file(&context, tls.key.c_str(), SSL_FILETYPE_PEM) != 1) return false;
  SSL_CTX_set_min_proto_version(&context, TLS1_2_VERSION);
  // Each connection shows its certificate. A session that a client resumes would not, and without a session context
  // OpenSSL breaks such a handshake off with an internal error, each time, for as long as the client remembers it.
  SSL_CTX_set_session_cache_mode(&context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_options(&context, SSL_OP_NO_TICKET);
  SSL_CTX_set_num_tickets(&context, 0);
  if (tls.ca.empty()) return true;
  if (SSL_CTX_load_verify_locations(&context, tls.ca.c_str(), nullptr) != 1) return false;
  SSL_CTX_set_verify(&context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  return true;
}

}  // namespace

struct HttpServer::State {
  std::unique_ptr<httplib::Server> server;
  std::thread thread;
  int port = 0;
  std::string unix_socket;
  ~State() {
    if (server) server->stop();
    if (thread.joinable()) thread.join();
    if (!unix_socket.empty()) ::unlink(unix_socket.c_str());
  }
};

HttpServer::HttpServer(std::unique_ptr<State> state) : state_(std::move(state)) {}
HttpServer::HttpServer(HttpServer&&) noexcept = default;
HttpServer& HttpServer::operator=(HttpServer&&) noexcept = default;
HttpServer::~HttpServer() = default;
int HttpServer::port() const { return state_->port; }

Result<HttpServer> HttpServer::start(const HttpListen& listen, HttpHandler handler) {
  auto state = std::make_unique<State>();
  std::function<void()> deepen = [] {};
  const bool local = !listen.unix_socket.empty();
  if (local) {
    auto server = std::make_unique<UnixServer>();
    CHECK_OK(server->bind_unix(listen.unix_socket));
    state->unix_socket = listen.unix_socket;
    state->server = std::move(server);
  } else {
    if (listen.tls.certificate.empty()) {
      auto server = std::make_unique<Deep<httplib::Server>>();
      deepen = [plain = server.get()] { plain->deepen(); };
      state->server = std::move(server);
    } else {
      const TlsFiles tls = listen.tls;
      auto server = std::make_unique<Deep<httplib::SSLServer>>(
          [tls](SSL_CTX& context) { return require_client_certificate(context, tls); });
      if (!server->is_valid())
        return fail(Kind::failed, fmt::format("cannot use certificate {} with key {}", tls.certificate, tls.key),
                    "check both files");
      deepen = [secure = server.get()] { secure->deepen(); };
      state->server = std::move(server);
    }
    // Before bind: TCP_NODELAY is set on the listening socket, and without it each answer waits 40 ms for an ACK.
    install(*state->server, handler, local, listen);
    state->port = listen.port != 0 ? listen.port : state->server->bind_to_any_port(listen.host);
    if (state->port < 0 || (listen.port != 0 && !state->server->bind_to_port(listen.host, listen.port)))
      return fail(Kind::failed, fmt::format("cannot listen on {}:{}", listen.host, listen.port), "is the port in use?");
  }
  deepen();
  if (local) install(*state->server, handler, local, listen);
  state->thread = std::thread([server = state->server.get()] { server->listen_after_bind(); });
  // stop() before the accept loop runs would be lost and the join would wait for ever.
  while (!state->server->is_running()) std::this_thread::yield();
  return HttpServer(std::move(state));
}

}  // namespace domicile
