// Connections of this worker to the forward listeners of peer gateways: a few are always open and shaken, so that a
// switch, which sends many requests there at once, pays for few handshakes.
#pragma once
#include "edge/module/nginx.hpp"

namespace domicile::edge {

// The directive `domicile_peers`, in an upstream: its connections go where the request is decided to go.
char* use_peers(ngx_conf_t* cf, ngx_command_t* command, void* conf);
void init_peers(ngx_cycle_t* cycle);

// Do as many requests go to peers at this moment as the directive domicile_released_at_once says?
bool peers_are_busy();
// Called after each that ends.
void on_peer_free(void (*listener)());

}  // namespace domicile::edge
