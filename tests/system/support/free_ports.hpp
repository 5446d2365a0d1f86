// Ports of the loopback for a test's own servers.
#pragma once
#include <arpa/inet.h>
#include <sys/socket.h>

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

}  // namespace domicile::test
