// Any bytes as the body of a request to an agent's control API: a value or `invalid_input`, never a crash; and what was
// taken holds what its route relies on.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "agent/bodies.hpp"
#include "agent/drill_book.hpp"

using namespace domicile;

namespace {

void demand(bool holds) {
  if (!holds) std::abort();
}

template <class Body, class Check>
void look(const Result<Body>& body, Check check) {
  if (body)
    check(*body);
  else
    demand(body.error().kind == Kind::invalid_input && !body.error().what.empty());
}

}  // namespace

// The first byte says which route the others are for.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace agent;
  if (size == 0) return 0;
  const std::string text(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0]) {
    case 'e':
      look(epoch_body(text), [](const KnownEpoch&) {});
      break;
    case 'l':
      look(hint_body(text), [](const HintBody& body) { (void)authority::record_of(body.record); });
      break;
    case 's':
      look(switch_body(text), [](const SwitchBody& body) {
        demand(!body.reason.empty());
        const auto again = switch_body(dump(json_of(body)));
        demand(again && *again == body);
      });
      break;
    case 'a':
      look(approval_body(text), [](const ApprovalBody& body) { demand(!body.reason.empty()); });
      break;
    case 'q':
      look(adopt_body(text), [](const AdoptBody& body) {
        demand(!body.reason.empty() && (body.owner.empty() || !body.residency.empty()));
      });
      break;
    case 'g':
      look(glass_body(text), [](const GlassBody& body) {
        for (const auto& [site, words] : body.attest) demand(!words.empty());
      });
      break;
    case 'r':
      look(rows_body(text), [](const RowsBody& body) {
        demand(body.bits >= 0 && body.split >= 0 && body.bits + body.split <= 24);
        for (const auto part : body.parts) demand(std::uint64_t{part} >> body.bits == 0);
      });
      look(repair_body(text), [](bool) {});
      break;
    case 'c':
      look(session_body(text), [](const std::string&) {});
      break;
    case 'd':
      look(drill_body(text), [](const DrillNews& news) {
        const auto book = told({}, news);
        for (const auto& row : json_of(book, wall_now())) demand(!row["drill"].get<std::string>().empty());
        demand(told(book, news) == book);
      });
      break;
    default:
      break;
  }
  return 0;
}
