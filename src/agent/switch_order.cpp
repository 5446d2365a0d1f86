#include "agent/switch_order.hpp"

namespace domicile::agent {
namespace {
constexpr std::chrono::seconds kAnswer{6};  // the loop may be in the middle of a look
}

Result<std::vector<std::string>> check_switch(const ResidencyLoop& loop, const PrecheckSetup& setup,
                                              const std::string& to, bool terminate, Micros patience) {
  const auto seen = loop.seen().get();
  if (!seen->record)
    return fail(Kind::unavailable, "nobody owns " + loop.rules().residency + " yet", "domicile status");
  // What is lawful and free comes first, with its own words.
  (void)TRY(authority::planned_drain(seen->record->value, loop.rules(), to, "precheck"));
  return precheck_switch(setup, loop.rules(), seen->record->value, to, terminate, patience);
}

Result<Ordered> order_switch(ResidencyLoop& loop, const PrecheckSetup& setup, const SwitchOrder& order,
                             Micros patience) {
  auto warnings = TRY(check_switch(loop, setup, order.to, order.terminate, patience));
  auto answer = order.answer->get_future();
  loop.orders.put(order);
  if (answer.wait_for(kAnswer) != std::future_status::ready)
    return fail(Kind::unknown_outcome, "the order was not answered in time", "look at domicile status");
  return Ordered{TRY(answer.get()), std::move(warnings)};
}

}  // namespace domicile::agent
