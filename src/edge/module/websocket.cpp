// The end of a WebSocket at a switch: a close frame with 1012, service restart, put between two frames of the
// application's. So its bytes are followed on their way to the client: heads of frames only, nothing is kept.
#include <sys/socket.h>

#include "edge/module/request.hpp"

namespace domicile::edge {

namespace {

constexpr u_char kClose[] = {0x88, 2, 1012 >> 8, 1012 & 0xff};
constexpr ngx_msec_t kPatience = 2000;  // for the client's own close frame, or for the frame that is under way

// Bytes that the head of a frame has in all, as far as the ones that are known tell.
std::size_t head_length(const Frames& frames) {
  if (frames.head_size < 2) return 2;
  const unsigned length = frames.head[1] & 0x7f;
  return 2u + (length == 126 ? 2u : length == 127 ? 8u : 0u) + ((frames.head[1] & 0x80) != 0 ? 4u : 0u);
}

std::uint64_t payload_length(const Frames& frames) {
  const unsigned length = frames.head[1] & 0x7f;
  if (length < 126) return length;
  std::uint64_t value = 0;
  for (unsigned i = 0; i < (length == 126 ? 2u : 8u); ++i) value = value << 8 | frames.head[2 + i];
  return value;
}

bool between_frames(const Frames& frames) { return frames.left == 0 && frames.head_size == 0; }

// How many of these bytes lie before the end of a frame, at most; follows them.
std::size_t follow(Frames& frames, const u_char* bytes, std::size_t size, bool stop_at_end) {
  std::size_t at = 0;
  while (at < size) {
    if (frames.left > 0) {
      const std::size_t n = frames.left < size - at ? static_cast<std::size_t>(frames.left) : size - at;
      frames.left -= n;
      at += n;
    } else {
      frames.head[frames.head_size++] = bytes[at++];
      if (frames.head_size < head_length(frames)) continue;
      frames.left = payload_length(frames);
      frames.head_size = 0;
    }
    if (stop_at_end && between_frames(frames)) break;
  }
  return at;
}

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
  if (frames.closing) {
    Frames ahead = frames;
    length = follow(ahead, bytes, size, true);
  }
  const ssize_t sent = frames.send(c, bytes, length);
  if (sent <= 0) return sent;
  follow(frames, bytes, static_cast<std::size_t>(sent), false);
  if (frames.closing && between_frames(frames)) send_close(context);
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
  if (between_frames(frames)) send_close(context);
  return true;
}

void forget_frames(Context* context) {
  if (context->frames.send == nullptr) return;
  context->request->connection->send = context->frames.send;
  if (context->frames.deadline.timer_set) ngx_del_timer(&context->frames.deadline);
}

}  // namespace domicile::edge
