// Rows that another region's agent sends as COPY's text: whatever comes is refused, or is written again as it was read.
#include <cstdint>
#include <cstdlib>

#include "engines/postgres/copy_text.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view line(reinterpret_cast<const char*>(data), size);
  if (line.find('\n') != std::string_view::npos) return 0;  // whoever reads has split lines before
  const auto fields = domicile::postgres::copy_fields(line);
  if (!fields) return 0;
  auto again = domicile::postgres::copy_line(*fields);
  if (again.empty() || again.back() != '\n' || again.find('\n') + 1 != again.size()) std::abort();
  again.pop_back();
  const auto read = domicile::postgres::copy_fields(again);
  if (!read || *read != *fields) std::abort();
  return 0;
}
