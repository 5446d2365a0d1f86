#include "engines/etcd/status.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace domicile::etcd {

namespace {

// The gateway writes 64-bit numbers as strings and leaves zeros out.
template <class Number>
Result<Number> number(const Json& object, const char* key) {
  const std::string text = TRY(member_or<std::string>(object, key, "0"));
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size())
    return fail(Kind::corrupt, fmt::format("etcd's '{}' is no number", key));
  return value;
}

Result<std::vector<std::string>> texts(const Json& object, const char* key) {
  std::vector<std::string> list;
  const Json array = TRY(member_or<Json>(object, key, Json::array()));
  if (!array.is_array()) return fail(Kind::corrupt, fmt::format("etcd's '{}' is no list", key));
  for (const auto& item : array) {
    if (!item.is_string()) return fail(Kind::corrupt, fmt::format("etcd's '{}' holds something else than text", key));
    list.push_back(item.get<std::string>());
  }
  return list;
}

Result<void> ask_endpoint(Client& client, std::size_t at, EndpointStatus& into) {
  const Json answer = TRY(client.call_at(at, "/v3/maintenance/status", Json::object(), Effect::reads));
  CHECK_OK(fill(into, answer));
  into.healthy = client.get_text_at(at, "/health").has_value();
  if (const auto metrics = client.get_text_at(at, "/metrics")) into.quota_bytes = quota_of(*metrics);
  return {};
}

Result<void> ask_cluster(Client& client, std::size_t at, Status& into) {
  const Json members = TRY(client.call_at(at, "/v3/cluster/member/list", Json::object(), Effect::reads));
  into.members = TRY(members_of(members));
  const Json alarms = TRY(client.call_at(at, "/v3/maintenance/alarm", Json::object(), Effect::reads));
  into.alarms = TRY(alarms_of(alarms));
  return {};
}

}  // namespace

bool Status::available() const {
  return std::any_of(endpoints.begin(), endpoints.end(), [](const auto& endpoint) { return endpoint.healthy; });
}

std::string Status::leader() const {
  const EndpointStatus* newest = nullptr;
  for (const auto& endpoint : endpoints)
    if (endpoint.problem.empty() && (newest == nullptr || endpoint.term > newest->term)) newest = &endpoint;
  if (newest == nullptr) return {};
  const auto found = std::find_if(members.begin(), members.end(),
                                  [&](const ClusterMember& member) { return member.id == newest->leader_id; });
  return found == members.end() ? std::string() : found->name;
}

std::optional<std::int64_t> quota_of(const std::string& metrics) {
  constexpr std::string_view kName = "\netcd_server_quota_backend_bytes ";
  const auto at = metrics.find(kName);
  if (at == std::string::npos) return std::nullopt;
  double value = 0;
  const char* begin = metrics.data() + at + kName.size();
  const auto [end, error] = std::from_chars(begin, metrics.data() + metrics.size(), value);
  if (error != std::errc() || !std::isfinite(value) || value < 0 || value > 9e15) return std::nullopt;
  return static_cast<std::int64_t>(value);
}

Result<std::vector<ClusterMember>> members_of(const Json& answer) {
  std::vector<ClusterMember> members;
  const Json list = TRY(member_or<Json>(answer, "members", Json::array()));
  if (!list.is_array()) return fail(Kind::corrupt, "etcd's answer has no list of members");
  for (const auto& item : list) {
    ClusterMember member;  // filled one by one: a return out of a half-made aggregate leaks what it already holds
    member.id = TRY(domicile::member<std::string>(item, "ID"));
    member.name = TRY(member_or<std::string>(item, "name", ""));
    member.peer_urls = TRY(texts(item, "peerURLs"));
    member.client_urls = TRY(texts(item, "clientURLs"));
    members.push_back(std::move(member));
  }
  return members;
}

Result<std::vector<Alarm>> alarms_of(const Json& answer) {
  std::vector<Alarm> alarms;
  const Json list = TRY(member_or<Json>(answer, "alarms", Json::array()));
  if (!list.is_array()) return fail(Kind::corrupt, "etcd's answer has no list of alarms");
  for (const auto& item : list) {
    Alarm alarm;
    alarm.member_id = TRY(member_or<std::string>(item, "memberID", "0"));
    alarm.kind = TRY(member_or<std::string>(item, "alarm", "NONE"));
    alarms.push_back(std::move(alarm));
  }
  return alarms;
}

Result<void> fill(EndpointStatus& status, const Json& answer) {
  const Json header = TRY(member<Json>(answer, "header"));
  status.member_id = TRY(member<std::string>(header, "member_id"));
  status.leader_id = TRY(member_or<std::string>(answer, "leader", "0"));
  status.version = TRY(member_or<std::string>(answer, "version", ""));
  status.term = TRY(number<std::uint64_t>(answer, "raftTerm"));
  status.db_bytes = TRY(number<std::int64_t>(answer, "dbSize"));
  status.db_used_bytes = TRY(number<std::int64_t>(answer, "dbSizeInUse"));
  return {};
}

Status status(Client& client) {
  Status status{.problem = "no endpoint answered"};
  for (std::size_t at = 0; at < client.endpoints().size(); ++at) {
    EndpointStatus endpoint{.endpoint = client.endpoints()[at]};
    if (const auto done = ask_endpoint(client, at, endpoint); !done) endpoint.problem = one_line(done.error());
    if (status.problem && endpoint.problem.empty()) {
      const auto done = ask_cluster(client, at, status);
      status.problem = done ? std::nullopt : std::optional(one_line(done.error()));
    }
    status.endpoints.push_back(std::move(endpoint));
  }
  return status;
}

}  // namespace domicile::etcd
