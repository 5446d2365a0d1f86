// Ports of the loopback for a test's own servers.
#pragma once
#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <vector>

#include "base/file.hpp"

namespace domicile::test {

// Free when asked; all are asked for before any is let go, so that they differ.
inline std::vector<int> free_ports(std::size_t count) {
  std::vector<Fd> sockets;
  std::vector<int> ports;
  while (ports.size() < count) {
    Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{.sin_family = AF_INET, .sin_port = 0, .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_zero = {}};
    socklen_t size = sizeof address;
    auto* raw = reinterpret_cast<sockaddr*>(&address);
    if (::bind(fd.get(), raw, size) != 0 || ::getsockname(fd.get(), raw, &size) != 0) std::abort();
    ports.push_back(ntohs(address.sin_port));
    sockets.push_back(std::move(fd));
  }
  return ports;
}

// Below the range out of which the kernel gives ports to outgoing connections: one of those could take a port between
// here and nginx's bind.
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

}  // namespace domicile::test
