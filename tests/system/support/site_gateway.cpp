#include "site_gateway.hpp"

#include <gtest/gtest.h>
#include <sys/prctl.h>

#include <csignal>

#include "edge/state.hpp"
#include "etcd_cluster.hpp"
#include "lab/processes.hpp"

namespace domicile::test {
namespace {

std::string local(int port) { return fmt::format("127.0.0.1:{}", port); }

int status_of(const std::string& refused) {
  if (refused.empty()) return 201;
  if (refused == "DM001" || refused == "lost") return 503;
  return refused == "23505" ? 409 : 500;
}

}  // namespace

SiteGateway::SiteGateway(const lab::Authority& authority, const fs::path& ca, SiteGatewayPlace place, WriteRow write)
    : ca_(ca.string()), port_(place.listen), write_(std::move(write)) {
  application_.emplace(must(
      HttpServer::start({.host = "127.0.0.1", .threads = 64}, [this](const HttpCall& call) { return answer(call); })));
  const auto issue = [&](const std::string& name, const std::vector<std::string>& hosts) {
    const fs::path stem = place.folder / name;
    must(authority.issue(stem, {name, hosts, {}}));
    return std::pair{stem.string() + ".pem", stem.string() + ".key"};
  };
  const auto [certificate, key] = issue(place.region, {place.region});
  config_ = {.directory = (place.folder / "gateway").string(),
             .region = place.region,
             .modules = DOMICILE_MODULES,
             .listen = local(place.listen),
             .tunnel = local(place.tunnel),
             .forward = local(place.forward),
             .application = local(application_->port()),
             .region_tls = {ca_, certificate, key},
             .user = "nobody nogroup"};
  for (const auto& residency : place.full_residencies) {
    const auto [own, own_key] = issue(residency, place.hosts.empty() ? std::vector{host_of(residency)} : place.hosts);
    config_.certificates.push_back({residency, own, own_key});
  }
  must(edge::prepare(config_));
}

SiteGateway::~SiteGateway() {
  if (!nginx_) return;
  signal(SIGCONT);
  nginx_->stop();
  std::string errors = read_file(config_.directory + "/logs/error.log").value_or("");
  // nginx 1.22 calls it critical when a client goes on with a body that was answered 421 already.
  for (auto at = errors.find("[crit]"); at != errors.npos; at = errors.find("[crit]", at + 1))
    if (const auto line = errors.substr(at, errors.find('\n', at) - at);
        line.find("SSL_shutdown() failed") != line.npos &&
        line.find("application data after close notify") != line.npos)
      errors.replace(at, 6, "[late]");
  for (const char* bad : {"[alert]", "[emerg]", "[crit]"})
    if (errors.find(bad) != std::string::npos) ADD_FAILURE() << config_.region << ": " << errors;
}

void SiteGateway::start() {
  must(edge::prepare(config_));
  auto command = edge::start_command(config_);
  command.in_child = [] { return ::prctl(PR_SET_PDEATHSIG, SIGTERM) == 0; };
  nginx_.reset();
  nginx_.emplace(must(Process::start(command)));
}

void SiteGateway::signal(int number) {
  if (!nginx_ || !nginx_->running()) return;
  for (const pid_t pid : lab::descendants_of({nginx_->pid()})) ::kill(pid, number);
}

HttpReply SiteGateway::answer(const HttpCall& call) {
  if (call.method == "GET") return {200, "{}"};
  // POST /RESIDENCY/ROW
  const auto slash = call.path.rfind('/');
  const auto row = std::stoll(call.path.substr(slash + 1));
  {
    const std::lock_guard lock(mutex_);
    ++arrivals_[row];
  }
  const auto refused = write_(call.path.substr(1, slash - 1), row);
  return {status_of(refused), refused};
}

edge::Answer SiteGateway::ask(const edge::Ask& ask) const {
  edge::Client client;
  return client.ask(port_, ca_, ask);
}

edge::Answer SiteGateway::post(const std::string& residency, std::int64_t row) const {
  return ask(
      {.host = host_of(residency), .path = fmt::format("/{}/{}", residency, row), .method = "POST", .body = "{}"});
}

edge::Answer SiteGateway::read(const std::string& residency) const {
  return ask({.host = host_of(residency), .path = "/" + residency});
}

std::uint64_t SiteGateway::held() const {
  const auto state = edge::read_edge_state(config_.directory + "/edge.state");
  std::uint64_t sum = 0;
  if (state)
    for (const auto& worker : state->workers) sum += worker.held;
  return sum;
}

int SiteGateway::arrivals(std::int64_t row) {
  const std::lock_guard lock(mutex_);
  return arrivals_[row];
}

}  // namespace domicile::test
