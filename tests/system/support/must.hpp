// What a test cannot go on without: throws, and unwinding ends what it started.
#pragma once
#include <stdexcept>

#include "base/result.hpp"

namespace domicile::test {

template <class T>
T must(Result<T> result) {
  if (!result) throw std::runtime_error(one_line(result.error()));
  if constexpr (!std::is_void_v<T>) return *std::move(result);
}

}  // namespace domicile::test
