#include "core/history/checks.hpp"

#include <algorithm>
#include <array>

#include "core/history/book.hpp"

namespace domicile::history {
namespace {

void count(const Book& book, const std::vector<Operation>& operations, Verdict& verdict) {
  verdict.operations = book.calls.size();
  verdict.judged_at_end = book.at_end;
  std::set<std::pair<std::string, std::int64_t>> epochs;
  for (const Call& call : book.calls) {
    if (call.outcome == Type::ok) epochs.emplace(call.residency, call.epoch);
    if (!writes(call.deed)) {
      verdict.reads += call.outcome == Type::ok ? 1 : 0;
      continue;
    }
    ++(call.outcome == Type::ok     ? verdict.acknowledged
       : call.outcome == Type::fail ? verdict.refused
                                    : verdict.unknown);
  }
  verdict.epochs = epochs.size();
  for (const Operation& operation : operations) {
    if (operation.deed == Deed::fault) ++verdict.faults;
    if (operation.deed != Deed::census) continue;
    verdict.forbidden_bytes = verdict.forbidden_bytes.value_or(0) + operation.value[0];
    if (operation.value[0] != 0)
      verdict.anomalies.push_back({Rule::forbidden, operation.residency, {}, 0, operation.note});
  }
}

}  // namespace

std::string_view name_of(Rule rule) {
  constexpr std::array<std::string_view, 12> names = {"linearizable", "prefix",     "duplicate",  "gap",
                                                      "stale",        "reappeared", "sum",        "phantom",
                                                      "lost",         "two-owners", "epoch-back", "forbidden"};
  return names[static_cast<std::size_t>(rule)];
}

std::size_t Verdict::lost() const {
  return named_lost + static_cast<std::size_t>(std::ranges::count(anomalies, Rule::lost, &Anomaly::rule));
}

bool Verdict::held() const { return anomalies.empty() && undecided.empty() && judged_at_end; }

Result<Verdict> judge(const std::vector<Operation>& operations) {
  const Book book = TRY(open_book(operations));
  Verdict verdict;
  count(book, operations, verdict);
  check_owners(book, verdict);
  CHECK_OK(check_registers(book, verdict));
  CHECK_OK(check_lists(book, verdict));
  CHECK_OK(check_banks(book, verdict));
  return verdict;
}

Json json_of(const Verdict& verdict) {
  Json found = Json::array();
  for (const Anomaly& each : verdict.anomalies)
    found.push_back({{"rule", name_of(each.rule)},
                     {"residency", each.residency},
                     {"key", each.key},
                     {"epoch", each.epoch},
                     {"why", each.why}});
  return {{"operations", verdict.operations},
          {"faults", verdict.faults},
          {"anomalies", verdict.anomalies.size()},
          {"lost", verdict.lost()},
          {"forbidden_bytes", verdict.forbidden_bytes ? Json(*verdict.forbidden_bytes) : Json()},
          {"acknowledged", verdict.acknowledged},
          {"refused", verdict.refused},
          {"unknown", verdict.unknown},
          {"reads", verdict.reads},
          {"salvaged", verdict.salvaged},
          {"epochs", verdict.epochs},
          {"judged_at_end", verdict.judged_at_end},
          {"undecided", verdict.undecided},
          {"found", std::move(found)}};
}

}  // namespace domicile::history
