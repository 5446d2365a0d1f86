// Ports of the loopback for a test's own servers.
#pragma once
#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <vector>

#include "base/file.hpp"

namespace domicile::test {

// Below the range out of which the kernel gives ports to outgoing connections: one of those could take a port before
// its server binds it, or while a killed server is away. Each call gives another one.
inline int free_port() {
  static int next = 10000 + static_cast<int>(getpid() * 131u % 20000u);
  for (;; next = next < 32000 ? next + 1 : 10000) {
    const Fd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const sockaddr_in address{.sin_family = AF_INET,
                              .sin_port = htons(static_cast<std::uint16_t>(next)),
                              .sin_addr = {htonl(INADDR_LOOPBACK)},
                              .sin_zero = {}};
    if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return next++;
  }
}

inline std::vector<int> free_ports(std::size_t count) {
  std::vector<int> ports;
  while (ports.size() < count) ports.push_back(free_port());
  return ports;
}

}  // namespace domicile::test
