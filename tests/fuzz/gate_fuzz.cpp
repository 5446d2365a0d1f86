// What a peer and a server write to the gate. The first byte chooses whose words the rest is.
#include "gate/protocol/check.hpp"
#include "gate/protocol/dialogue.hpp"
#include "gate/protocol/feedback.hpp"
#include "gate/protocol/rows.hpp"

using namespace domicile::gate;

namespace {

const PeerRule kPeer{"eu-central-1", "domicile_link_eu_central_1", "app", {"domicile_us_us_east_1_eu_central_1"}};
const LinkRule kLink{"domicile_us_us_east_1_eu_central_1",
                     "us",
                     {{"app", "orders", "residency", {"residency", "tenant_id", "id", "amount"}}}};

void peer(std::string_view bytes) {
  if (const auto first = take_first(bytes); first && *first) (void)judge_startup(kPeer, **first);
  while (true) {
    const auto frame = take_frame(bytes, 8192);
    if (!frame || !*frame) return;
    (void)judge_message((*frame)->type, false);
    const auto verdict = judge_statement(kPeer, (*frame)->body);
    // A start is one of the peer's links, whatever the words around it.
    if (const auto* statement = std::get_if<Statement>(&verdict))
      if (statement->kind == Statement::Kind::start && statement->link != kPeer.links[0]) __builtin_trap();
    Feedback feedback;
    if (const auto update = status_update((*frame)->body); update && feedback.clamped(*update).flushed != 0)
      __builtin_trap();
  }
}

// Frames of two bytes' length each, so that one input holds a whole transaction.
void server(std::string_view bytes) {
  Check check(kLink);
  while (bytes.size() > 2) {
    const std::size_t size = std::min<std::size_t>(static_cast<unsigned char>(bytes[0]), bytes.size() - 1);
    if (check.look(bytes.substr(1, size))) return;
    bytes.remove_prefix(1 + size);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] == 'p') peer(bytes);
  if (data[0] == 's') server(bytes);
  if (data[0] == 'w') (void)server_data(bytes);
  if (data[0] == 'r') (void)judge_rows(kLink.residency, kLink.tables[0], bytes);
  return 0;
}
