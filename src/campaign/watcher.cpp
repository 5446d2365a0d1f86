#include "campaign/watcher.hpp"

namespace domicile::campaign {

Watcher::Watcher(const drill::Field& field, Recorder& recorder) : field_(field), recorder_(recorder) {
  for (const std::string& region : field.regions())
    threads_.emplace_back([this, region](const std::stop_token& stop) { run(stop, region); });
}

void Watcher::run(const std::stop_token& stop, const std::string& region) {
  std::map<std::string, std::pair<std::int64_t, std::string>> last;  // residency -> epoch, owner
  for (; !stop.stop_requested(); std::this_thread::sleep_for(std::chrono::milliseconds(500))) {
    const auto status = field_.agent(region, "GET", "/v1/status", {}, kSecond);
    if (!status || !status->contains("residencies")) continue;
    for (const Json& each : (*status)["residencies"]) {
      const std::string name = each.value("residency", ""), owner = each.value("owner", "");
      const std::int64_t epoch = each.value("epoch", std::int64_t{0});
      if (each.value("mode", "") != "serving" || owner.empty()) continue;
      std::pair<std::int64_t, std::string> now{epoch, owner};
      if (last[name] == now) continue;
      recorder_.note(history::Deed::owner, name, "", {}, region, epoch, owner);
      last[name] = std::move(now);
    }
  }
}

}  // namespace domicile::campaign
