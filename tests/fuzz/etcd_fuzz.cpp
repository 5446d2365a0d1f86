// Any bytes as etcd's answer: an error or values, never a crash; and a write that failed is never called harmless when
// nobody understood why.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "engines/etcd/base64.hpp"
#include "engines/etcd/etcd_quorum.hpp"
#include "engines/etcd/status.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace domicile;
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto json = parse_json(text, "etcd's answer");
  const auto error = etcd::error_of(500, text, etcd::Effect::writes);
  if (!json && error.kind != Kind::unknown_outcome && error.kind != Kind::refused) std::abort();
  if (const auto bytes = etcd::from_base64(text))
    if (const auto again = etcd::from_base64(etcd::to_base64(*bytes)); !again || *again != *bytes) std::abort();
  (void)etcd::quota_of(text);
  (void)etcd::view_of({{"domicile/authority/eu", text}, {"domicile/beat/eu-central-1", text}});
  if (!json) return 0;
  if (const auto values = etcd::values_of(*json)) (void)etcd::view_of(*values);
  (void)etcd::outcome_of(*json);
  (void)etcd::members_of(*json);
  (void)etcd::alarms_of(*json);
  etcd::EndpointStatus status;
  (void)etcd::fill(status, *json);
  return 0;
}
