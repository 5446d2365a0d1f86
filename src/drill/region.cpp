#include "drill/region.hpp"

#include <csignal>
#include <thread>

namespace domicile::drill {
namespace {
constexpr auto kLook = std::chrono::milliseconds(50);
}

Result<Authority> newest_owner(const Field& field, const std::string& residency, const Sites& silent) {
  std::optional<Authority> newest;
  Error last{Kind::unavailable, "no agent answers"};
  for (const std::string& region : field.regions()) {
    if (silent.contains(region)) continue;
    const auto seen = field.authority(residency, region);
    if (!seen)
      last = seen.error();
    else if (!newest || seen->epoch > newest->epoch || (seen->epoch == newest->epoch && seen->mode == "serving"))
      newest = *seen;
  }
  if (!newest) return tl::unexpected<Error>(last);
  return *newest;
}

std::string not_following(const Field& field, const std::string& region, const Sites& silent) {
  const auto status = field.agent_status(region);
  if (!status || !status->contains("residencies")) return "its agent does not answer";
  std::string out;
  for (const Json& each : (*status)["residencies"]) {
    const std::string name = each.value("residency", ""), owner = each.value("owner", "");
    if (!each.contains("copy") && each.value("form", "") == "none") continue;
    const std::string state = each.contains("copy") ? each["copy"].value("state", "") : "unknown";
    // What an agent says that has just woken up is of the time before.
    Sites others = silent;
    others.insert(region);
    const auto seen = newest_owner(field, name, others);
    const bool known = seen && seen->owner == owner && seen->epoch == each.value("epoch", std::int64_t{0});
    if (!known || (owner == region ? state != "owner" : state != "following"))
      out += fmt::format("{}{} is {} by {}", out.empty() ? "" : ", ", name, state, owner);
  }
  return out;
}

Result<std::unique_ptr<Inside>> Inside::start(const Field& field, const fs::path& program, const std::string& region,
                                              const LoadSpec& load) {
  auto inside = std::unique_ptr<Inside>(new Inside);
  const fs::path spec = inside->folder_.path() / "load.json";
  CHECK_OK(write_file(spec, to_text(load)));
  Command command;
  command.argv = {program.string(), "drill", "client", spec.string(), inside->result().string()};
  inside->process_ = std::make_unique<Process>(TRY(field.start_inside(region, std::move(command))));
  return inside;
}

Result<std::vector<Write>> Inside::stop() {
  process_->signal(SIGTERM);
  if (!process_->wait_for(30 * kSecond)) return fail(Kind::unavailable, "the clients inside do not come to an end");
  return writes_of(TRY(read_file(result())));
}

Result<void> strike(const Field& field, const std::string& kind, const std::string& region) {
  if (kind != "cut") {
    (void)TRY(field.lab(kind, {{"site", region}}));
    return {};
  }
  const Json status = TRY(field.lab_status());
  std::vector<std::string> others{lab::kHost};
  for (const Json& site : status["sites"]) others.push_back(TRY(member<std::string>(site, "site")));
  for (const std::string& other : others)
    if (other != region) (void)TRY(field.lab("cut", {{"from", region}, {"to", other}}));
  return {};
}

Result<void> end_fault(const Field& field, const std::string& kind, const std::string& region) {
  if (kind == "cut")
    (void)TRY(field.lab("heal", Json::object()));
  else
    (void)TRY(field.lab(kind == "kill" ? "start" : "resume", {{"site", region}}));
  return {};
}

Result<void> await_return(const Field& field, const std::string& region, Micros patience) {
  std::string last;
  for (const Micros deadline = monotonic_now() + patience; monotonic_now() < deadline;
       std::this_thread::sleep_for(kLook)) {
    last = not_following(field, region, {});
    if (last.empty()) return {};
  }
  return fail(Kind::unavailable, fmt::format("{} is not back after {} s: {}", region, patience / kSecond, last));
}

}  // namespace domicile::drill
