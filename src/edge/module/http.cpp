// Requests: decided in POST_READ, before any rewrite or `return` can answer; held, forwarded or refused there.
#include <cstring>

#include "edge/module/ending.hpp"
#include "edge/module/peers.hpp"
#include "edge/module/request.hpp"

namespace domicile::edge {

namespace sn = domicile::snapshot;

namespace {

struct ServerConf {
  ngx_uint_t via;  // kOff or 1 + Via
  ngx_str_t tenant_header;
  ngx_array_t* reads;  // of ngx_keyval_t: method, prefix
};
struct LocationConf {
  ngx_flag_t again;
};
constexpr ngx_uint_t kOff = 0, kForwarded = 3;

void on_request_end(void* data) {
  auto* context = static_cast<Context*>(data);
  leave_queue(context);
  forget_frames(context);
  end_write(context);
}

}  // namespace

bool is_from_peer(const ngx_http_connection_t* connection) {
  const auto* conf =
      static_cast<ServerConf*>(ngx_http_get_module_srv_conf(connection->conf_ctx, ngx_domicile_http_module));
  return conf->via == kForwarded;
}

Context* context_of(ngx_http_request_t* r) {
  r = r->main;
  auto* context = static_cast<Context*>(ngx_http_get_module_ctx(r, ngx_domicile_http_module));
  if (context != nullptr) return context;
  for (ngx_pool_cleanup_t* cleanup = r->pool->cleanup; cleanup != nullptr; cleanup = cleanup->next)
    if (cleanup->handler == on_request_end) {
      ngx_http_set_ctx(r, cleanup->data, ngx_domicile_http_module);
      return static_cast<Context*>(cleanup->data);
    }
  return nullptr;
}

// The client is to open another connection for what comes next.
void wind_down(ngx_http_request_t* r) {
  r->keepalive = 0;
  if (r->stream != nullptr) wind_down_http2(r->stream->connection->connection);
}

void add_header(ngx_http_request_t* r, ngx_str_t name, ngx_str_t value) {
  auto* header = static_cast<ngx_table_elt_t*>(ngx_list_push(&r->headers_out.headers));
  if (header == nullptr) return;
  header->hash = 1;
  header->key = name;
  header->value = value;
}

ngx_str_t text_of(ngx_http_request_t* r, std::string_view text) {
  ngx_str_t copy = {text.size(), static_cast<u_char*>(ngx_pnalloc(r->pool, text.size()))};
  if (copy.data == nullptr) return {0, nullptr};
  ngx_memcpy(copy.data, text.data(), text.size());
  return copy;
}

ngx_int_t refuse(ngx_http_request_t* r, Context* context, ngx_int_t status) {
  count(context->action);
  add_header(r, literal("X-Domicile-Reason"), text_of(r, sn::name_of(context->reason)));
  name_denial(context->denial);
  if (context->denial[0] != 0) add_header(r, literal("X-Domicile-Denial"), text_of(r, context->denial));
  if (status == 503) {
    auto* value = static_cast<u_char*>(ngx_pnalloc(r->pool, NGX_TIME_T_LEN));
    if (value != nullptr) {
      const auto size = static_cast<size_t>(ngx_sprintf(value, "%T", core_conf().retry_after) - value);
      add_header(r, literal("Retry-After"), {size, value});
    }
  }
  if (status == 421) wind_down(r);
  // Tells the sending peer's nginx to decide anew, and no application's 421 ever means that.
  const auto* conf = static_cast<ServerConf*>(ngx_http_get_module_srv_conf(r, ngx_domicile_http_module));
  if (status == 421 && conf->via == kForwarded) add_header(r, literal("X-Accel-Redirect"), literal("@domicile_again"));
  if (context->reason == sn::Reason::host_is_not_sni || context->reason == sn::Reason::tenant_header) {
    const auto reason = sn::name_of(context->reason);
    ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                  "domicile: a request with contradicting identities is refused (%*s)", reason.size(), reason.data());
  }
  return status;
}

namespace {

Context* make_context(ngx_http_request_t* r) {
  ngx_pool_cleanup_t* cleanup = ngx_pool_cleanup_add(r->pool, sizeof(Context));
  if (cleanup == nullptr) return nullptr;
  auto* context = static_cast<Context*>(cleanup->data);
  ngx_memzero(context, sizeof *context);
  context->request = r;
  cleanup->handler = on_request_end;
  ngx_http_set_ctx(r, context, ngx_domicile_http_module);
  return context;
}

bool writes(ngx_http_request_t* r, const ServerConf& conf) {
  if (!sn::is_write(view(r->method_name))) return false;
  const auto* read = conf.reads == nullptr ? nullptr : static_cast<ngx_keyval_t*>(conf.reads->elts);
  for (ngx_uint_t i = 0; read != nullptr && i < conf.reads->nelts; ++i)
    if (view(read[i].key) == view(r->method_name) && view(r->uri).starts_with(view(read[i].value))) return false;
  return true;
}

// Does the header name another tenant than the host?
bool contradicted(ngx_http_request_t* r, const ServerConf& conf, std::string_view tenant) {
  if (conf.tenant_header.len == 0) return false;
  for (ngx_list_part_t* part = &r->headers_in.headers.part; part != nullptr; part = part->next) {
    const auto* header = static_cast<ngx_table_elt_t*>(part->elts);
    for (ngx_uint_t i = 0; i < part->nelts; ++i)
      if (header[i].key.len == conf.tenant_header.len &&
          ngx_strncasecmp(header[i].key.data, conf.tenant_header.data, header[i].key.len) == 0 &&
          view(header[i].value) != tenant)
        return true;
  }
  return false;
}

sn::Decision question(ngx_http_request_t* r, const ServerConf& conf, Context* context) {
  const sn::World& now = world();
  sn::HostName host, sni;
  sn::normalise(view(r->headers_in.server), host);
  context->write = writes(r, conf);
  auto via = static_cast<sn::Via>(conf.via - 1);
  const char* name = nullptr;
  if (via == sn::Via::tls && r->connection->ssl != nullptr)
    name = SSL_get_servername(r->connection->ssl->connection, TLSEXT_NAMETYPE_host_name);
  if (via == sn::Via::tls && name == nullptr) via = sn::Via::plain;
  if (now.tenants() == nullptr) return {};
  sn::Found found = now.tenants()->find(host.view());
  // Tenant and host lie in one record, which the log needs anyway: equal fingerprints of two hosts end here.
  if (!now.tenants()->same_host(found, host.view()) || !now.tenants()->tenant(found, context->tenant)) found = {};
  sn::Decision decision =
      sn::decide(now, found, {.host = host.view(), .write = context->write, .via = via, .now = boot_now()});
  if (found.residency == sn::kNone) return decision;
  if (name != nullptr) {
    sn::normalise(name, sni);
    sn::TenantId other;
    const sn::Found by_sni = sni.view() == host.view() ? found : now.tenants()->find(sni.view());
    if (sni.view() != host.view() &&
        (!now.tenants()->tenant(by_sni, other) || other.view() != context->tenant.view())) {
      decision.action = sn::Action::misdirected_421;
      decision.reason = sn::Reason::host_is_not_sni;
    }
  }
  if (contradicted(r, conf, context->tenant.view())) {
    decision.action = sn::Action::bad_400;
    decision.reason = sn::Reason::tenant_header;
  }
  return decision;
}

ngx_int_t on_request(ngx_http_request_t* r) {
  const auto* conf = static_cast<ServerConf*>(ngx_http_get_module_srv_conf(r, ngx_domicile_http_module));
  if (conf->via == kOff || r != r->main) return NGX_DECLINED;
  Context* context = context_of(r);
  if (context == nullptr) context = make_context(r);
  if (context == nullptr) return NGX_HTTP_INTERNAL_SERVER_ERROR;
  r->connection->log->handler = log_without_personal_data;
  sn::Decision decision = question(r, *conf, context);
  if (decision.residency != sn::kNone) {
    const sn::AuthorityEntry& entry = world().authority()->entry(decision.residency);
    std::memcpy(context->residency, entry.residency, sizeof context->residency);
    std::memcpy(context->owner, entry.owner, sizeof context->owner);
    std::memcpy(context->forward, entry.forward, sizeof context->forward);
    context->epoch = entry.epoch;
  }
  // The owner that we know cannot be reached, or says that it is none: one of us is behind. Wait for the next
  // authority, or a little.
  if (decision.action == sn::Action::forward && context->sent_back != 0 && context->sent_back == generation()) {
    decision.action = sn::Action::hold;
    decision.reason = context->unreachable ? sn::Reason::peer_unreachable : sn::Reason::moving;
  }
  context->action = decision.action;
  context->reason = decision.reason;
  switch (decision.action) {
    case sn::Action::serve:
      count(decision.action);
      if (context->write) begin_write(context);
      serve(context);
      return NGX_DECLINED;
    case sn::Action::forward: {
      count(decision.action);
      context->unreachable = false;
      context->forwarded_by = generation();
      if (winds_down_now(context)) wind_down(r);
      ngx_str_t name = literal("@domicile_forward");
      ngx_http_named_location(r, &name);
      ngx_http_finalize_request(r, NGX_DONE);
      return NGX_DONE;
    }
    case sn::Action::hold: {
      const ngx_int_t held = hold(r, context);
      if (held == NGX_AGAIN) count(decision.action);
      if (held != NGX_DECLINED) return held;
      context->action = sn::Action::unavailable_503;
      if (!context->expired)
        context->reason = sn::Reason::hold_full;
      else if (context->reason != sn::Reason::peer_unreachable)
        context->reason = sn::Reason::hold_timeout;
      return refuse(r, context, 503);
    }
    case sn::Action::misdirected_421:
      return refuse(r, context, 421);
    case sn::Action::refuse_451:
      return refuse(r, context, 451);
    case sn::Action::bad_400:
      return refuse(r, context, 400);
    default:
      return refuse(r, context, 503);
  }
}

ngx_int_t on_again(ngx_http_request_t* r) {
  const auto* conf = static_cast<LocationConf*>(ngx_http_get_module_loc_conf(r, ngx_domicile_http_module));
  return conf->again && r == r->main ? on_no_answer(r) : NGX_DECLINED;
}

ngx_int_t init_process(ngx_cycle_t* cycle) {
  init_queues(cycle);
  init_peers(cycle);
  return NGX_OK;
}

std::string_view value_of(const Context& context, uintptr_t which, char (&number)[24]) {
  switch (which) {
    case 0:
      return context.tenant.view();
    case 1:
      return context.residency;
    case 2:
      return sn::name_of(context.action);
    case 3:
      return sn::name_of(context.reason);
    case 4:
      return context.owner;
    case 5:
      return context.forward;
    case 6:
      return context.denial;
    default:
      return {number, static_cast<std::size_t>(ngx_sprintf(bytes(number), "%uL", context.epoch) - bytes(number))};
  }
}

ngx_int_t variable(ngx_http_request_t* r, ngx_http_variable_value_t* value, uintptr_t which) {
  const Context* context = context_of(r);
  char number[24];
  const ngx_str_t text = context == nullptr ? ngx_str_t{0, nullptr} : text_of(r, value_of(*context, which, number));
  value->valid = text.len > 0;
  value->not_found = text.len == 0;
  value->no_cacheable = 1;
  value->len = static_cast<unsigned>(text.len) & 0xfffffff;
  value->data = text.data;
  return NGX_OK;
}

ngx_int_t add_variables(ngx_conf_t* cf) {
  ngx_str_t names[] = {literal("domicile_tenant"), literal("domicile_residency"), literal("domicile_decision"),
                       literal("domicile_reason"), literal("domicile_owner"),     literal("domicile_forward"),
                       literal("domicile_denial"), literal("domicile_epoch")};
  for (uintptr_t i = 0; i < std::size(names); ++i) {
    // A value of before a hold must not be told after it.
    ngx_http_variable_t* added = ngx_http_add_variable(cf, &names[i], NGX_HTTP_VAR_NOCACHEABLE);
    if (added == nullptr) return NGX_ERROR;
    added->get_handler = variable;
    added->data = i;
  }
  return NGX_OK;
}

ngx_int_t add_handlers(ngx_conf_t* cf) {
  auto* main = static_cast<ngx_http_core_main_conf_t*>(ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module));
  const auto add = [&](ngx_uint_t phase, ngx_http_handler_pt handler) {
    auto* place = static_cast<ngx_http_handler_pt*>(ngx_array_push(&main->phases[phase].handlers));
    if (place != nullptr) *place = handler;
    return place != nullptr;
  };
  if (!add(NGX_HTTP_POST_READ_PHASE, on_request) || !add(NGX_HTTP_REWRITE_PHASE, on_again)) return NGX_ERROR;
  pass_header = ngx_http_top_header_filter;
  ngx_http_top_header_filter = on_header;
  return NGX_OK;
}

void* create_server(ngx_conf_t* cf) {
  auto* conf = static_cast<ServerConf*>(ngx_pcalloc(cf->pool, sizeof(ServerConf)));
  if (conf != nullptr) conf->via = NGX_CONF_UNSET_UINT;
  if (conf != nullptr) conf->reads = static_cast<ngx_array_t*>(NGX_CONF_UNSET_PTR);
  return conf;
}

char* merge_server(ngx_conf_t*, void* parent, void* child) {
  const auto* above = static_cast<ServerConf*>(parent);
  auto* conf = static_cast<ServerConf*>(child);
  ngx_conf_merge_uint_value(conf->via, above->via, kOff);
  ngx_conf_merge_str_value(conf->tenant_header, above->tenant_header, "");
  ngx_conf_merge_ptr_value(conf->reads, above->reads, nullptr);
  return NGX_CONF_OK;
}

void* create_location(ngx_conf_t* cf) {
  auto* conf = static_cast<LocationConf*>(ngx_pcalloc(cf->pool, sizeof(LocationConf)));
  if (conf != nullptr) conf->again = NGX_CONF_UNSET;
  return conf;
}

char* merge_location(ngx_conf_t*, void*, void* child) {
  auto* conf = static_cast<LocationConf*>(child);  // not inherited: it belongs to one location
  ngx_conf_init_value(conf->again, 0);
  return NGX_CONF_OK;
}

ngx_conf_enum_t vias[] = {{literal("off"), kOff},
                          {literal("tls"), 1},
                          {literal("plain"), 2},
                          {literal("forwarded"), kForwarded},
                          {ngx_null_string, 0}};

ngx_command_t commands[] = {
    {literal("domicile"), NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_CONF_TAKE1, ngx_conf_set_enum_slot,
     NGX_HTTP_SRV_CONF_OFFSET, offsetof(ServerConf, via), vias},
    {literal("domicile_tenant_header"), NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_CONF_TAKE1, ngx_conf_set_str_slot,
     NGX_HTTP_SRV_CONF_OFFSET, offsetof(ServerConf, tenant_header), nullptr},
    {literal("domicile_read"), NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_CONF_TAKE2, ngx_conf_set_keyval_slot,
     NGX_HTTP_SRV_CONF_OFFSET, offsetof(ServerConf, reads), nullptr},
    {literal("domicile_peers"), NGX_HTTP_UPS_CONF | NGX_CONF_NOARGS, use_peers, 0, 0, nullptr},
    {literal("domicile_again"), NGX_HTTP_LOC_CONF | NGX_CONF_FLAG, ngx_conf_set_flag_slot, NGX_HTTP_LOC_CONF_OFFSET,
     offsetof(LocationConf, again), nullptr},
    ngx_null_command};

ngx_http_module_t module_context = {add_variables, add_handlers, nullptr,         nullptr,
                                    create_server, merge_server, create_location, merge_location};

}  // namespace
}  // namespace domicile::edge

extern "C" {
extern ngx_module_t ngx_domicile_core_module;
ngx_module_t ngx_domicile_http_module = {NGX_MODULE_V1,
                                         &domicile::edge::module_context,
                                         domicile::edge::commands,
                                         NGX_HTTP_MODULE,
                                         nullptr,
                                         nullptr,
                                         domicile::edge::init_process,
                                         nullptr,
                                         nullptr,
                                         nullptr,
                                         nullptr,
                                         NGX_MODULE_V1_PADDING};
ngx_module_t* ngx_modules[] = {&ngx_domicile_core_module, &ngx_domicile_http_module, nullptr};
char* ngx_module_names[] = {const_cast<char*>("ngx_domicile_core_module"),
                            const_cast<char*>("ngx_domicile_http_module"), nullptr};
char* ngx_module_order[] = {nullptr};
}
