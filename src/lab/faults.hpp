// Faults that somebody holds: the lab remembers each before it sets it, and undoes it when it is asked to, or when the
// process that holds it has died. A lab that dies takes its faults along, so nothing has to outlive it.
#pragma once
#include <functional>
#include <list>
#include <mutex>

#include "base/json.hpp"
#include "lab/processes.hpp"

namespace domicile::lab {

struct Holder {
  std::string drill;  // for people
  ProcessId process;
};
Json json_of(const Holder& holder);
Result<Holder> holder_of(const Json& json);

// The order that ends what `verb` with `body` began; an error for a verb that begins nothing.
struct Order {
  std::string verb;
  Json body;
};
Result<Order> undo_of(const std::string& verb, const Json& body);

class Faults {
 public:
  using Act = std::function<Result<void>(const std::string& verb, const Json& body)>;
  explicit Faults(Act act) : act_(std::move(act)) {}

  // One holder at a time: `conflict` while another living process holds a fault. What a dead one has left is undone
  // first.
  Result<void> set(const Holder& holder, const std::string& verb, const Json& body);
  // The last one first. What cannot be undone stays, and is tried again by the next call.
  Result<void> undo(const ProcessId& process);
  Result<void> undo_all();
  void undo_orphans();  // those of dead processes
  Json json() const;    // [{drill, pid, alive, verb, body}]

 private:
  struct Fault {
    Holder holder;
    std::string verb;
    Json body;
  };
  Result<void> undo_where(const std::function<bool(const Fault&)>& wanted);
  Act act_;
  mutable std::mutex mutex_;
  std::list<Fault> faults_;
};

}  // namespace domicile::lab
