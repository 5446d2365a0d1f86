// Ports of the loopback for a test's own servers.
#pragma once
#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <vector>

#include "base/file.hpp"

namespace domicile::test {

inline Fd bound_to(int port) {
  Fd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_in address{.sin_family = AF_INET,
                            .sin_port = htons(static_cast<std::uint16_t>(port)),
                            .sin_addr = {htonl(INADDR_LOOPBACK)},
                            .sin_zero = {}};
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) fd.reset();
  return fd;
}

// Below the range out of which the kernel gives ports to outgoing connections: one of those could take a port before
// its server binds it, or while a killed server is away. Out of blocks whose first port this process keeps, so that
// tests that run beside it take others. Each call gives another one.
inline int free_port() {
  constexpr int kFirst = 10000, kBlock = 64, kBlocks = 340;
  static std::vector<Fd> kept;
  static int block = static_cast<int>(getpid() % kBlocks), next = kBlock;
  while (true) {
    if (next == kBlock) {
      block = (block + 1) % kBlocks;
      Fd first = bound_to(kFirst + block * kBlock);
      if (!first) continue;
      kept.push_back(std::move(first));
      next = 1;
    }
    const int port = kFirst + block * kBlock + next++;
    if (bound_to(port)) return port;
  }
}

inline std::vector<int> free_ports(std::size_t count) {
  std::vector<int> ports;
  while (ports.size() < count) ports.push_back(free_port());
  return ports;
}

}  // namespace domicile::test
