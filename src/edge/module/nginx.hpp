// nginx's own headers, which are C: everything that touches them includes this file and nothing else of theirs.
#pragma once
extern "C" {
#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_http.h>
}
#include <string_view>

namespace domicile::edge {

inline std::string_view view(const ngx_str_t& text) { return {reinterpret_cast<const char*>(text.data), text.len}; }
inline u_char* bytes(const char* text) { return reinterpret_cast<u_char*>(const_cast<char*>(text)); }
template <std::size_t N>
constexpr ngx_str_t literal(const char (&text)[N]) {
  return {N - 1, reinterpret_cast<u_char*>(const_cast<char*>(text))};
}

}  // namespace domicile::edge
