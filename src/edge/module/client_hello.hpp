// The server name in a TLS ClientHello, out of bytes that anybody may have sent.
#pragma once
#include <cstddef>

#include "core/snapshot/view.hpp"

namespace domicile::edge {

enum class Hello { incomplete, none, found };

// Looks at the first record only: a hello in several records, which no client of today sends, has no server name for
// us and is refused. `out` is normalised.
inline Hello read_sni(const unsigned char* data, std::size_t size, snapshot::HostName& out) noexcept {
  const auto number = [&](std::size_t at) { return static_cast<std::size_t>(data[at] << 8 | data[at + 1]); };
  if (size == 0) return Hello::incomplete;
  if (data[0] != 22) return Hello::none;  // no handshake: no TLS
  if (size < 5) return Hello::incomplete;
  const std::size_t end = 5 + number(3);
  if (end > 5 + 16384) return Hello::none;
  if (size < end) return Hello::incomplete;
  std::size_t at = 5 + 4 + 2 + 32;  // record, handshake, version, random
  if (end < at + 1 || data[5] != 1) return Hello::none;
  at += 1 + data[at];  // session
  if (end < at + 2) return Hello::none;
  at += 2 + number(at);  // cipher suites
  if (end < at + 1) return Hello::none;
  at += 1 + data[at];  // compression
  if (end < at + 2) return Hello::none;
  at += 2;
  while (end >= at + 4) {
    const std::size_t type = number(at), length = number(at + 2);
    at += 4;
    if (end < at + length) return Hello::none;
    if (type == 0) {  // server_name: list length, kind, name length, name
      if (length < 5 || data[at + 2] != 0) return Hello::none;
      const std::size_t name = number(at + 3);
      if (name == 0 || name > length - 5) return Hello::none;
      snapshot::normalise({reinterpret_cast<const char*>(data + at + 5), name}, out);
      return out.size == 0 ? Hello::none : Hello::found;
    }
    at += length;
  }
  return Hello::none;
}

}  // namespace domicile::edge
