// The gate of one region: the only thing in it that a peer's PostgreSQL can reach, and the only one that may replicate
// from this region's PostgreSQL on behalf of peers. See docs/gate.md.
#pragma once
#include <memory>
#include <string>

#include "gate/session.hpp"

namespace domicile::gate {

struct GateConfig {
  std::string host;  // ip
  int port = 0;      // 0: any; Gate::port() tells
  TlsFiles tls;
  std::string upstream;                      // libpq connection string of the role that may replicate
  std::string database;                      // the database of the links, as peers name it
  std::map<std::string, std::string> peers;  // link's role -> region
  std::vector<GateLink> links;
  fs::path state;
  std::function<bool(const std::string& serial)> revoked = {};
  std::size_t largest_row = 256U << 20;
  Micros patience = 10 * kSecond;  // with a peer, for each step before its stream
  int per_peer = 0;                // sessions of one region at a time; 0: as many as its links need (Book::enter)
  int strangers = 16;              // connections without a certificate yet; the oldest goes for the next one
};

class Gate {
 public:
  // Listens when it returns.
  static Result<std::unique_ptr<Gate>> start(GateConfig config, Log log);
  ~Gate();  // ends all sessions
  int port() const;
  Book& book();

 private:
  struct State;
  explicit Gate(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace domicile::gate
