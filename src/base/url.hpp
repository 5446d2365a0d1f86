#pragma once
#include <string>
#include <string_view>

namespace domicile {

// What may stand in a URL's query for `text`.
std::string url_encoded(std::string_view text);

}  // namespace domicile
