// What the person who runs the tests says by the environment.
#pragma once
#include <cstdint>
#include <cstdlib>

namespace domicile::sim {

inline std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

// `much` in ./test long, `some` else.
inline std::uint64_t by_length(std::uint64_t some, std::uint64_t much) {
  return std::getenv("DOMICILE_LONG") == nullptr ? some : much;
}

}  // namespace domicile::sim
