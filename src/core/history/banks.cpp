// Banks: transfers move money, and none is made or lost by them; each acknowledged one is accounted for.
#include <numeric>

#include "core/history/book.hpp"

namespace domicile::history {
namespace {

struct Bank {
  const Thing& thing;
  std::size_t accounts = 0;
  std::int64_t balance = 0;
};

std::string off(const Bank& bank, const std::vector<std::int64_t>& balances) {
  if (balances.size() != bank.accounts) return fmt::format("{} accounts instead of {}", balances.size(), bank.accounts);
  const auto sum = std::accumulate(balances.begin(), balances.end(), std::int64_t{0});
  const auto total = bank.balance * static_cast<std::int64_t>(bank.accounts);
  return sum == total ? "" : fmt::format("{} instead of {}", sum, total);
}

void check_reads(const Bank& bank, const std::vector<const Call*>& calls, Verdict& verdict) {
  for (const Call* call : calls) {
    if (call->deed != Deed::balances || call->outcome != Type::ok) continue;
    if (const auto why = off(bank, call->answered); !why.empty())
      verdict.anomalies.push_back({Rule::sum, bank.thing.residency, bank.thing.key, call->epoch,
                                   fmt::format("operation {} read {}", call->invoked_at, why)});
  }
}

// The balances in the end are what the transfers that are there make of the first ones.
void check_balances(const Bank& bank, const Operation& last, const std::vector<std::int64_t>& ids,
                    const Writers& writers, Verdict& verdict) {
  const auto anomaly = [&](Rule rule, std::string why) {
    verdict.anomalies.push_back({rule, bank.thing.residency, bank.thing.key, 0, std::move(why)});
  };
  if (const auto why = off(bank, last.value); !why.empty()) return anomaly(Rule::sum, "in the end " + why);
  std::vector<std::int64_t> expected(bank.accounts, bank.balance);
  for (const std::int64_t id : ids) {
    if (const auto why = phantom(writers, id, last.time); !why.empty()) {
      anomaly(Rule::phantom, "transfer " + why);
      continue;
    }
    const auto& asked = writers.at(id)->asked;
    for (const int side : {1, 2}) {
      const auto account = static_cast<std::size_t>(asked[side]);
      if (account < expected.size()) expected[account] += side == 1 ? -asked[3] : asked[3];
    }
  }
  for (std::size_t i = 0; i < expected.size(); ++i)
    if (expected[i] != last.value[i])
      anomaly(Rule::sum,
              fmt::format("in the end account {} has {}, and by its transfers {}", i, last.value[i], expected[i]));
}

void account(const Book& book, const Thing& thing, const std::vector<const Call*>& calls,
             const std::set<std::int64_t>& readable, Verdict& verdict) {
  const auto kept = book.kept_transfers.find(thing.residency);
  for (const Call* call : calls) {
    if (call->deed != Deed::transfer || call->outcome != Type::ok || readable.contains(call->asked[0])) continue;
    if (kept != book.kept_transfers.end() && kept->second.contains(call->asked[0]))
      ++verdict.salvaged;
    else if (named_lost(book, *call))
      ++verdict.named_lost;
    else
      verdict.anomalies.push_back({Rule::lost, thing.residency, thing.key, call->epoch,
                                   fmt::format("transfer {} (operation {}) was acknowledged by {}", call->asked[0],
                                               call->invoked_at, call->node)});
  }
}

}  // namespace

Result<void> check_banks(const Book& book, Verdict& verdict) {
  std::set<std::int64_t> known;
  for (const auto& [thing, calls] : book.banks) {
    const auto made = book.made.find(thing);
    if (made == book.made.end()) return fail(Kind::corrupt, "nobody made the bank " + thing.key);
    if (made->second.value[0] < 0 || made->second.value[0] > 10'000)
      return fail(Kind::corrupt, "a bank has 0 to 10,000 accounts");
    const Bank bank{thing, static_cast<std::size_t>(made->second.value[0]), made->second.value[1]};
    const Writers writers = TRY(writers_of(calls));
    for (const auto& [id, call] : writers) known.insert(id);
    check_reads(bank, calls, verdict);
    const auto end = book.bank_ends.find(thing);
    const auto transfers = book.transfers_end.find(thing);
    if (end == book.bank_ends.end() || !end->second.last || transfers == book.transfers_end.end()) {
      if (book.at_end) return fail(Kind::corrupt, "how " + thing.key + " stood in the end is missing");
      continue;
    }
    const auto& ids = transfers->second.value;
    check_balances(bank, *end->second.last, ids, writers, verdict);
    account(book, thing, calls, {ids.begin(), ids.end()}, verdict);
  }
  for (const auto& [residency, ids] : book.kept_transfers)
    for (const std::int64_t id : ids)
      if (!known.contains(id))
        verdict.anomalies.push_back(
            {Rule::phantom, residency, {}, 0, fmt::format("transfer {} is kept as salvage, and nobody made it", id)});
  return {};
}

}  // namespace domicile::history
