// A session with a gate or a PostgreSQL as a hostile peer has it: libpq, and whatever it says.
#pragma once
#include <string>

#include "prove/attempt.hpp"

struct pg_conn;

namespace domicile::prove {

struct Ground;

class HostilePeer {
 public:
  explicit HostilePeer(const std::string& conninfo);
  ~HostilePeer();
  HostilePeer(const HostilePeer&) = delete;
  HostilePeer& operator=(const HostilePeer&) = delete;

  bool open() const;
  std::string message() const;
  struct Answer {
    std::string state;  // "ok", a SQLSTATE, or "closed"
    std::string seen;   // rows, the copied bytes of the first half second, and what was said
  };
  Answer ask(const std::string& sql);

 private:
  void take_copy(Answer& answer);
  pg_conn* connection_;
};

// The gate's refusal in what a peer was told: its id, else empty.
std::string denial_in(const std::string& message);

}  // namespace domicile::prove
