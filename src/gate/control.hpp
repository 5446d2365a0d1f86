// The gate's control API, on a Unix socket: whoever may open it operates this gate.
//
//   GET  /healthz              200
//   GET  /v1/policy            {policy}: the hash of the topology that this gate judges by
//   GET  /v1/links             [{link, to, form, tables, held: {rule, what, at_us, fresh_slot} or null,
//                               stops_at: LSN or null, progress: {sent, confirmed, epoch, marker_us,
//                               confirmed_marker_us, lag_ms} or null}]
//   POST /v1/links/stop        {link, at: LSN}: nothing leaves behind the first transaction that ends there or later
//   POST /v1/links/go          {link}: it does again
//   POST /v1/links/resume      {link, reason, by, fresh_slot}: a person has looked; 409 when it is not held. With
//                              fresh_slot it stays held until
//   POST /v1/links/released    {link}: its slot is gone, the next one begins after what was unlawful; 409 when it does
//                              not wait for that
//   POST /v1/first-rows/LINK/SCHEMA.TABLE   a line with the rows' columns as a JSON list, then the rows as whole lines
//                              of COPY's text format: judged, and counted as gone; 403 when they may not go, and then
//                              the link is held
//   GET  /v1/transfers         [{link, table, form, rows, bytes, first_at_us, last_at_us, position}]
//   GET  /v1/denials           [{id, region, rule, what, at_us}], the last thousand, oldest first
//   GET  /v1/denials/ID        one of them; 404 when it is not among them
#pragma once
#include "base/http_server.hpp"
#include "gate/gate.hpp"

namespace domicile::gate {

// `policy`: the hash of what the gate obeys.
HttpReply answer(Gate& gate, const std::string& policy, const Log& log, const HttpCall& call);

}  // namespace domicile::gate
