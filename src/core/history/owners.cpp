// Epochs grow, and each has one owner: as the agents told it, and as the clients' answers show it.
#include <algorithm>

#include "core/history/book.hpp"

namespace domicile::history {
namespace {

using Epoch = std::pair<std::string, std::int64_t>;  // of a residency

class Owners {
 public:
  explicit Owners(Verdict& verdict) : verdict_(verdict) {}
  void saw(const std::string& residency, std::int64_t epoch, const std::string& owner, const std::string& who) {
    const auto [known, fresh] = of_.try_emplace({residency, epoch}, owner);
    if (fresh || known->second == owner || !told_.insert({residency, epoch}).second) return;
    verdict_.anomalies.push_back(
        {Rule::two_owners, residency, {}, epoch, fmt::format("{} and, {}, {}", known->second, who, owner)});
  }

 private:
  Verdict& verdict_;
  std::map<Epoch, std::string> of_;
  std::set<Epoch> told_;
};

void check_told(const Book& book, Owners& owners, Verdict& verdict) {
  std::map<std::pair<std::string, std::string>, std::int64_t> highest;  // by node and residency
  for (const Operation* told : book.owners) {
    owners.saw(told->residency, told->epoch, told->note, "says the agent of " + told->node);
    std::int64_t& last = highest[{told->node, told->residency}];
    if (told->epoch < last)
      verdict.anomalies.push_back({Rule::epoch_back,
                                   told->residency,
                                   {},
                                   told->epoch,
                                   fmt::format("the agent of {} had said {}", told->node, last)});
    last = std::max(last, told->epoch);
  }
}

// Whoever is answered in an epoch began after nobody had been answered in a later one.
void check_answers(const Book& book, const std::string& residency, Verdict& verdict) {
  std::vector<const Call*> by_begin, by_end;
  for (const Call& call : book.calls)
    if (call.outcome == Type::ok && call.residency == residency) by_begin.push_back(&call);
  by_end = by_begin;
  std::ranges::stable_sort(by_begin, {}, &Call::begin);
  std::ranges::stable_sort(by_end, {}, &Call::end);
  std::int64_t highest = 0;
  std::size_t ended = 0;
  for (const Call* call : by_begin) {
    for (; ended < by_end.size() && by_end[ended]->end < call->begin; ++ended)
      highest = std::max(highest, by_end[ended]->epoch);
    if (call->epoch < highest)
      verdict.anomalies.push_back({Rule::epoch_back, residency, call->key, call->epoch,
                                   fmt::format("operation {} was answered by {} after answers of epoch {}",
                                               call->invoked_at, call->node, highest)});
  }
}

}  // namespace

void check_owners(const Book& book, Verdict& verdict) {
  Owners owners(verdict);
  check_told(book, owners, verdict);
  std::set<std::string> residencies;
  for (const Call& call : book.calls) {
    if (call.outcome != Type::ok) continue;
    residencies.insert(call.residency);
    owners.saw(call.residency, call.epoch, call.node, fmt::format("answering operation {}", call.invoked_at));
  }
  for (const std::string& residency : residencies) check_answers(book, residency, verdict);
}

}  // namespace domicile::history
