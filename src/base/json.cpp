#include "base/json.hpp"

namespace domicile {

Result<Json> parse_json(std::string_view text, std::string_view what_it_is) {
  Json value = Json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
  if (value.is_discarded())
    return fail(Kind::corrupt, fmt::format("{} is no valid JSON ({} bytes)", what_it_is, text.size()));
  return value;
}

std::string dump(const Json& value) { return value.dump(-1, ' ', false, Json::error_handler_t::replace); }

}  // namespace domicile
