#include "agent/peers.hpp"

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

namespace domicile::agent {
namespace {

Result<Json> call_site(HttpClient& client, const AgentConfig& config, const std::string& site,
                       const std::string& method, const std::string& path, const Json& body, Micros timeout) {
  const auto known = config.sites.find(site);
  if (known == config.sites.end()) return fail(Kind::invalid_input, "no site is called " + site);
  HttpRequest request{method, known->second.api + path, {"Content-Type: application/json", "Expect:"}, "", timeout};
  if (!body.is_null()) request.body = dump(body);
  const auto response = TRY(client.send(request));
  auto json = parse_json(response.body, "the answer of " + site);
  if (response.status < 400) return json;
  const std::string what = json ? member_or<std::string>(*json, "what", "").value_or("") : "";
  return fail(response.status == 409   ? Kind::conflict
              : response.status == 403 ? Kind::refused
                                       : Kind::unavailable,
              fmt::format("{} answered {} {}", site, response.status, what));
}

}  // namespace

// Runs questions to one site in order, over one kept connection.
class Peers::Worker {
 public:
  using Job = std::function<void(HttpClient&)>;
  Worker(const TlsFiles& tls, std::string url)
      : url_(std::move(url)), thread_([this, tls](const std::stop_token& stop) { run(stop, HttpClient(tls)); }) {}
  void post(Job job) {
    {
      const std::lock_guard lock(mutex_);
      jobs_.push_back(std::move(job));
    }
    changed_.notify_one();
  }

 private:
  void run(const std::stop_token& stop, HttpClient client) {
    while (true) {
      Job job;
      {
        std::unique_lock lock(mutex_);
        const bool asked = changed_.wait_for(lock, stop, kWarm, [this] { return !jobs_.empty(); });
        if (stop.stop_requested()) return;
        if (asked) {
          job = std::move(jobs_.front());
          jobs_.pop_front();
        }
      }
      if (!job) {  // keeps the connection open for the switch that may come
        (void)client.send({"GET", url_ + "/healthz", {}, "", 2 * kSecond}).has_value();
        continue;
      }
      job(client);
    }
  }

  static constexpr std::chrono::seconds kWarm{20};
  std::string url_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<Job> jobs_;
  std::jthread thread_;  // last: it uses everything above
};

Peers::Peers(const AgentConfig& config, SiteDisk& disk) : config_(config), disk_(disk) {
  for (const auto& [site, settings] : config.sites)
    workers_.emplace(site, std::make_unique<Worker>(config.api.tls, settings.api));
}

Peers::~Peers() = default;

Result<Json> Peers::call(const std::string& site, const std::string& method, const std::string& path, const Json& body,
                         Micros timeout) {
  HttpClient client(config_.api.tls);
  return call_site(client, config_, site, method, path, body, timeout);
}

// Asks all sites at once. A question may outlive this call (a site that hangs), so what they share is counted.
EpochVote Peers::gather(const std::string& residency, const KnownEpoch& known, const std::string& method,
                        Micros timeout) {
  struct Shared {
    std::mutex mutex;
    std::condition_variable changed;
    EpochVote vote;
    int open = 0;
  };
  auto shared = std::make_shared<Shared>();
  shared->vote.sites = static_cast<int>(config_.sites.size()) + 1;
  shared->vote.answered = 1;
  const KnownEpoch mine = disk_.epoch(residency);
  shared->vote.highest = mine;
  if (mine.epoch < known.epoch || (mine.epoch == known.epoch && mine.owner == known.owner)) shared->vote.agreed = 1;
  shared->open = static_cast<int>(config_.sites.size());
  const Json body = method == "PUT" ? Json{{"epoch", known.epoch}, {"owner", known.owner}} : Json();
  for (const auto& [site, worker] : workers_) {
    worker->post([shared, site = site, method, residency, known, body, timeout, &config = config_](HttpClient& client) {
      const auto answer = call_site(client, config, site, method, "/v1/epochs/" + residency, body, timeout);
      const std::lock_guard lock(shared->mutex);
      --shared->open;
      if (answer) {
        const auto epoch = member<authority::Epoch>(*answer, "epoch");
        const auto owner = member<std::string>(*answer, "owner");
        if (epoch && owner) {
          ++shared->vote.answered;
          if (*epoch > shared->vote.highest.epoch) shared->vote.highest = {*epoch, *owner};
          const bool same = *epoch == known.epoch && *owner == known.owner;
          if (same || (method == "GET" && *epoch < known.epoch)) ++shared->vote.agreed;
        }
      }
      shared->changed.notify_all();
    });
  }
  std::unique_lock lock(shared->mutex);
  const Micros deadline = monotonic_now() + timeout;
  while (shared->open > 0 && !shared->vote.majority()) {
    const Micros left = deadline - monotonic_now();
    if (left <= 0) break;
    shared->changed.wait_for(lock, std::chrono::microseconds(left));
  }
  return shared->vote;
}

EpochVote Peers::ask_epoch(const std::string& residency, const KnownEpoch& known, Micros timeout) {
  return gather(residency, known, "GET", timeout);
}

EpochVote Peers::persist_epoch(const std::string& residency, const KnownEpoch& known, Micros timeout) {
  if (const auto kept = disk_.persist_epoch(residency, known); !kept) {
    EpochVote vote;
    vote.sites = static_cast<int>(config_.sites.size()) + 1;
    vote.highest = disk_.epoch(residency);
    return vote;
  }
  return gather(residency, known, "PUT", timeout);
}

std::map<std::string, std::map<std::string, KnownEpoch>> Peers::all_epochs(Micros timeout) {
  std::map<std::string, std::map<std::string, KnownEpoch>> all;
  all[config_.region] = disk_.epochs();
  for (const auto& [site, settings] : config_.sites) {
    const auto answer = call(site, "GET", "/v1/epochs", Json(), timeout);
    if (!answer || !answer->is_object()) continue;
    auto& known = all[site];
    for (const auto& [residency, json] : answer->items()) {
      const auto epoch = member<authority::Epoch>(json, "epoch");
      const auto owner = member<std::string>(json, "owner");
      if (epoch && owner) known[residency] = {*epoch, *owner};
    }
  }
  return all;
}

void Peers::tell(const std::string& residency, const std::string& text) {
  for (const auto& [site, worker] : workers_)
    worker->post([site = site, residency, text, &config = config_](HttpClient& client) {
      const auto answer = call_site(client, config, site, "POST", "/v1/look",
                                    {{"residency", residency}, {"record", text}}, 2 * kSecond);
      (void)answer;  // a hint: who misses it looks within a beat
    });
}

}  // namespace domicile::agent
