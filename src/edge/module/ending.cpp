// Connections that come to their end, by a switch or because their worker does: what nginx 1.22 would cut although
// nobody told the client not to begin.
#include "edge/module/ending.hpp"

#include "edge/module/request.hpp"

namespace domicile::edge {

namespace {

constexpr ngx_msec_t kTick = 250;
constexpr ngx_msec_t kNotice = 1000;  // more than a round trip, so that nothing is on its way behind a notice any more
constexpr ngx_msec_t kFirstRequest = 3000;
constexpr ngx_msec_t kGrace = 1500;  // for the next request of an HTTP/1.1 client, which is answered and told to leave

// nginx modules have no object to hang on to: this is one process's only instance.
struct {
  ngx_event_t tick;
  ngx_connection_t none;         // timers want one to log by
  ngx_event_handler_pt waiting;  // nginx's own, of a kept HTTP/1.1 connection between two requests
  ngx_msec_t began;
} ending;

bool shaken(const ngx_connection_t& c) {
  return c.fd != -1 && c.listening != nullptr && c.ssl != nullptr && c.ssl->handshaked;
}

bool speaks_http2(const ngx_connection_t& c) {
  const unsigned char* protocol = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(c.ssl->connection, &protocol, &size);
  return size == 2 && protocol[0] == 'h' && protocol[1] == '2';
}

// Null when it is none, or one that has ended already.
ngx_http_v2_connection_t* http2_of(const ngx_connection_t& c) {
  if (!shaken(c) || !speaks_http2(c)) return nullptr;
  auto* http2 = static_cast<ngx_http_v2_connection_t*>(c.data);
  return http2->goaway ? nullptr : http2;
}

// A peer's connection without a request yet: opened beforehand, it would keep this worker for as long as it lives.
// Reusable ones with a request have their lingering close, and other data.
bool awaits_peer(const ngx_connection_t& c) {
  return shaken(c) && !speaks_http2(c) && c.reusable && !c.idle && c.requests == 0 &&
         is_from_peer(static_cast<const ngx_http_connection_t*>(c.data));
}

void end(ngx_connection_t& c) {
  c.close = 1;
  c.read->handler(c.read);  // HTTP/2: GOAWAY, streams in progress go on
}

ngx_int_t on_sent(ngx_http_v2_connection_t*, ngx_http_v2_out_frame_t* frame) {
  return frame->first->buf->pos == frame->first->buf->last ? NGX_OK : NGX_AGAIN;
}

// nginx marks every HTTP/2 connection as idle for all of its life. Here the mark is taken away with the notice, whose
// time is kept in start_time.
bool has_notice(const ngx_connection_t& c) { return !c.idle; }

// A first GOAWAY that names the highest stream there can be (RFC 9113, 6.8): begin nothing more, what is on its way is
// served. nginx sends only the last one, behind which requests that cross it are dropped.
void notify(ngx_connection_t& c, ngx_http_v2_connection_t* http2) {
  constexpr u_char kGoaway[] = {0, 0, 8, 7, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0};
  c.idle = 0;
  c.start_time = ngx_current_msec;
  auto* frame = static_cast<ngx_http_v2_out_frame_t*>(ngx_pcalloc(c.pool, sizeof(ngx_http_v2_out_frame_t)));
  ngx_chain_t* chain = ngx_alloc_chain_link(c.pool);
  ngx_buf_t* buffer = ngx_create_temp_buf(c.pool, sizeof kGoaway);
  if (frame == nullptr || chain == nullptr || buffer == nullptr) return;
  buffer->last = ngx_cpymem(buffer->last, kGoaway, sizeof kGoaway);
  buffer->last_buf = 1;
  *chain = {buffer, nullptr};
  frame->first = frame->last = chain;
  frame->handler = on_sent;
  frame->length = 8;
  ngx_http_v2_queue_blocked_frame(http2, frame);
  if (!http2->blocked) ngx_http_v2_send_output_queue(http2);  // an error shows at the connection's next event
}

bool is_over(const ngx_connection_t& c, const ngx_http_v2_connection_t* http2) {
  const ngx_msec_t since = ngx_current_msec - c.start_time;
  return since >= (http2->last_sid == 0 ? kFirstRequest : kNotice);
}

// nginx would end idle connections at once, also one whose next request lies there already: HTTP/1.1 has no word for
// "begin nothing more" but in an answer. What it takes for busy it leaves alone.
void keep_idle_ones() {
  ngx_connection_t* all = ngx_cycle->connections;
  for (ngx_uint_t i = 0; i < ngx_cycle->connection_n; ++i) {
    ngx_connection_t& c = all[i];
    if (c.fd == -1 || !c.idle || c.listening == nullptr || http2_of(c) != nullptr) continue;
    ending.waiting = c.read->handler;
    c.idle = 0;
  }
}

bool is_kept(const ngx_connection_t& c) {
  return c.fd != -1 && c.listening != nullptr && ending.waiting != nullptr && c.read->handler == ending.waiting;
}

bool has_unread(const ngx_connection_t& c) {
  char byte;
  return recv(c.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

// False: it has no grace left. What has come in the last moment is answered; half of a request must not stay for ever.
bool has_grace(const ngx_connection_t& c) {
  const ngx_msec_t since = ngx_current_msec - ending.began;
  return since < kGrace || (since < 2 * kGrace && has_unread(c));
}

void on_tick(ngx_event_t*) {
  bool waiting = false;
  ngx_connection_t* all = ngx_cycle->connections;
  for (ngx_uint_t i = 0; i < ngx_cycle->connection_n; ++i) {
    ngx_http_v2_connection_t* http2 = http2_of(all[i]);
    if (http2 == nullptr) {
      if (!ngx_exiting) continue;
      if (is_kept(all[i]) && has_grace(all[i]))
        waiting = true;
      else if (is_kept(all[i]) || awaits_peer(all[i]))
        end(all[i]);
      continue;
    }
    if (ngx_exiting && !has_notice(all[i])) notify(all[i], http2);
    if (!has_notice(all[i])) continue;
    if (is_over(all[i], http2))
      end(all[i]);
    else
      waiting = true;
  }
  ending.tick.cancelable = !waiting;  // it keeps a worker only for them
  if (waiting || ngx_exiting) ngx_add_timer(&ending.tick, kTick);
}

void start_ticking() {
  if (ending.tick.timer_set) return;
  ending.none.fd = -1;
  ending.tick.handler = on_tick;
  ending.tick.data = &ending.none;
  ending.tick.log = ngx_cycle->log;
  ngx_add_timer(&ending.tick, kTick);
}

}  // namespace

void begin_ending() {
  ending.began = ngx_current_msec;
  keep_idle_ones();
  start_ticking();
  on_tick(&ending.tick);
}

void wind_down_http2(ngx_connection_t* c) {
  ngx_http_v2_connection_t* http2 = http2_of(*c);
  if (http2 == nullptr || has_notice(*c)) return;
  notify(*c, http2);
  start_ticking();
}

}  // namespace domicile::edge
