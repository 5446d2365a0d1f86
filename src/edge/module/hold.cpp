// Requests that wait for the next authority, and what happens to those under way when it comes.
#include <algorithm>

#include "edge/module/peers.hpp"
#include "edge/module/request.hpp"

namespace domicile::edge {

namespace sn = domicile::snapshot;

namespace {

constexpr ngx_uint_t kReleasedAtOnce = 64;
constexpr ngx_msec_t kRetry = 250;  // a peer that cannot be reached, or does not know yet that it owns, is tried again
constexpr ngx_msec_t kPacedFor = 1000;  // after a move; a peer that hangs must not keep everybody

// nginx modules have no object to hang on to: this is one process's only instance.
struct Queues {
  ngx_queue_t held, served, writes;
  ngx_event_t release;
  std::uint64_t changes;
  std::uint32_t owners;         // a checksum of who owns what, and in which mode
  ngx_msec_t moved_at;          // when that changed; leases change every second
  std::uint32_t moves;          // a checksum of the tenants that move
  ngx_msec_t tenants_moved_at;  // when that changed
  std::uint64_t moving_writes;  // how many in `writes` are marked so
} queues;

std::uint32_t checksum_of_owners() {
  const sn::AuthorityView* authority = world().authority();
  std::uint32_t sum;
  ngx_crc32_init(sum);
  for (std::uint16_t i = 0; authority != nullptr && i < authority->residencies(); ++i) {
    sn::AuthorityEntry entry = authority->entry(i);
    entry.lease_end = 0;
    ngx_crc32_update(&sum, reinterpret_cast<u_char*>(&entry), sizeof entry);
  }
  return sum;
}

std::uint32_t checksum_of_moves() {
  const sn::AuthorityView* authority = world().authority();
  std::uint32_t sum;
  ngx_crc32_init(sum);
  for (std::uint16_t i = 0; authority != nullptr && i < authority->moves(); ++i) {
    sn::MoveEntry move = authority->move(i);
    ngx_crc32_update(&sum, reinterpret_cast<u_char*>(&move), sizeof move);
  }
  return sum;
}

// Where the request's tenant belongs by now: where it did when it was decided, or where it has moved since.
std::uint16_t residency_now(const Context* context) {
  const sn::Move* move = world().move_of(context->tenant.view());
  if (move != nullptr && !move->held) return move->residency;
  return world().authority()->find(context->residency);
}

ngx_msec_int_t left_of(const Context* context) {
  return static_cast<ngx_msec_int_t>(context->hold_end - ngx_current_msec);
}

void run_again(Context* context) {
  ngx_http_request_t* r = context->request;
  ngx_connection_t* connection = r->connection;
  leave_queue(context);
  r->read_event_handler = ngx_http_block_reading;
  r->write_event_handler = ngx_http_core_run_phases;
  ngx_http_core_run_phases(r);
  ngx_http_run_posted_requests(connection);
}

void on_timer(ngx_event_t* event) {
  auto* context = static_cast<Context*>(event->data);
  // Only its own time ends it: a new authority may be there already and its release still to come.
  if (left_of(context) > 0)
    context->sent_back = 0;
  else
    context->expired = true;
  run_again(context);
}

// As many go to peers at a time as find warm connections there: a thousand handshakes at once would take seconds.
bool paced(const Context* context) {
  const bool over =
      ngx_current_msec - queues.moved_at > kPacedFor && ngx_current_msec - queues.tenants_moved_at > kPacedFor;
  if (!peers_are_busy() || over || world().authority() == nullptr) return false;
  const std::uint16_t index = residency_now(context);
  return index != sn::kNone && !world().owned_here(world().authority()->entry(index));
}

// A few in one turn of the loop, so that thousands released together do not stop everybody else.
void on_release(ngx_event_t* event) {
  for (ngx_uint_t i = 0; !ngx_queue_empty(&queues.held); ++i) {
    auto* context = ngx_queue_data(ngx_queue_head(&queues.held), Context, queue);
    if (context->held_since == queues.changes) return;  // the queue is in order: the rest waits for the next change
    if (paced(context)) {
      ngx_add_timer(event, kPacedFor / 10);  // a request that ends comes first
      return;
    }
    if (i == kReleasedAtOnce) {
      ngx_post_event(event, &ngx_posted_next_events);
      return;
    }
    run_again(context);
  }
}

// Is what was served of it still served by us, and in the same residency? An application that has read its tenant's
// residency once would go on with the old one, also where both are ours.
bool moved_away(const Context* context) {
  if (world().authority() == nullptr) return false;
  const std::uint16_t before = world().authority()->find(context->residency), now = residency_now(context);
  if (now != before) return true;
  return now != sn::kNone && !world().owned_here(world().authority()->entry(now));
}

// Long answers and upgraded connections of residencies that are not ours any more, and of tenants that have moved away,
// end; their clients come back.
void end_moved() {
  for (ngx_queue_t* q = ngx_queue_head(&queues.served); q != ngx_queue_sentinel(&queues.served);) {
    auto* context = ngx_queue_data(q, Context, queue);
    q = ngx_queue_next(q);
    ngx_http_request_t* r = context->request;
    if (!moved_away(context)) continue;
    if (winds_down_now(context)) wind_down(r);
    const bool upgraded = r->upstream != nullptr && r->upstream->upgrade;
    const bool events = view(r->headers_out.content_type).starts_with("text/event-stream");
    if ((!upgraded && !events) || close_websocket(context)) continue;
    if (r->stream == nullptr) {
      shutdown(r->connection->fd, SHUT_RDWR);  // nginx sees its end and frees it in its own order
    } else {
      r->connection->error = 1;
      ngx_post_event(r->connection->read, &ngx_posted_events);
    }
  }
}

void release() {
  if (!ngx_queue_empty(&queues.held)) {
    ngx_post_event(&queues.release, &ngx_posted_next_events);
  }
}

void on_authority() {
  ++queues.changes;
  if (const std::uint32_t owners = checksum_of_owners(); owners != queues.owners) {
    queues.owners = owners;
    queues.moved_at = ngx_current_msec;
  }
  if (const std::uint32_t moves = checksum_of_moves(); moves != queues.moves) {
    queues.moves = moves;
    queues.tenants_moved_at = ngx_current_msec;
  }
  release();
  end_moved();
}

std::uint64_t recount_moving_writes() {
  const bool anybody = world().authority() != nullptr && world().authority()->moves() != 0;
  if (!anybody && queues.moving_writes == 0) return 0;  // none is marked
  queues.moving_writes = 0;
  for (ngx_queue_t* q = ngx_queue_head(&queues.writes); q != ngx_queue_sentinel(&queues.writes);
       q = ngx_queue_next(q)) {
    auto* context = ngx_queue_data(q, Context, writes);
    context->moving = world().holds(context->tenant.view());
    queues.moving_writes += context->moving ? 1 : 0;
  }
  return queues.moving_writes;
}

}  // namespace

void leave_queue(Context* context) {
  if (context->held || context->served) {
    ngx_queue_remove(&context->queue);  // several statements in a debug build such as Debian's
  }
  if (context->held) leave_hold(context->held_size);
  if (context->timer.timer_set) ngx_del_timer(&context->timer);
  context->held = context->served = false;
}

bool winds_down_now(const Context* context) {
  const ngx_atomic_uint_t number = context->request->connection->number;
  const auto turn = static_cast<ngx_msec_t>((number * 2654435761u >> 8) % core_conf().wind_down);
  // Each by its own time: moves of single tenants must not keep the connections of a whole residency for ever.
  const bool tenant = world().move_of(context->tenant.view()) != nullptr;
  return ngx_current_msec - (tenant ? queues.tenants_moved_at : queues.moved_at) >= turn;
}

void begin_write(Context* context) {
  context->in_flight = writes_in_flight(context->residency);
  context->in_flight->fetch_add(1, std::memory_order_release);
  ngx_queue_insert_tail(&queues.writes, &context->writes);
}

void end_write(Context* context) {
  if (context->in_flight == nullptr) return;
  context->in_flight->fetch_sub(1, std::memory_order_release);
  context->in_flight = nullptr;
  ngx_queue_remove(&context->writes);  // several statements in a debug build such as Debian's
  if (!context->moving) return;
  context->moving = false;
  queues.moving_writes -= 1;
  forget_moving_write();
}

void serve(Context* context) {
  context->served = true;
  ngx_queue_insert_tail(&queues.served, &context->queue);
}

// What the kernel or HTTP/2 may have taken in of its body before it is read.
static std::size_t bytes_of_body(const ngx_http_request_t* r) {
  constexpr off_t kMost = 65536;  // HTTP/2's window before the body is asked for
  if (r->headers_in.content_length_n >= 0)
    return static_cast<std::size_t>(std::min(r->headers_in.content_length_n, kMost));
  // Of unknown length: whole when it was taken in already, on its way otherwise, or there is none.
  const bool coming = r->headers_in.chunked || (r->stream != nullptr && (!r->stream->in_closed || r->stream->preread));
  return coming ? kMost : 0;
}

ngx_int_t hold(ngx_http_request_t* r, Context* context) {
  // One time for all of its waiting: an authority that changes every second must not hold it for ever.
  if (context->hold_end == 0) context->hold_end = ngx_current_msec + core_conf().hold_time;
  if (left_of(context) <= 0) context->expired = true;
  if (context->expired) return NGX_DECLINED;
  context->held_size = 10240 + bytes_of_body(r);  // its memory here, measured
  if (!enter_hold(context->held_size)) return NGX_DECLINED;
  context->held = true;
  context->held_since = queues.changes;
  ngx_queue_insert_tail(&queues.held, &context->queue);
  context->timer.handler = on_timer;
  context->timer.data = context;
  context->timer.log = r->connection->log;
  const auto left = static_cast<ngx_msec_t>(left_of(context));
  ngx_add_timer(&context->timer, context->sent_back == generation() && left > kRetry ? kRetry : left);
  r->read_event_handler = ngx_http_test_reading;
  r->write_event_handler = ngx_http_request_empty_handler;
  if (ngx_handle_read_event(r->connection->read, 0) != NGX_OK) return NGX_HTTP_INTERNAL_SERVER_ERROR;
  return NGX_AGAIN;
}

void init_queues(ngx_cycle_t* cycle) {
  static ngx_connection_t none = {};  // timers want one to log by
  none.fd = -1;
  ngx_queue_init(&queues.held);
  ngx_queue_init(&queues.served);
  ngx_queue_init(&queues.writes);
  queues.changes = 1;
  queues.release = {};
  queues.release.handler = on_release;
  queues.release.data = &none;
  queues.release.log = cycle->log;
  on_change(on_authority);
  count_moving_writes_by(recount_moving_writes);
  on_peer_free(release);
}

}  // namespace domicile::edge
