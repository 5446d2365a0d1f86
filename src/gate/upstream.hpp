// The gate's own session with this region's PostgreSQL: libpq opens it and proves who the gate is; from then on the
// gate speaks the protocol itself, byte for byte.
#pragma once
#include <memory>
#include <string>

#include "gate/wire.hpp"

struct pg_conn;

namespace domicile::gate {

class Upstream {
 public:
  // `conninfo` is the gate's own and never a peer's words; `name` becomes application_name, which
  // synchronous_standby_names may list.
  static Result<Upstream> open(const std::string& conninfo, const std::string& name, Micros deadline);
  const Wire& wire() const { return wire_; }
  // Does this region's log have the residency's rows as their owner wrote them? Not once another region has taken over:
  // then it has those that it receives, and a peer that still asks has not heard of it. Before the first byte that the
  // gate itself sends over wire(), or between two answers.
  Result<bool> owns(const std::string& link, Micros deadline);
  // What the server reported at the start and a subscription reads, as ParameterStatus frames.
  std::string parameters() const;

 private:
  struct End {
    void operator()(pg_conn* connection) const;
  };
  std::unique_ptr<pg_conn, End> connection_;
  Wire wire_;
};

}  // namespace domicile::gate
