#include "core/authority/switch_steps.hpp"

#include <array>

#include "base/json.hpp"

namespace domicile::authority {
namespace {
constexpr std::array kDrain{DrainStep::gateways_hold, DrainStep::fence, DrainStep::receivers_have,
                            DrainStep::swap_moving};
constexpr std::array kOpen{
    OpenStep::stop_inbound,   OpenStep::journal_position, OpenStep::advance_slots, OpenStep::advance_sequences,
    OpenStep::persist_epochs, OpenStep::swap_serving,     OpenStep::publish};

bool only_for_a_copy(OpenStep step) { return step < OpenStep::persist_epochs; }
}  // namespace

std::string_view name_of(DrainStep step) {
  switch (step) {
    case DrainStep::gateways_hold:
      return "gateways_hold";
    case DrainStep::fence:
      return "fence";
    case DrainStep::receivers_have:
      return "receivers_have";
    case DrainStep::swap_moving:
      return "swap_moving";
  }
  return "?";
}

std::string_view name_of(OpenStep step) {
  switch (step) {
    case OpenStep::stop_inbound:
      return "stop_inbound";
    case OpenStep::journal_position:
      return "journal_position";
    case OpenStep::advance_slots:
      return "advance_slots";
    case OpenStep::advance_sequences:
      return "advance_sequences";
    case OpenStep::persist_epochs:
      return "persist_epochs";
    case OpenStep::swap_serving:
      return "swap_serving";
    case OpenStep::publish:
      return "publish";
  }
  return "?";
}

bool changes_state(DrainStep step) { return step == DrainStep::fence || step == DrainStep::swap_moving; }

bool changes_state(OpenStep step) {
  switch (step) {
    case OpenStep::stop_inbound:
    case OpenStep::advance_slots:
    case OpenStep::advance_sequences:
    case OpenStep::swap_serving:
      return true;
    case OpenStep::journal_position:
    case OpenStep::persist_epochs:  // each site keeps them in a file of its own, fsynced
    case OpenStep::publish:
      return false;
  }
  return true;
}

std::string to_text(const StepRecord& step) {
  return dump({{"residency", step.residency},
               {"switch", step.switch_id},
               {"epoch", step.epoch},
               {"step", step.step},
               {"done", step.done},
               {"detail", step.detail}});
}

Result<StepRecord> step_of(std::string_view text) {
  const Json json = TRY(parse_json(text, "the journal's line"));
  StepRecord step;
  step.residency = TRY(member<std::string>(json, "residency"));
  step.switch_id = TRY(member<std::string>(json, "switch"));
  step.epoch = TRY(member<Epoch>(json, "epoch"));
  step.step = TRY(member<std::string>(json, "step"));
  step.done = TRY(member<bool>(json, "done"));
  step.detail = TRY(member_or<std::string>(json, "detail", ""));
  return step;
}

std::set<std::string> still_done(std::set<std::string> journaled, const Record& record, bool sites_asked) {
  if (!sites_asked) journaled.erase(std::string(name_of(OpenStep::persist_epochs)));
  if (record.mode == Mode::draining) journaled.erase(std::string(name_of(DrainStep::swap_moving)));
  if (record.mode == Mode::moving)
    for (const OpenStep step : {OpenStep::swap_serving, OpenStep::publish}) journaled.erase(std::string(name_of(step)));
  return journaled;
}

std::optional<DrainStep> next_drain_step(const std::set<std::string>& done) {
  for (const DrainStep step : kDrain)
    if (!done.contains(std::string(name_of(step)))) return step;
  return {};
}

std::optional<OpenStep> next_open_step(const std::set<std::string>& done, bool was_owner) {
  for (const OpenStep step : kOpen)
    if (!(was_owner && only_for_a_copy(step)) && !done.contains(std::string(name_of(step)))) return step;
  return {};
}

}  // namespace domicile::authority
