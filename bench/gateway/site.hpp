// A gateway of one region and two residencies in a temporary directory, for benchmarks.
#pragma once
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>
#include <optional>
#include <string>

#include "base/clock.hpp"
#include "base/file.hpp"
#include "base/http_server.hpp"
#include "base/process.hpp"
#include "base/temp_dir.hpp"
#include "core/snapshot/compile.hpp"
#include "edge/config.hpp"
#include "edge/publish.hpp"
#include "edge/state.hpp"

namespace domicile::bench {

inline int free_port() {
  Fd fd(socket(AF_INET, SOCK_STREAM, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size) != 0) std::abort();
  getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(address.sin_port);
}

template <class F>
bool eventually(F condition) {
  const Micros end = monotonic_now() + 10 * kSecond;
  while (!condition()) {
    if (monotonic_now() > end) return false;
    usleep(500);
  }
  return true;
}

inline snapshot::AuthoritySnapshot authority(std::uint64_t generation) {
  snapshot::AuthoritySnapshot all{
      .generation = generation, .region = "us-east-1", .policy_hash = "p", .boot_id = host_boot_id(), .rows = {}};
  for (const char* name : {"us", "eu"})
    all.rows.push_back({.residency = name,
                        .owner = "us-east-1",
                        .epoch = generation,
                        .mode = snapshot::Mode::serving,
                        .lease_end = boottime_now() + 3600 * kSecond,
                        .here = snapshot::Form::full});
  return all;
}

inline Result<void> put_snapshots(const std::string& directory) {
  const std::string tenants = TRY(compile(snapshot::TenantsSnapshot{
      .generation = 1, .seed = {1, 2}, .hosts = {{"acme.example", "acme", "us"}, {"muster.example", "muster", "eu"}}}));
  CHECK_OK(edge::publish(directory + "/tenants.snap", tenants));
  const std::string small = TRY(compile(authority(1)));
  return edge::publish(directory + "/authority.snap", small);
}

}  // namespace domicile::bench
