#include <algorithm>
#include <array>

#include "prove/attempt.hpp"

namespace domicile::prove {
namespace {

constexpr std::array<std::string_view, 9> kNames = {"gateway", "database", "replication", "first_rows", "authority",
                                                    "backup",  "logs",     "tenant_move", "salvage"};

}  // namespace

std::string_view name_of(Layer layer) { return kNames[static_cast<std::size_t>(layer)]; }

std::optional<Layer> layer_of(std::string_view name) {
  for (const Layer layer : layers())
    if (name_of(layer) == name) return layer;
  return {};
}

const std::vector<Layer>& layers() {
  static const std::vector<Layer> all = [] {
    std::vector<Layer> out;
    for (std::size_t i = 0; i < kNames.size(); ++i) out.push_back(static_cast<Layer>(i));
    return out;
  }();
  return all;
}

Outcome refused_by(std::string rule, std::string denial_id, std::string seen) {
  return {true, false, std::move(rule), std::move(denial_id), std::move(seen), {}};
}
Outcome lawful_by(std::string rule, std::string seen) {
  return {false, true, std::move(rule), {}, std::move(seen), {}};
}
Outcome went_through(std::string seen) { return {false, false, {}, {}, std::move(seen), {}}; }
Outcome in_trouble(std::string why) { return {false, false, {}, {}, {}, std::move(why)}; }

std::vector<Attempt> all_attempts() {
  std::vector<Attempt> all;
  for (const auto& part : {gateway_attempts, database_attempts, replication_attempts, authority_attempts,
                           backup_attempts, log_attempts, tenant_move_attempts, salvage_attempts})
    for (Attempt& attempt : part()) all.push_back(std::move(attempt));
  std::ranges::stable_sort(all, {}, &Attempt::breaks);
  return all;
}

std::vector<Attempt> chosen(const Choice& choice) {
  auto all = all_attempts();
  std::erase_if(all, [&](const Attempt& attempt) {
    return (choice.layer && attempt.layer != *choice.layer) || (choice.quick && !attempt.quick) ||
           (attempt.breaks && !choice.may_break);
  });
  return all;
}

}  // namespace domicile::prove
