// SHA-256 as 64 hexadecimal digits, by OpenSSL.
#pragma once
#include <string>
#include <string_view>

namespace domicile {

std::string sha256_hex(std::string_view text);

}  // namespace domicile
