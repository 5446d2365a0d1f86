// Base64 as etcd's JSON gateway wants keys and values: standard alphabet, padded.
#pragma once
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace domicile::etcd {

std::string to_base64(std::string_view bytes);
Result<std::string> from_base64(std::string_view text);  // `corrupt` when it is none

}  // namespace domicile::etcd
