// A tenant that is moved between residencies, there and back. None yet: `domicile tenant move` brings them.
#include "prove/attempt.hpp"

namespace domicile::prove {

std::vector<Attempt> tenant_move_attempts() { return {}; }

}  // namespace domicile::prove
