// What may carry words and rows between sites: mutual TLS, and nothing else beyond this host.
#pragma once
#include <string>

#include "base/result.hpp"

namespace domicile::agent {

// https://host:port (DOM-E604).
Result<void> check_url(const std::string& url);
// verify-full with this side's own certificate, over TCP (DOM-E605). `insecure`: anything goes, but only to this host's
// own addresses and Unix sockets (DOM-E606).
Result<void> check_link(const std::string& conninfo, bool insecure);

}  // namespace domicile::agent
