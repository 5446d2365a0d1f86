// What a client is told when no answer came, or came too late: what is surely not done, and what nobody knows.
#include "edge/module/request.hpp"

namespace domicile::edge {

namespace sn = domicile::snapshot;

ngx_http_output_header_filter_pt pass_header;

namespace {

// From the first phase on, as if it had just come.
ngx_int_t decide_anew(ngx_http_request_t* r) {
  const auto* server = static_cast<ngx_http_core_srv_conf_t*>(ngx_http_get_module_srv_conf(r, ngx_http_core_module));
  r->loc_conf = server->ctx->loc_conf;
  ngx_http_update_location_config(r);
  r->internal = 0;
  r->error_page = 0;
  r->err_status = 0;
  r->content_handler = nullptr;
  r->valid_location = 0;
  // As at first: the hold's time bounds the tries, nginx would answer 500 to the sixth.
  r->uri_changes = NGX_HTTP_MAX_URI_CHANGES + 1;
  r->main->count++;
  ngx_http_handler(r);
  ngx_http_finalize_request(r, NGX_DONE);
  return NGX_DONE;
}

ngx_int_t tell(ngx_http_request_t* r, Context* context, sn::Action action, sn::Reason reason) {
  context->action = action;
  context->reason = reason;
  return refuse(r, context, action == sn::Action::unknown_504 ? 504 : 503);
}

}  // namespace

// nginx's own 502 and 504 end here (an application's do not: they are its answer), and a peer's 421.
ngx_int_t on_no_answer(ngx_http_request_t* r) {
  Context* context = context_of(r);
  const ngx_http_upstream_t* upstream = r->upstream;
  if (context == nullptr || upstream == nullptr) return 503;
  const bool forwarded = context->action == sn::Action::forward;
  if (forwarded && upstream->headers_in.status_n == NGX_HTTP_MISDIRECTED_REQUEST) {
    context->sent_back = context->forwarded_by;
    return decide_anew(r);
  }
  // Before the first byte of the request is tried, nginx has connected and shaken hands.
  if (!upstream->request_sent) {
    if (!forwarded) return tell(r, context, sn::Action::unavailable_503, sn::Reason::application_unreachable);
    context->sent_back = context->forwarded_by;
    context->unreachable = true;
    return decide_anew(r);
  }
  // A read on a kept connection that the peer closed at that moment may be asked again.
  if (forwarded && !context->write && upstream->peer.cached) return decide_anew(r);
  return tell(r, context, sn::Action::unknown_504, sn::Reason::no_answer);
}

// After a lease's end no success of a write is told any more: somebody else may own the residency already, without it.
ngx_int_t on_header(ngx_http_request_t* r) {
  if (ngx_exiting) r->keepalive = 0;  // nginx would close behind the answer and not say so
  Context* context = r == r->main ? context_of(r) : nullptr;
  if (context == nullptr) return pass_header(r);
  if (context->in_flight == nullptr || r->headers_out.status >= 400 ||
      sn::outcome_known(world(), context->residency, context->epoch, boot_now())) {
    if (r->headers_out.status == NGX_HTTP_SWITCHING_PROTOCOLS) follow_frames(context);
    return pass_header(r);
  }
  context->action = sn::Action::unknown_504;
  context->reason = sn::Reason::outcome_unknown;
  count(context->action);
  r->keepalive = 0;
  return ngx_http_filter_finalize_request(r, nullptr, NGX_HTTP_GATEWAY_TIME_OUT);
}

}  // namespace domicile::edge
