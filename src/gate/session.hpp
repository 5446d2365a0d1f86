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
  Micros patience = 10 * kSecond;        // with a peer, for each step before the stream
  int per_peer = 0;                      // sessions of one region at a time; 0: see Book::enter
  Log log{2, Log::Format::text, Level::info, ""};
};

// A stranger may be evicted for another one by whoever took the connection; it then reads no more, and a session that
// finds itself evicted says so and ends. A session is known once its certificate has said which region it is and that
// region has not too many.
enum class Standing { stranger, known, evicted };

// Of a connected, non-blocking socket.
void run_session(const SessionSetup& setup, int client, const std::stop_token& stop, std::atomic<Standing>& standing);

}  // namespace domicile::gate
