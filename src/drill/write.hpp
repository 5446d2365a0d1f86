// One write of a load client and what came of it.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"

namespace domicile::drill {

enum class Outcome {
  acknowledged,  // 2xx, or 409: that very id is there
  refused,       // surely not written: another 4xx, or nobody took it before the deadline
  unknown,       // sent, and no answer that tells: neither acknowledged nor lost
};

struct Write {
  std::string id;            // the marker: this write's order id
  std::uint32_t client = 0;  // index into LoadSpec::clients
  Micros intended = 0;       // wall clock at which it fell due, whether or not it could be sent then
  Micros done = 0;           // wall clock of its outcome
  Outcome outcome = Outcome::unknown;
  int status = 0;  // of the last answer; 0: none
  int tries = 0;   // gateways that were asked
  bool operator==(const Write&) const = default;
};

// One line per write, for clients that run in another process.
std::string to_text(const std::vector<Write>& writes);
Result<std::vector<Write>> writes_of(const std::string& text);

}  // namespace domicile::drill
