// The WAN of the lab: every TCP connection between regions passes this relay, which delays, cuts, slows and records it.
// Limits: a connection is accepted before the far side has answered (a refusal arrives one round trip later as a
// reset), and a one-way cut lets the other way flow on without the acknowledgements that real TCP would miss.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/file.hpp"

namespace domicile::lab {

// Connections that `from` makes to `to`'s service: accepted inside from's namespace, dialled inside to's.
struct Route {
  std::string from, to, service;
  std::string listen_host;
  int listen_port = 0;
  std::string dial_host;
  int dial_port = 0;
  std::string dial_from = {};  // the address that the far side sees; empty: whatever the kernel takes
};

// One direction between two sites; all connections, whoever made them, share it.
struct PathState {
  std::string from, to;
  Micros latency = 0;
  bool cut = false;               // now; flapping included
  std::uint64_t bytes_per_s = 0;  // 0: unlimited
  Micros flap_period = 0;         // 0: steady
  std::uint64_t bytes = 0;        // delivered so far
  std::size_t connections = 0;    // open ones between the two, both ways of making them
};

// Runs on its own thread from start until destruction; all members may be called from any thread.
class Relay {
 public:
  // Namespace descriptors by site (-1: the caller's own network). With a directory, every byte delivered is recorded: a
  // file for each connection and direction, DIRECTORY/FROM-TO/SERVICE.N, with the same N for both directions. What
  // cannot be recorded does not cross: its connection is reset.
  static Result<std::unique_ptr<Relay>> start(std::map<std::string, int> namespaces, fs::path record = {});
  ~Relay();
  Relay(const Relay&) = delete;
  Relay& operator=(const Relay&) = delete;

  Result<int> add(const Route& route);  // the port it listens on (a free one for listen_port 0)
  void set_latency(const std::string& from, const std::string& to, Micros latency);
  // Nothing gets across any more: bytes wait, new connections get no answer to their SYN, nothing is closed.
  void cut(const std::string& from, const std::string& to);
  void heal(const std::string& from, const std::string& to);  // ends cut, slow and flap; latency stays
  void heal_all();
  void slow(const std::string& from, const std::string& to, std::uint64_t bytes_per_s);
  void flap(const std::string& from, const std::string& to, Micros period);  // cut for half of each period
  std::vector<PathState> paths() const;

 private:
  struct Loop;
  explicit Relay(std::unique_ptr<Loop> loop);
  std::unique_ptr<Loop> loop_;
};

}  // namespace domicile::lab
