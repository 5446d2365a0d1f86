// Connections: the SNI is peeked at, nothing is read. Ours are passed to http in this process, as nginx's later
// ngx_stream_pass_module does (a hop by socket costs a quarter of the requests); others go to their owner, undecrypted.
#include <cstring>

#include "edge/module/client_hello.hpp"
#include "edge/module/worker.hpp"

extern "C" {
#include <ngx_stream.h>
extern ngx_module_t ngx_domicile_stream_module;
}

namespace domicile::edge {

namespace sn = domicile::snapshot;

namespace {

struct ServerConf {
  ngx_uint_t mode;  // off, from clients, out of peers' tunnels, the tunnels themselves
};
constexpr ngx_uint_t kOff = 0, kTunnelled = 2, kTunnels = 3;
constexpr ngx_msec_t kHelloTime = 10000;
constexpr std::size_t kHeldConnection = 16384;

struct Context {
  ngx_queue_t queue;
  ngx_stream_session_t* session;
  ngx_event_t timer;
  bool held, expired;
  sn::Action action;
  sn::Reason reason;
  std::uint64_t epoch;
  sn::TenantId tenant;
  DenialId denial;  // the log alone has it: to a client that wants TLS nothing can be told
  char residency[sn::kNameSize], owner[sn::kNameSize], tunnel[sn::kAddressSize];
};

ngx_queue_t held_queue;

// nginx (1.22) empties its list when a worker begins to end, but connections that were accepted before still have to be
// passed: this is the list as the worker found it.
struct {
  ngx_listening_t* first;
  ngx_uint_t count;
} listeners;

void leave_queue(Context* context) {
  if (context->timer.timer_set) ngx_del_timer(&context->timer);
  if (!context->held) return;
  ngx_queue_remove(&context->queue);
  leave_hold(kHeldConnection);
  context->held = false;
}

void on_end(void* data) { leave_queue(static_cast<Context*>(data)); }

Context* context_of(ngx_stream_session_t* s) {
  auto* context = static_cast<Context*>(ngx_stream_get_module_ctx(s, ngx_domicile_stream_module));
  if (context != nullptr) return context;
  ngx_pool_cleanup_t* cleanup = ngx_pool_cleanup_add(s->connection->pool, sizeof(Context));
  if (cleanup == nullptr) return nullptr;
  context = static_cast<Context*>(cleanup->data);
  ngx_memzero(context, sizeof *context);
  context->session = s;
  cleanup->handler = on_end;
  ngx_stream_set_ctx(s, context, ngx_domicile_stream_module);
  return context;
}

void on_more(ngx_event_t* event) {
  auto* connection = static_cast<ngx_connection_t*>(event->data);
  auto* session = static_cast<ngx_stream_session_t*>(connection->data);
  ngx_stream_core_run_phases(session);
}

void on_timeout(ngx_event_t* event) {
  auto* context = static_cast<Context*>(event->data);
  context->expired = true;
  leave_queue(context);
  ngx_stream_core_run_phases(context->session);
}

ngx_int_t wait(Context* context, ngx_msec_t time) {
  ngx_connection_t* connection = context->session->connection;
  connection->read->handler = on_more;
  if (!context->timer.timer_set) {
    context->timer.handler = on_timeout;
    context->timer.data = context;
    context->timer.log = connection->log;
    ngx_add_timer(&context->timer, time);
  }
  // Edge-triggered: what has been peeked at announces itself again only when more comes.
  connection->read->ready = 0;
  return ngx_handle_read_event(connection->read, 0) == NGX_OK ? NGX_AGAIN : NGX_ERROR;
}

// The inner listener of a residency; its certificate and key are that residency's alone.
ngx_listening_t* listener_of(const char* residency) {
  char name[sizeof "unix:run/https-.sock" + sn::kNameSize];
  const auto* end = ngx_snprintf(bytes(name), sizeof name, "unix:run/https-%s.sock", residency);
  const std::string_view wanted(name, static_cast<std::size_t>(end - bytes(name)));
  for (ngx_uint_t i = 0; i < listeners.count; ++i)
    if (view(listeners.first[i].addr_text) == wanted) return &listeners.first[i];
  return nullptr;
}

ngx_int_t pass(Context* context, const char* residency) {
  ngx_connection_t* c = context->session->connection;
  ngx_listening_t* listening = listener_of(residency);
  if (listening == nullptr) {
    ngx_log_error(NGX_LOG_ERR, c->log, 0, "domicile: no certificate for residency \"%s\" here", residency);
    return NGX_STREAM_SERVICE_UNAVAILABLE;
  }
  leave_queue(context);
  c->listening = listening;
  c->data = nullptr;
  c->buffer = nullptr;
  *c->log = listening->log;
  c->log->handler = nullptr;
  c->log->data = nullptr;
  c->log->connection = c->number;
  c->local_sockaddr = listening->sockaddr;
  c->local_socklen = listening->socklen;
  // http starts without reading, so that its log handler, which tells the client's address, can be replaced first.
  c->read->ready = 0;
  listening->handler(c);
  if (c->destroyed) return NGX_DONE;
  c->log->handler = log_without_personal_data;
  c->read->ready = 1;
  ngx_post_event(c->read, &ngx_posted_events);
  return NGX_DONE;
}

// A connection that http takes over has no end in here, where it would be logged.
void log_now(ngx_stream_session_t* s) {
  auto* main = static_cast<ngx_stream_core_main_conf_t*>(ngx_stream_get_module_main_conf(s, ngx_stream_core_module));
  const ngx_array_t& handlers = main->phases[NGX_STREAM_LOG_PHASE].handlers;
  for (ngx_uint_t i = 0; i < handlers.nelts; ++i) static_cast<ngx_stream_handler_pt*>(handlers.elts)[i](s);
}

ngx_int_t refuse(Context* context, sn::Action action, sn::Reason reason) {
  context->action = action;
  context->reason = reason;
  name_denial(context->denial);
  if (action != sn::Action::misdirected_421) {
    count(action);
    return NGX_STREAM_SERVICE_UNAVAILABLE;
  }
  context->session->status = 421;
  log_now(context->session);
  return pass(context, ".unknown");  // by an alert
}

ngx_int_t obey(Context* context, const sn::Decision& decision) {
  context->action = decision.action;
  context->reason = decision.reason;
  if (decision.action == sn::Action::misdirected_421) return refuse(context, decision.action, decision.reason);
  if (decision.residency != sn::kNone) {
    const sn::AuthorityEntry& entry = world().authority()->entry(decision.residency);
    std::memcpy(context->residency, entry.residency, sizeof context->residency);
    std::memcpy(context->owner, entry.owner, sizeof context->owner);
    std::memcpy(context->tunnel, entry.tunnel, sizeof context->tunnel);
    context->epoch = entry.epoch;
    world().tenants()->tenant(decision.found, context->tenant);
  }
  switch (decision.action) {
    case sn::Action::serve: {
      const ngx_int_t passed = pass(context, context->residency);
      if (passed == NGX_DONE) return passed;
      return refuse(context, sn::Action::unavailable_503, sn::Reason::no_certificate);
    }
    case sn::Action::tunnel:
      leave_queue(context);
      count(decision.action);
      context->session->connection->read->ready = 1;  // its hello lies there, and no event will say so again
      return NGX_DECLINED;                            // on to proxy_pass $domicile_tunnel
    case sn::Action::hold:
      if (context->expired) break;
      if (!context->held) {
        if (!enter_hold(kHeldConnection)) break;
        if (context->timer.timer_set) ngx_del_timer(&context->timer);
        context->held = true;
        ngx_queue_insert_tail(&held_queue, &context->queue);
        count(decision.action);
      }
      return wait(context, core_conf().hold_time);
    default:
      break;
  }
  if (decision.action != sn::Action::hold) return refuse(context, decision.action, decision.reason);
  return refuse(context, sn::Action::unavailable_503,
                context->expired ? sn::Reason::hold_timeout : sn::Reason::hold_full);
}

ngx_int_t on_connection(ngx_stream_session_t* s) {
  const auto* conf = static_cast<ServerConf*>(ngx_stream_get_module_srv_conf(s, ngx_domicile_stream_module));
  if (conf->mode == kOff) return NGX_DECLINED;
  s->connection->log->handler = log_without_personal_data;
  if (conf->mode == kTunnels) return NGX_DECLINED;  // who is in it, the inner connection tells
  Context* context = context_of(s);
  if (context == nullptr) return NGX_ERROR;
  ngx_connection_t* c = s->connection;
  unsigned char hello[16384 + 5];
  const ssize_t size = recv(c->fd, hello, sizeof hello, MSG_PEEK);
  if (size == 0) return NGX_STREAM_OK;  // gone
  if (size < 0 && ngx_socket_errno != NGX_EAGAIN) return NGX_STREAM_OK;
  sn::HostName sni;
  switch (read_sni(hello, size < 0 ? 0 : static_cast<std::size_t>(size), sni)) {
    case Hello::incomplete:
      if (context->expired) return NGX_STREAM_OK;
      return wait(context, kHelloTime);
    case Hello::none:
      return refuse(context, sn::Action::misdirected_421, sn::Reason::unknown_host);
    case Hello::found:
      break;
  }
  return obey(context, sn::decide_connection(world(), sni.view(), conf->mode == kTunnelled));
}

void on_authority() {
  // One pass over those that wait now: who must wait on stays where it is.
  for (ngx_queue_t* q = ngx_queue_head(&held_queue); q != ngx_queue_sentinel(&held_queue);) {
    auto* context = ngx_queue_data(q, Context, queue);
    q = ngx_queue_next(q);
    ngx_event_t* event = context->session->connection->read;
    ngx_post_event(event, &ngx_posted_events);
  }
}

ngx_int_t init_process(ngx_cycle_t* cycle) {
  listeners = {static_cast<ngx_listening_t*>(cycle->listening.elts), cycle->listening.nelts};
  ngx_queue_init(&held_queue);
  on_change(on_authority);
  return NGX_OK;
}

ngx_int_t variable(ngx_stream_session_t* s, ngx_stream_variable_value_t* value, uintptr_t which) {
  const auto* context = static_cast<Context*>(ngx_stream_get_module_ctx(s, ngx_domicile_stream_module));
  char number[24];
  std::string_view text;
  if (context != nullptr) switch (which) {
      case 0:
        text = context->tenant.view();
        break;
      case 1:
        text = context->residency;
        break;
      case 2:
        text = sn::name_of(context->action);
        break;
      case 3:
        text = sn::name_of(context->reason);
        break;
      case 4:
        text = context->owner;
        break;
      case 5:
        text = context->tunnel;
        break;
      case 6:
        text = context->denial;
        break;
      default:
        text = {number, static_cast<std::size_t>(ngx_sprintf(bytes(number), "%uL", context->epoch) - bytes(number))};
    }
  auto* copy = static_cast<u_char*>(ngx_pnalloc(s->connection->pool, text.size() + 1));
  if (copy == nullptr) return NGX_ERROR;
  ngx_memcpy(copy, text.data(), text.size());
  value->valid = 1;
  value->not_found = 0;
  value->no_cacheable = 1;
  value->len = static_cast<unsigned>(text.size()) & 0xfffffff;
  value->data = copy;
  return NGX_OK;
}

ngx_int_t add_variables(ngx_conf_t* cf) {
  ngx_str_t names[] = {literal("domicile_tenant"), literal("domicile_residency"), literal("domicile_decision"),
                       literal("domicile_reason"), literal("domicile_owner"),     literal("domicile_tunnel"),
                       literal("domicile_denial"), literal("domicile_epoch")};
  for (uintptr_t i = 0; i < std::size(names); ++i) {
    ngx_stream_variable_t* added = ngx_stream_add_variable(cf, &names[i], NGX_STREAM_VAR_NOCACHEABLE);
    if (added == nullptr) return NGX_ERROR;
    added->get_handler = variable;
    added->data = i;
  }
  return NGX_OK;
}

ngx_int_t add_handlers(ngx_conf_t* cf) {
  auto* main =
      static_cast<ngx_stream_core_main_conf_t*>(ngx_stream_conf_get_module_main_conf(cf, ngx_stream_core_module));
  auto* place = static_cast<ngx_stream_handler_pt*>(ngx_array_push(&main->phases[NGX_STREAM_ACCESS_PHASE].handlers));
  if (place == nullptr) return NGX_ERROR;
  *place = on_connection;
  return NGX_OK;
}

void* create_server(ngx_conf_t* cf) {
  auto* conf = static_cast<ServerConf*>(ngx_pcalloc(cf->pool, sizeof(ServerConf)));
  if (conf != nullptr) conf->mode = NGX_CONF_UNSET_UINT;
  return conf;
}

char* merge_server(ngx_conf_t*, void* parent, void* child) {
  const auto* above = static_cast<ServerConf*>(parent);
  auto* conf = static_cast<ServerConf*>(child);
  ngx_conf_merge_uint_value(conf->mode, above->mode, kOff);
  return NGX_CONF_OK;
}

ngx_conf_enum_t modes[] = {{literal("off"), kOff},
                           {literal("clients"), 1},
                           {literal("tunnelled"), kTunnelled},
                           {literal("tunnels"), kTunnels},
                           {ngx_null_string, 0}};

ngx_command_t commands[] = {{literal("domicile"), NGX_STREAM_SRV_CONF | NGX_CONF_TAKE1, ngx_conf_set_enum_slot,
                             NGX_STREAM_SRV_CONF_OFFSET, offsetof(ServerConf, mode), modes},
                            ngx_null_command};

ngx_stream_module_t module_context = {add_variables, add_handlers, nullptr, nullptr, create_server, merge_server};

}  // namespace
}  // namespace domicile::edge

extern "C" {
ngx_module_t ngx_domicile_stream_module = {NGX_MODULE_V1,
                                           &domicile::edge::module_context,
                                           domicile::edge::commands,
                                           NGX_STREAM_MODULE,
                                           nullptr,
                                           nullptr,
                                           domicile::edge::init_process,
                                           nullptr,
                                           nullptr,
                                           nullptr,
                                           nullptr,
                                           NGX_MODULE_V1_PADDING};
ngx_module_t* ngx_modules[] = {&ngx_domicile_stream_module, nullptr};
char* ngx_module_names[] = {const_cast<char*>("ngx_domicile_stream_module"), nullptr};
char* ngx_module_order[] = {nullptr};
}
