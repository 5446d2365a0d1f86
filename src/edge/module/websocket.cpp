// The end of a WebSocket at a switch: a close frame with 1012, service restart, put between two frames of the
// application's. So its bytes are followed on their way to the client: heads of frames only, nothing is kept.
#include <sys/socket.h>

#include "edge/module/request.hpp"

namespace domicile::edge {

namespace {

constexpr u_char kClose[] = {0x88, 2, 1012 >> 8, 1012 & 0xff};
constexpr ngx_msec_t kPatience = 2000;  // for the client's own close frame, or for the frame that is under way

void send_close(Context* context) {
  Frames& frames = context->frames;
  ngx_connection_t* c = context->request->connection;
  u_char frame[sizeof kClose];
  ngx_memcpy(frame, kClose, sizeof kClose);
  frames.closed = true;
  // Four bytes: a socket that has no room for them has a client that reads nothing.
  if (frames.send(c, frame, sizeof frame) == static_cast<ssize_t>(sizeof frame)) shutdown(c->fd, SHUT_WR);
}

ssize_t send_frames(ngx_connection_t* c, u_char* bytes, size_t size) {
  Context* context = context_of(static_cast<ngx_http_request_t*>(c->data));
  Frames& frames = context->frames;
  if (frames.closed) return static_cast<ssize_t>(size);  // the old owner's application has no say any more
  std::size_t length = size;
  if (frames.closing) length = frames.follower.to_end_of_frame(bytes, size);
  const ssize_t sent = frames.send(c, bytes, length);
  if (sent <= 0) return sent;
  frames.follower.take(bytes, static_cast<std::size_t>(sent));
  if (frames.closing && frames.follower.between_frames()) send_close(context);
  return sent;
}

void on_deadline(ngx_event_t* event) {
  shutdown(static_cast<Context*>(event->data)->request->connection->fd, SHUT_RDWR);
}

bool is_websocket(const ngx_http_request_t* r) {
  for (const ngx_list_part_t* part = &r->headers_out.headers.part; part != nullptr; part = part->next) {
    const auto* header = static_cast<const ngx_table_elt_t*>(part->elts);
    for (ngx_uint_t i = 0; i < part->nelts; ++i)
      if (header[i].hash != 0 && view(header[i].key).size() == sizeof "Sec-WebSocket-Accept" - 1 &&
          ngx_strncasecmp(header[i].key.data, bytes("Sec-WebSocket-Accept"), header[i].key.len) == 0)
        return true;
  }
  return false;
}

}  // namespace

void follow_frames(Context* context) {
  ngx_http_request_t* r = context->request;
  if (r->stream != nullptr || r->upstream == nullptr || !r->upstream->upgrade || !is_websocket(r)) return;
  context->frames.send = r->connection->send;
  // From now on: the answer's head does not pass here, nginx sends it as a chain.
  r->connection->send = send_frames;
}

bool close_websocket(Context* context) {
  Frames& frames = context->frames;
  if (frames.send == nullptr) return false;
  if (frames.closing) return true;
  frames.closing = true;
  frames.deadline.handler = on_deadline;
  frames.deadline.data = context;
  frames.deadline.log = context->request->connection->log;
  ngx_add_timer(&frames.deadline, kPatience);
  if (frames.follower.between_frames()) send_close(context);
  return true;
}

void forget_frames(Context* context) {
  if (context->frames.send == nullptr) return;
  context->request->connection->send = context->frames.send;
  if (context->frames.deadline.timer_set) ngx_del_timer(&context->frames.deadline);
}

}  // namespace domicile::edge
