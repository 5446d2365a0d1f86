// One request of ours: what was decided of it, and where it waits. Shared by the files of the http module.
#pragma once
#include "edge/module/worker.hpp"
#include "edge/websocket_frames.hpp"

extern "C" {
extern ngx_module_t ngx_domicile_http_module;
}

namespace domicile::edge {

struct Context;

// A WebSocket's way to the client, followed frame by frame (websocket.cpp).
struct Frames {
  ngx_send_pt send;      // nginx's own; null while this is no WebSocket
  ngx_event_t deadline;  // for the client's answer to our close frame
  FrameFollower follower;
  bool closing, closed;
};

// Of one request, in its pool; outlives nginx's own context, which internal redirects clear.
struct Context {
  ngx_queue_t queue;   // among the held or the served
  ngx_queue_t writes;  // among the writes in flight, while `in_flight` is not null
  ngx_http_request_t* request;
  ngx_event_t timer;
  std::size_t held_size;
  std::uint64_t forwarded_by;             // the generation that named whom it was forwarded to
  std::uint64_t sent_back;                // the generation by which the owner that we know sent it back
  std::uint64_t held_since;               // the change after which it was held
  ngx_msec_t hold_end;                    // 0: it was never held
  std::atomic<std::uint32_t>* in_flight;  // counted there while not null
  snapshot::Action action;
  snapshot::Reason reason;
  bool held, served, write, expired, unreachable;
  bool moving;  // in flight while its tenant is held: counted in edge.state
  std::uint64_t epoch;
  Frames frames;
  snapshot::TenantId tenant;
  DenialId denial;  // client and log see it
  char residency[snapshot::kNameSize], owner[snapshot::kNameSize], forward[snapshot::kAddressSize];
};

bool is_from_peer(const ngx_http_connection_t* connection);
// Null when the request is none of ours.
Context* context_of(ngx_http_request_t* r);
void add_header(ngx_http_request_t* r, ngx_str_t name, ngx_str_t value);
ngx_str_t text_of(ngx_http_request_t* r, std::string_view text);
// The client is to open another connection for what comes next.
void wind_down(ngx_http_request_t* r);
// Counts the context's action, adds its reason, the denial's id and what its status asks for, and returns the status.
ngx_int_t refuse(ngx_http_request_t* r, Context* context, ngx_int_t status);

// ---- hold.cpp
// NGX_AGAIN: it waits; NGX_DECLINED: no place, or its time is over (context->expired).
ngx_int_t hold(ngx_http_request_t* r, Context* context);
void serve(Context* context);  // remembered, to be ended when its residency or its tenant moves
void begin_write(Context* context);
void end_write(Context* context);  // does nothing when it is none in flight
void leave_queue(Context* context);
// After a move the clients are sent away one after another, over some seconds: all at once they would all shake hands
// with the new owner at once, through a cold tunnel. Until then their requests are forwarded.
bool winds_down_now(const Context* context);
void init_queues(ngx_cycle_t* cycle);

// ---- outcome.cpp: what is told when no answer came, or when it came too late
ngx_int_t on_header(ngx_http_request_t* r);  // a header filter; `pass_header` is the next one
extern ngx_http_output_header_filter_pt pass_header;
ngx_int_t on_no_answer(ngx_http_request_t* r);  // in the location where nginx's own 502 and 504 end, and peers' 421

// ---- websocket.cpp
void follow_frames(Context* context);  // from its 101 on
// Tells the client 1012, service restart, between two frames. False: it is no WebSocket.
bool close_websocket(Context* context);
void forget_frames(Context* context);

}  // namespace domicile::edge
