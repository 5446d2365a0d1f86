// What an agent says to its region's gate, over the gate's Unix socket (src/gate/control.hpp).
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/http_client.hpp"
#include "base/json.hpp"

namespace domicile::agent {

struct GateLinkSeen {
  std::string link, residency, to;
  std::string held;           // why nobody gets anything by it; empty: it is not held
  bool streams = false;       // a peer's subscription is there
  bool stopped = false;       // at an exact place, for a switch
  std::optional<Micros> lag;  // of what the peer confirmed behind what has left, on the owner's clock
  bool fresh_slot = false;    // held until released(): a person gave up what the log of its slot holds
};

// Thread-safe: each call has a connection of its own.
class GateClient {
 public:
  explicit GateClient(std::string socket) : socket_(std::move(socket)) {}
  // Whole lines of COPY's text format of one table, and which columns stand in them: judged, and counted as gone.
  // `refused` when they may not go; from then on the link is held.
  Result<void> pass(const std::string& link, const std::string& table, const std::vector<std::string>& columns,
                    std::string_view lines) const;
  // Nothing leaves by the link behind the first transaction that ends at `lsn` or later; go() ends that.
  Result<void> stop(const std::string& link, const std::string& lsn) const;
  Result<void> go(const std::string& link) const;
  // The slot of a link that waits for a fresh one is gone.
  Result<void> released(const std::string& link) const;
  Result<std::vector<GateLinkSeen>> links() const;
  // The hash of the topology that it judges by; never empty.
  Result<std::string> policy() const;
  // The register: [{link, table, form, rows, bytes, …}].
  Result<Json> transfers() const;

 private:
  Result<std::string> ask(HttpRequest request) const;

  std::string socket_;
};

}  // namespace domicile::agent
