#include "edge/module/peers.hpp"

#include <netinet/tcp.h>

#include <cstring>

#include "edge/module/request.hpp"

extern "C" {
extern ngx_module_t ngx_http_proxy_module;
}

namespace domicile::edge {

namespace sn = domicile::snapshot;

namespace {

constexpr std::size_t kMaxPeers = 64;
constexpr ngx_uint_t kMaxIdle = 512, kOpenedAtOnce = 4;
constexpr ngx_msec_t kTick = 250, kOpening = 3000, kIdle = 60000;
constexpr int kUnacknowledgedMs = 10000;  // a host that has vanished sends no FIN

// A region at an address. Its connections are verified to be that region's, so both together name it.
struct Peer {
  char address[sn::kAddressSize], owner[sn::kNameSize];
  ngx_str_t name;  // the owner, for nginx
  ngx_sockaddr_t sockaddr;
  socklen_t socklen;
  SSL_SESSION* session;
  ngx_queue_t idle;  // of connections by their `queue`, the one used last first
  ngx_uint_t idle_count, opening, lent;
};

// nginx modules have no object to hang on to: this is one process's only instance.
struct {
  Peer all[kMaxPeers];
  std::size_t count;
  ngx_uint_t lent;
  ngx_ssl_t* ssl;  // of the location that forwards; null: this gateway forwards nothing
  ngx_event_t tick;
  ngx_connection_t none;  // timers want one to log by
  void (*listener)();
} pool;

// Of one request.
struct Loan {
  Peer* peer;
  ngx_http_request_t* request;
  bool lent;
};

Peer* peer_of(const char* address, const char* owner) {
  for (std::size_t i = 0; i < pool.count; ++i)
    if (std::strcmp(pool.all[i].address, address) == 0 && std::strcmp(pool.all[i].owner, owner) == 0)
      return &pool.all[i];
  if (pool.count == kMaxPeers) return nullptr;
  ngx_addr_t parsed;
  ngx_pool_t* scratch = ngx_create_pool(512, ngx_cycle->log);
  if (scratch == nullptr) return nullptr;
  const bool good = ngx_parse_addr_port(scratch, &parsed, bytes(address), std::strlen(address)) == NGX_OK;
  Peer& peer = pool.all[pool.count];
  if (good) {
    peer = {};
    std::strcpy(peer.address, address);
    std::strcpy(peer.owner, owner);
    peer.name = {std::strlen(peer.owner), bytes(peer.owner)};
    std::memcpy(&peer.sockaddr, parsed.sockaddr, parsed.socklen);
    peer.socklen = parsed.socklen;
    ngx_queue_init(&peer.idle);
    ++pool.count;
  }
  ngx_destroy_pool(scratch);
  return good ? &peer : nullptr;
}

void shut(ngx_connection_t* c) {
  if (c->ssl != nullptr) {
    c->ssl->no_wait_shutdown = 1;
    c->ssl->no_send_shutdown = 1;
    ngx_ssl_shutdown(c);
  }
  if (c->pool != nullptr) ngx_destroy_pool(c->pool);
  ngx_close_connection(c);
}

void drop_idle(ngx_connection_t* c) {
  auto* peer = static_cast<Peer*>(c->data);
  ngx_queue_remove(&c->queue);
  --peer->idle_count;
  shut(c);
}

// Nothing may come on an idle connection but TLS's own messages, such as session tickets, which the read takes.
void on_idle_read(ngx_event_t* event) {
  auto* c = static_cast<ngx_connection_t*>(event->data);
  auto* peer = static_cast<Peer*>(c->data);
  const bool over = event->timedout && peer->idle_count > core_conf().warm_connections;
  u_char byte;
  if (c->close || over || c->recv(c, &byte, 1) != NGX_AGAIN || ngx_handle_read_event(event, 0) != NGX_OK)
    return drop_idle(c);
  event->timedout = 0;
  if (!event->timer_set) ngx_add_timer(event, kIdle);
}

void on_idle_write(ngx_event_t*) {}

void keep(Peer* peer, ngx_connection_t* c) {
  if (peer->idle_count >= kMaxIdle) return shut(c);
  const int patience = kUnacknowledgedMs;
  setsockopt(c->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &patience, sizeof patience);
  ngx_queue_insert_head(&peer->idle, &c->queue);
  ++peer->idle_count;
  c->data = peer;
  c->idle = 1;
  c->log = c->read->log = c->write->log = c->pool->log = ngx_cycle->log;
  c->read->handler = on_idle_read;
  c->write->handler = on_idle_write;
  c->read->delayed = 0;
  if (c->write->timer_set) ngx_del_timer(c->write);
  ngx_add_timer(c->read, kIdle);
  if (c->read->ready) {
    ngx_post_event(c->read, &ngx_posted_events);
  }
}

void save_session(Peer* peer, ngx_connection_t* c) {
  SSL_SESSION* session = ngx_ssl_get_session(c);
  if (session == nullptr) return;
  if (peer->session != nullptr) ngx_ssl_free_session(peer->session);
  peer->session = session;
}

// ---- connections that are opened before they are needed

void on_session(ngx_connection_t* c) {
  if (c->idle) save_session(static_cast<Peer*>(c->data), c);
}

void on_handshake(ngx_connection_t* c) {
  auto* peer = static_cast<Peer*>(c->data);
  --peer->opening;
  const bool good = c->ssl->handshaked && SSL_get_verify_result(c->ssl->connection) == X509_V_OK &&
                    ngx_ssl_check_host(c, &peer->name) == NGX_OK && !ngx_exiting;
  if (!good) return shut(c);
  keep(peer, c);
}

void give_up(ngx_connection_t* c) {
  --static_cast<Peer*>(c->data)->opening;
  shut(c);
}

bool start_tls(const Peer* peer, ngx_connection_t* c) {
  int error = 0;
  socklen_t size = sizeof error;
  if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error != 0) return false;
  if (ngx_ssl_create_connection(pool.ssl, c, NGX_SSL_BUFFER | NGX_SSL_CLIENT) != NGX_OK) return false;
  c->ssl->save_session = on_session;
  return ngx_tcp_nodelay(c) == NGX_OK && SSL_set_tlsext_host_name(c->ssl->connection, peer->owner) == 1 &&
         ngx_ssl_set_session(c, peer->session) == NGX_OK;
}

void on_opening(ngx_event_t* event) {
  auto* c = static_cast<ngx_connection_t*>(event->data);
  if (event->timedout || !start_tls(static_cast<Peer*>(c->data), c)) return give_up(c);
  c->read->handler = c->write->handler = on_idle_write;
  if (ngx_ssl_handshake(c) == NGX_AGAIN) {
    c->ssl->handler = on_handshake;
    return;
  }
  on_handshake(c);
}

void open_one(Peer* peer) {
  ngx_peer_connection_t to = {};
  to.sockaddr = &peer->sockaddr.sockaddr;
  to.socklen = peer->socklen;
  to.name = &peer->name;
  to.get = ngx_event_get_peer;
  to.log = ngx_cycle->log;
  to.log_error = NGX_ERROR_INFO;
  to.so_keepalive = 1;
  const ngx_int_t rc = ngx_event_connect_peer(&to);
  ngx_connection_t* c = to.connection;
  if (c == nullptr) return;
  c->data = peer;
  ++peer->opening;
  c->pool = ngx_create_pool(128, ngx_cycle->log);
  if (c->pool == nullptr || (rc != NGX_OK && rc != NGX_AGAIN)) return give_up(c);
  c->read->handler = on_idle_write;
  c->write->handler = on_opening;
  ngx_add_timer(c->write, kOpening);
  if (rc == NGX_OK) on_opening(c->write);
}

void warm_up(Peer* peer) {
  for (ngx_uint_t n = 0; peer != nullptr && n < kOpenedAtOnce && peer->opening < kOpenedAtOnce &&
                         peer->idle_count + peer->lent + peer->opening < core_conf().warm_connections;
       ++n)
    open_one(peer);
}

void on_tick(ngx_event_t* event) {
  if (ngx_exiting) return;
  ngx_add_timer(event, kTick);
  // Whoever may be the next owner, or the first requests after a switch would each wait for a handshake.
  const auto* next = static_cast<const WarmPeer*>(core_conf().warm_peers.elts);
  for (ngx_uint_t i = 0; i < core_conf().warm_peers.nelts; ++i) warm_up(peer_of(next[i].address, next[i].region));
  const sn::AuthorityView* authority = world().authority();
  for (std::uint16_t i = 0; authority != nullptr && i < authority->residencies(); ++i) {
    const sn::AuthorityEntry& entry = authority->entry(i);
    if (entry.forward[0] == 0 || entry.form_here() != sn::Form::full || world().owned_here(entry)) continue;
    warm_up(peer_of(entry.forward, entry.owner));
  }
}

// ---- as nginx's upstream asks for them

ngx_int_t get(ngx_peer_connection_t* to, void* data) {
  auto* loan = static_cast<Loan*>(data);
  Peer* peer = loan->peer;
  to->sockaddr = &peer->sockaddr.sockaddr;
  to->socklen = peer->socklen;
  to->name = &peer->name;
  to->cached = 0;
  to->connection = nullptr;
  loan->lent = true;
  ++peer->lent;
  ++pool.lent;
  if (ngx_queue_empty(&peer->idle)) return NGX_OK;
  ngx_connection_t* c = ngx_queue_data(ngx_queue_head(&peer->idle), ngx_connection_t, queue);
  ngx_queue_remove(&c->queue);
  --peer->idle_count;
  c->idle = 0;
  c->sent = 0;
  c->data = nullptr;
  c->log = c->read->log = c->write->log = c->pool->log = to->log;
  if (c->read->timer_set) ngx_del_timer(c->read);
  to->connection = c;
  to->cached = 1;
  return NGX_DONE;
}

void give_back(ngx_peer_connection_t* to, void* data, ngx_uint_t state) {
  auto* loan = static_cast<Loan*>(data);
  if (!loan->lent) return;
  loan->lent = false;
  --loan->peer->lent;
  --pool.lent;
  ngx_connection_t* c = to->connection;
  const ngx_http_upstream_t* upstream = loan->request->upstream;
  const bool good = c != nullptr && (state & NGX_PEER_FAILED) == 0 && !c->read->eof && !c->read->error &&
                    !c->read->timedout && !c->write->error && !c->write->timedout && upstream->keepalive &&
                    upstream->request_body_sent && !ngx_terminate && !ngx_exiting &&
                    ngx_handle_read_event(c->read, 0) == NGX_OK;
  if (good) {
    to->connection = nullptr;
    keep(loan->peer, c);
  }
  if (pool.listener != nullptr) pool.listener();
}

ngx_int_t set_session(ngx_peer_connection_t* to, void* data) {
  return ngx_ssl_set_session(to->connection, static_cast<Loan*>(data)->peer->session);
}

void save_peer_session(ngx_peer_connection_t* to, void* data) {
  save_session(static_cast<Loan*>(data)->peer, to->connection);
}

ngx_int_t init_peer(ngx_http_request_t* r, ngx_http_upstream_srv_conf_t*) {
  const Context* context = context_of(r);
  Peer* peer = context == nullptr ? nullptr : peer_of(context->forward, context->owner);
  auto* loan = static_cast<Loan*>(ngx_pcalloc(r->pool, sizeof(Loan)));
  if (peer == nullptr || loan == nullptr) return NGX_ERROR;
  *loan = {peer, r, false};
  ngx_peer_connection_t& to = r->upstream->peer;
  to.data = loan;
  to.get = get;
  to.free = give_back;
  to.set_session = set_session;
  to.save_session = save_peer_session;
  to.tries = 1;
  return NGX_OK;
}

ngx_int_t init_upstream(ngx_conf_t*, ngx_http_upstream_srv_conf_t* upstream) {
  upstream->peer.init = init_peer;
  return NGX_OK;
}

// The TLS of the location that forwards: its proxy settings begin with those of the upstream (nginx 1.22).
ngx_ssl_t* find_ssl(ngx_cycle_t* cycle) {
  auto* main =
      static_cast<ngx_http_core_main_conf_t*>(ngx_http_cycle_get_module_main_conf(cycle, ngx_http_core_module));
  auto** servers = main == nullptr ? nullptr : static_cast<ngx_http_core_srv_conf_t**>(main->servers.elts);
  for (ngx_uint_t i = 0; servers != nullptr && i < main->servers.nelts; ++i)
    for (auto** location = servers[i]->named_locations; location != nullptr && *location != nullptr; ++location)
      if (view((*location)->name) == "@domicile_forward")
        return static_cast<ngx_http_upstream_conf_t*>((*location)->loc_conf[ngx_http_proxy_module.ctx_index])->ssl;
  return nullptr;
}

}  // namespace

char* use_peers(ngx_conf_t* cf, ngx_command_t*, void*) {
  auto* upstream =
      static_cast<ngx_http_upstream_srv_conf_t*>(ngx_http_conf_get_module_srv_conf(cf, ngx_http_upstream_module));
  upstream->flags = NGX_HTTP_UPSTREAM_CREATE;
  upstream->peer.init_upstream = init_upstream;
  return NGX_CONF_OK;
}

void init_peers(ngx_cycle_t* cycle) {
  pool.ssl = find_ssl(cycle);
  if (pool.ssl == nullptr) return;
  pool.none.fd = -1;
  pool.tick.handler = on_tick;
  pool.tick.data = &pool.none;
  pool.tick.log = cycle->log;
  pool.tick.cancelable = 1;
  if (core_conf().warm_connections > 0) ngx_add_timer(&pool.tick, kTick);
}

bool peers_are_busy() { return pool.lent >= core_conf().released_at_once; }

void on_peer_free(void (*listener)()) { pool.listener = listener; }

}  // namespace domicile::edge
