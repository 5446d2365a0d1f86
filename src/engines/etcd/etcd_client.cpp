#include "engines/etcd/etcd_client.hpp"

#include <poll.h>

#include <algorithm>

#include "base/file.hpp"
#include "engines/etcd/base64.hpp"

namespace domicile::etcd {

namespace {

// gRPC's codes, as the gateway puts them into its error answers.
enum Grpc : long {
  kInvalidArgument = 3,
  kPermissionDenied = 7,
  kResourceExhausted = 8,
  kFailedPrecondition = 9,
  kUnauthenticated = 16,
};

// etcd checks a token before it proposes anything, and an old auth revision before it applies: nothing has happened.
bool token_is_stale(const Error& error) {
  return error.what.find("invalid auth token") != std::string::npos ||
         error.what.find("revision in header is old") != std::string::npos ||
         error.what.find("user name is empty") != std::string::npos;
}

constexpr Micros kNeverAsked = 1;  // long over: it is probed before its first use
constexpr Micros kGlimpse = 100 * kMillisecond;
constexpr int kBetweenProbes = 50 * kMillisecond;

bool no_answer(const Error& error) { return error.kind == Kind::unavailable || error.kind == Kind::unknown_outcome; }

Json range_body(const std::string& prefix) {
  return {{"key", to_base64(prefix)}, {"range_end", to_base64(prefix_end(prefix))}};
}

Json body_of(const Txn& txn) {
  Json compares = Json::array(), success = Json::array(), failure = Json::array();
  for (const auto& compare : txn.compares) {
    Json json{{"key", to_base64(compare.key)}, {"result", "EQUAL"}};
    if (compare.value) {
      json["target"] = "VALUE";
      json["value"] = to_base64(*compare.value);
    } else {
      json["target"] = "CREATE";
      json["create_revision"] = "0";
    }
    compares.push_back(json);
  }
  for (const auto& put : txn.puts)
    success.push_back({{"request_put", {{"key", to_base64(put.key)}, {"value", to_base64(put.value)}}}});
  if (!txn.read_prefix.empty()) {
    success.push_back({{"request_range", range_body(txn.read_prefix)}});
    failure = Json::array({{{"request_range", range_body(txn.read_prefix)}}});
  }
  return {{"compare", compares}, {"success", success}, {"failure", failure}};
}

}  // namespace

std::string prefix_end(std::string prefix) {
  while (!prefix.empty() && static_cast<unsigned char>(prefix.back()) == 0xff) prefix.pop_back();
  if (prefix.empty()) return std::string(1, '\0');  // etcd's "to the end of all keys"
  ++prefix.back();
  return prefix;
}

Result<std::string> read_password(const std::string& file) {
  std::string password = TRY(read_secret(file));
  while (!password.empty() && (password.back() == '\n' || password.back() == '\r')) password.pop_back();
  if (password.empty()) return fail(Kind::invalid_input, file + " holds no password");
  return password;
}

Error error_of(long http_status, const std::string& body, Effect effect) {
  const Kind lost = effect == Effect::writes ? Kind::unknown_outcome : Kind::unavailable;
  const auto json = parse_json(body, "etcd's answer");
  // 3.4's gateway takes no client certificate with a common name once authentication is on, and says so as bare text.
  if (body.find("CommonName of client") != std::string::npos)
    return {Kind::refused, "etcd's gateway refuses a client certificate that has a common name",
            "give the agent a certificate for etcd whose subject has no CN"};
  if (!json || !json->is_object()) return {lost, fmt::format("etcd answered {} without JSON", http_status)};
  const auto code = json->contains("code") && (*json)["code"].is_number_integer() ? (*json)["code"].get<long>() : -1;
  std::string message = json->contains("error") && (*json)["error"].is_string() ? (*json)["error"].get<std::string>()
                                                                                : std::string("no message");
  switch (code) {
    // etcd gives these before it proposes, or instead of applying.
    case kPermissionDenied:
    case kUnauthenticated:
      return {Kind::refused, "etcd: " + message};
    case kInvalidArgument:
      // A wrong password has no code of its own.
      if (message.find("authentication failed") != std::string::npos) return {Kind::refused, "etcd: " + message};
      return {Kind::failed, "etcd: " + message};
    case kFailedPrecondition:
      return {Kind::failed, "etcd: " + message};
    case kResourceExhausted:
      return {Kind::unavailable, "etcd: " + message, "look at `domicile quorum status`: quota and alarms"};
    default:
      // Timeouts, changes of leader, a member that stops: a write may have been committed all the same.
      return {lost, "etcd: " + message};
  }
}

Result<std::map<std::string, std::string>> values_of(const Json& range_response) {
  std::map<std::string, std::string> values;
  const Json kvs = TRY(member_or<Json>(range_response, "kvs", Json::array()));
  if (!kvs.is_array()) return fail(Kind::corrupt, "etcd's answer has no list of keys");
  for (const auto& kv : kvs) {
    const auto key = TRY(member<std::string>(kv, "key"));
    const auto value = TRY(member_or<std::string>(kv, "value", ""));  // an empty one is left out
    const auto decoded_key = TRY(from_base64(key));
    const auto decoded_value = TRY(from_base64(value));
    values[decoded_key] = decoded_value;
  }
  return values;
}

Client::Client(Access access)
    : access_(std::move(access)), http_(access_.tls), suspect_until_(access_.endpoints.size(), kNeverAsked) {
  if (!suspect_until_.empty()) suspect_until_[0] = 0;
}

Micros Client::share_until(Micros until) const { return std::min(until, monotonic_now() + access_.attempt_timeout); }

Result<Json> Client::post(std::size_t endpoint, const std::string& path, const Json& body, Effect effect,
                          Micros until) {
  const Micros left = until - monotonic_now();
  if (left < kMillisecond) return fail(Kind::unavailable, "no time left to ask etcd");
  HttpRequest request{.method = "POST", .url = access_.endpoints[endpoint] + path, .body = dump(body), .timeout = left};
  request.headers = {"Content-Type: application/json"};
  // The gateway takes the bare token, without a scheme before it.
  if (!token_.empty() && path != "/v3/auth/authenticate") request.headers.push_back("Authorization: " + token_);
  auto response = http_.send(request);
  if (!response) {
    const auto& error = response.error();
    // 3.4 keeps a call waiting until it has applied the raft index in its token. After a restore from a backup that may
    // be never: so a token that got no answer is not used again.
    token_.clear();
    // A read that got no answer has changed nothing.
    const Kind kind = effect == Effect::reads ? Kind::unavailable : error.kind;
    return tl::unexpected<Error>(Error{kind, error.what});
  }
  if (response->status != 200) return tl::unexpected<Error>(error_of(response->status, response->body, effect));
  auto json = parse_json(response->body, "etcd's answer");
  if (!json && effect == Effect::writes) return fail(Kind::unknown_outcome, "etcd's answer to a write is no JSON");
  return json;
}

Result<void> Client::login(std::size_t endpoint, Micros until) {
  token_.clear();
  const std::string password = TRY(read_password(access_.password_file));
  auto answer =
      post(endpoint, "/v3/auth/authenticate", {{"name", access_.user}, {"password", password}}, Effect::reads, until);
  if (!answer) {
    if (answer.error().what.find("authentication is not enabled") != std::string::npos) return {};
    return wrap(fmt::format("cannot log in to etcd as {}", access_.user), answer.error());
  }
  token_ = TRY(member<std::string>(*answer, "token"));
  return {};
}

Result<Json> Client::attempt(std::size_t endpoint, const std::string& path, const Json& body, Effect effect,
                             Micros until) {
  if (!access_.user.empty() && token_.empty()) CHECK_OK(login(endpoint, until));
  auto answer = post(endpoint, path, body, effect, until);
  if (answer || access_.user.empty() || !token_is_stale(answer.error())) return answer;
  CHECK_OK(login(endpoint, until));
  return post(endpoint, path, body, effect, until);
}

// An endpoint that did not answer is probed before it is trusted with a request again: a probe that hangs costs 300 ms
// and leaves no unknown outcome. /health is a linearizable read, so that a member cut off from the others fails it.
bool Client::usable(std::size_t endpoint, Micros until) {
  if (suspect_until_[endpoint] == 0) return true;
  const Micros now = monotonic_now();
  if (now < suspect_until_[endpoint]) return false;
  const Micros left = std::min<Micros>(300 * kMillisecond, until - now);
  if (left < kMillisecond) return false;
  const auto health = http_.send({.url = access_.endpoints[endpoint] + "/health", .timeout = left});
  const bool well = health && health->status == 200;
  suspect_until_[endpoint] = well ? 0 : monotonic_now() + access_.suspect_for;
  return well;
}

Result<Json> Client::call_at(std::size_t endpoint, const std::string& path, const Json& body, Effect effect) {
  return attempt(endpoint, path, body, effect, share_until(monotonic_now() + access_.deadline));
}

Result<std::string> Client::get_text_at(std::size_t endpoint, const std::string& path) {
  const auto response =
      TRY(http_.send({.url = access_.endpoints[endpoint] + path, .timeout = access_.attempt_timeout}));
  if (response.status != 200) return fail(Kind::unavailable, fmt::format("{} answered {}", path, response.status));
  return response.body;
}

// An election drops what was asked before its end: nobody ever answers such a request. So members that do not answer
// are probed until one is well; only when half of the time is over, a slow answer seems better than none.
Result<Json> Client::call(const std::string& path, const Json& body, Effect effect) {
  const Micros until = monotonic_now() + access_.deadline;
  Result<Json> last = fail(Kind::unavailable, "no member of etcd answers");
  for (bool desperate = access_.endpoints.empty();; ::poll(nullptr, 0, kBetweenProbes / kMillisecond)) {
    for (std::size_t i = 0; i < access_.endpoints.size(); ++i) {
      if (!usable(i, until) && !desperate) continue;
      if (until - monotonic_now() < kMillisecond) return last;
      last = attempt(i, path, body, effect, share_until(until));
      if (last) {
        suspect_until_[i] = 0;
        return last;
      }
      if (!no_answer(last.error())) return last;
      suspect_until_[i] = monotonic_now() + access_.suspect_for;
      // Perhaps applied: asking another member could only tell of a conflict with ourselves.
      if (last.error().kind == Kind::unknown_outcome) return last;
    }
    if (desperate) return last;
    desperate = until - monotonic_now() < access_.deadline / 2;
  }
}

Result<std::map<std::string, std::string>> Client::range_at_own(const std::string& prefix) {
  if (access_.endpoints.empty() || (!access_.user.empty() && token_.empty()))
    return fail(Kind::unavailable, "not logged in");
  auto body = range_body(prefix);
  body["serializable"] = true;
  const std::string token = token_;
  const auto answer = post(0, "/v3/kv/range", body, Effect::reads, monotonic_now() + kGlimpse);
  token_ = token;  // so short a silence says nothing about it
  return values_of(TRY(answer));
}

Result<std::map<std::string, std::string>> Client::range(const std::string& prefix) {
  return values_of(TRY(call("/v3/kv/range", range_body(prefix), Effect::reads)));
}

Result<TxnOutcome> outcome_of(const Json& answer) {
  TxnOutcome outcome;
  outcome.applied = TRY(member_or<bool>(answer, "succeeded", false));  // false is left out of the JSON
  const Json responses = TRY(member_or<Json>(answer, "responses", Json::array()));
  if (!responses.is_array()) return fail(Kind::corrupt, "etcd's answer has no list of responses");
  for (const auto& response : responses)
    if (response.is_object() && response.contains("response_range"))
      outcome.values = TRY(values_of(response["response_range"]));
  return outcome;
}

Result<TxnOutcome> Client::commit(const Txn& txn) {
  const Effect effect = txn.puts.empty() ? Effect::reads : Effect::writes;
  auto outcome = outcome_of(TRY(call("/v3/kv/txn", body_of(txn), effect)));
  if (!outcome && effect == Effect::writes)
    return fail(Kind::unknown_outcome, "etcd's answer to a write cannot be read: " + outcome.error().what);
  return outcome;
}

}  // namespace domicile::etcd
