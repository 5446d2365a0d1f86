#include "prove/self_test.hpp"

#include <algorithm>

namespace domicile::prove {

std::size_t SelfTest::planted() const { return static_cast<std::size_t>(std::ranges::count_if(leaks, &Leak::planted)); }

std::size_t SelfTest::found() const { return static_cast<std::size_t>(std::ranges::count_if(leaks, &Leak::found)); }

bool SelfTest::held() const {
  return !leaks.empty() && planted() == leaks.size() && found() == leaks.size() && blind_spots.empty() &&
         phantoms.empty();
}

Result<SelfTest> self_test(const drill::Field&, const drill::Talk&) { return fail(Kind::unavailable, "not there yet"); }

}  // namespace domicile::prove
