// etcd 3.4 by its JSON gateway over mutual TLS: transactions, ranges and what the quorum says about itself.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/http_client.hpp"
#include "base/json.hpp"

namespace domicile::etcd {

struct Access {
  std::vector<std::string> endpoints;            // https://host:port; the own region's member first
  TlsFiles tls;                                  // the client's own certificate: without a common name, see member.hpp
  std::string user;                              // empty: no authentication (only before the bootstrap)
  std::string password_file;                     // 0600
  Micros deadline = 3 * kSecond;                 // a call, all its attempts together
  Micros attempt_timeout = 1500 * kMillisecond;  // one endpoint's share of it
  Micros suspect_for =
      500 * kMillisecond;  // how long an endpoint that did not answer is passed over; then it is probed
};

// The value that a key must have; without one the key must be absent. Never a revision: after a restore from a backup
// the same revision comes back with other content.
struct Compare {
  std::string key;
  std::optional<std::string> value;
};

struct Put {
  std::string key, value;
};

// All compares hold -> all puts. What `read_prefix` names is read in both cases, after the puts, in the same instant.
struct Txn {
  std::vector<Compare> compares;
  std::vector<Put> puts;
  std::string read_prefix;
};

struct TxnOutcome {
  bool applied = false;
  std::map<std::string, std::string> values;
};

enum class Effect { reads, writes };  // decides what a missing answer means: `unavailable` or `unknown_outcome`

// One per thread: it keeps connections and its token.
class Client {
 public:
  explicit Client(Access access);
  // `unavailable`: surely not applied. `unknown_outcome`: perhaps applied; read before you repeat. `refused`: the user
  // may not.
  Result<TxnOutcome> commit(const Txn& txn);
  Result<std::map<std::string, std::string>> range(const std::string& prefix);  // linearizable
  // What the first endpoint holds, at once or not at all. It makes no endpoint suspect and logs in nowhere.
  Result<std::map<std::string, std::string>> range_at_own(const std::string& prefix);
  // Any other call of the gateway, such as /v3/auth/role/add; with a token where there is a user.
  Result<Json> call(const std::string& path, const Json& body, Effect effect);
  // The same to one endpoint only, for what members say about themselves.
  Result<Json> call_at(std::size_t endpoint, const std::string& path, const Json& body, Effect effect);
  Result<std::string> get_text_at(std::size_t endpoint, const std::string& path);  // such as /metrics
  const std::vector<std::string>& endpoints() const { return access_.endpoints; }

 private:
  Result<Json> attempt(std::size_t endpoint, const std::string& path, const Json& body, Effect effect, Micros until);
  Result<Json> post(std::size_t endpoint, const std::string& path, const Json& body, Effect effect, Micros until);
  Result<void> login(std::size_t endpoint, Micros until);
  bool usable(std::size_t endpoint, Micros until);
  Micros share_until(Micros until) const;

  Access access_;
  HttpClient http_;
  std::string token_;
  std::vector<Micros> suspect_until_;  // 0: it answered last time
};

// A secret file's content without the newline that editors add.
Result<std::string> read_password(const std::string& file);
// What an error answer of the gateway means, from its gRPC code and message. For tests as well.
Error error_of(long http_status, const std::string& body, Effect effect);
// The first key after all keys with this prefix.
std::string prefix_end(std::string prefix);
// The key-value pairs of a range answer, decoded.
Result<std::map<std::string, std::string>> values_of(const Json& range_response);
Result<TxnOutcome> outcome_of(const Json& txn_response);

}  // namespace domicile::etcd
