// Open-loop load: writes fall due at a steady rate, whether or not earlier ones were answered, and their waiting counts
// from then.
//
// Each client is one tenant's: it posts orders to its own host over HTTPS (HTTP/1.1, kept alive) and knows the
// addresses of all gateways, its home's first, as from DNS. It stays with the gateway that answers. When that one does
// not answer, or says 503, the client looks for another, with one write at a time, while its others wait in it unsent.
// A write is sent again only when it surely was not processed: the connection could not be made, nothing was sent, or
// the answer was 503 or 421. Everything else without a telling answer stays unknown for good.
#pragma once
#include <memory>

#include "base/http_client.hpp"
#include "drill/write.hpp"

namespace domicile::drill {

struct Gateway {
  std::string region, address;
  int port = 0;
  bool operator==(const Gateway&) const = default;
};

struct ClientSpec {
  std::string tenant, host, residency;
  std::vector<Gateway> gateways;  // home first
  bool operator==(const ClientSpec&) const = default;
};

struct LoadSpec {
  std::vector<ClientSpec> clients;
  double per_s = 0;                // of all clients together, spread evenly in turn
  std::string ca;                  // PEM file of the authority of the gateways' certificates; empty: plain HTTP
  int connections = 8;             // of one client to one gateway
  Micros connect = kSecond;        // TCP and TLS
  Micros answer = 3 * kSecond;     // whole request: three times the longest planned pause
  Micros deadline = 10 * kSecond;  // from the intended time; then an unsent write is refused
  Micros round_pause = 200 * kMillisecond;  // after no gateway took a write, before the next round
  bool operator==(const LoadSpec&) const = default;
};
std::string to_text(const LoadSpec& spec);  // JSON
Result<LoadSpec> load_spec_of(const std::string& text);

struct LoadCounters {
  std::uint64_t offered = 0, acknowledged = 0, refused = 0, unknown = 0;
};

// Runs on its own thread from start until stop or destruction; start it inside a network namespace (lab::inside) and
// its sockets are made there. Members may be called from any thread.
class Load {
 public:
  static Result<std::unique_ptr<Load>> start(LoadSpec spec);
  ~Load();
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;

  LoadCounters counters() const;
  std::vector<Write> take();  // the writes that ended since the last take
  // Lets no further write fall due, waits until every one has an outcome, and answers with those not yet taken.
  std::vector<Write> stop();

 private:
  struct Loop;
  explicit Load(std::unique_ptr<Loop> loop);
  std::unique_ptr<Loop> loop_;
};

}  // namespace domicile::drill
