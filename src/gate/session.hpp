// One connection of a peer, from its first byte to its end. It runs in a thread of its own and never blocks in a read:
// what it waits for has an end, except the stream itself, which lives as long as both sides do.
#pragma once
#include <atomic>
#include <stop_token>
#include <string>

#include "gate/book.hpp"
#include "gate/tls.hpp"

namespace domicile::gate {

struct SessionSetup {
  const TlsServer* tls = nullptr;
  Book* book = nullptr;
  std::string upstream;                      // libpq connection string of the gate's own role
  std::string database;                      // what peers' links name
  std::map<std::string, std::string> peers;  // common name of a certificate, which is a link's role -> its region
  std::function<bool(const std::string& serial)> revoked;
  std::size_t largest_row = 256U << 20;  // bytes; a larger one is refused, since it is judged as a whole
  Log log{2, Log::Format::text, Level::info, ""};
};

// Of a connected, non-blocking socket. `known` becomes true once the certificate has said which region it is.
void run_session(const SessionSetup& setup, int client, const std::stop_token& stop, std::atomic<bool>& known);

}  // namespace domicile::gate
