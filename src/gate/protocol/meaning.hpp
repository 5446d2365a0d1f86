// What each rule of the gate means and what to do about it: one table, which docs/gate.md repeats word for word and
// `domicile explain denial` prints.
#pragma once
#include <span>
#include <string_view>

namespace domicile::gate {

struct Meaning {
  std::string_view rule;     // as the peer sees it
  std::string_view refuses;  // what is refused by it
  std::string_view advice;   // what to do
};

std::span<const Meaning> session_rules();  // of what a peer says, in Refusal's order
std::span<const Meaning> row_rules();      // of what would leave, in Rule's order
// Null: there is none of that name.
const Meaning* session_rule(std::string_view name);
const Meaning* row_rule(std::string_view name);
// The row's rule that cut a link, by the sentence of a denial ("… was cut by rule column: …"); null: it names none.
const Meaning* cutting_rule(std::string_view sentence);

}  // namespace domicile::gate
