// How connections come to their end without a request lost on its way.
#pragma once
#include "edge/module/nginx.hpp"

namespace domicile::edge {

// Before nginx closes the idle connections: HTTP/2 counts as idle there also with a request on its way, and many
// clients (curl 7.88) take the GOAWAY that drops it for a failure. They are told first, and have a round trip's time.
// Idle ones of HTTP/1.1 get a short grace for one more request, whose answer tells them to leave.
void begin_ending();
// The client is to open another connection for what comes next.
void wind_down_http2(ngx_connection_t* c);

}  // namespace domicile::edge
