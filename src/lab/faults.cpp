#include "lab/faults.hpp"

namespace domicile::lab {

Json json_of(const Holder& holder) {
  return {{"drill", holder.drill}, {"pid", holder.process.pid}, {"start", holder.process.start}};
}

Result<Holder> holder_of(const Json& json) {
  Holder holder;
  holder.drill = TRY(member_or<std::string>(json, "drill", ""));
  holder.process.pid = TRY(member<pid_t>(json, "pid"));
  holder.process.start = TRY(member<std::uint64_t>(json, "start"));
  return holder;
}

Result<Order> undo_of(const std::string& verb, const Json& body) {
  Json same = body;
  if (same.is_object()) same.erase("holder");
  if (verb == "kill") return Order{"start", same};
  if (verb == "pause") return Order{"resume", same};
  if (verb == "cut" || verb == "slow" || verb == "flap") return Order{"heal", same};
  if (verb == "kill-program") return Order{"start-program", same};
  if (verb == "revoke") return Order{"unrevoke", same};
  return fail(Kind::invalid_input, "'" + verb + "' is no fault that could be held");
}

Result<void> Faults::set(const Holder& holder, const std::string& verb, const Json& body) {
  (void)TRY(undo_of(verb, body));
  const std::lock_guard lock(mutex_);
  CHECK_OK(undo_where([](const Fault& fault) { return !alive(fault.holder.process); }));
  for (const Fault& fault : faults_)
    if (fault.holder.process != holder.process)
      return fail(Kind::conflict,
                  fmt::format("the drill {} runs (process {})", fault.holder.drill, fault.holder.process.pid),
                  "wait for its end, or end it: the lab undoes what it did");
  Json own = body;
  if (own.is_object()) own.erase("holder");
  faults_.push_back({holder, verb, own});  // before it is set: a half-set one is undone too
  return act_(verb, own);
}

Result<void> Faults::undo_where(const std::function<bool(const Fault&)>& wanted) {
  Result<void> result;
  for (auto at = faults_.end(); at != faults_.begin();) {
    --at;
    if (!wanted(*at)) continue;
    const auto order = TRY(undo_of(at->verb, at->body));
    const auto done = act_(order.verb, order.body);
    if (done)
      at = faults_.erase(at);
    else if (result)
      result = done;
  }
  return result;
}

Result<void> Faults::undo(const ProcessId& process) {
  const std::lock_guard lock(mutex_);
  return undo_where([&](const Fault& fault) { return fault.holder.process == process; });
}

Result<void> Faults::undo_all() {
  const std::lock_guard lock(mutex_);
  return undo_where([](const Fault&) { return true; });
}

void Faults::undo_orphans() {
  const std::lock_guard lock(mutex_);
  (void)undo_where([](const Fault& fault) { return !alive(fault.holder.process); });
}

Json Faults::json() const {
  const std::lock_guard lock(mutex_);
  Json out = Json::array();
  for (const Fault& fault : faults_)
    out.push_back({{"drill", fault.holder.drill},
                   {"pid", fault.holder.process.pid},
                   {"alive", alive(fault.holder.process)},
                   {"verb", fault.verb},
                   {"body", fault.body}});
  return out;
}

}  // namespace domicile::lab
