#include "engines/postgres/copy_text.hpp"

namespace domicile::postgres {

namespace {

constexpr std::string_view kPlain = "\b\f\n\r\t\v\\", kEscaped = "bfnrtv\\";

void append_escaped(std::string& line, std::string_view value) {
  for (const char c : value) {
    const auto at = kPlain.find(c);
    if (at == std::string_view::npos) {
      line += c;
    } else {
      line += '\\';
      line += kEscaped[at];
    }
  }
}

Result<std::string> unescaped(std::string_view text) {
  std::string value;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      value += text[i];
      continue;
    }
    const auto at = i + 1 < text.size() ? kEscaped.find(text[i + 1]) : std::string_view::npos;
    if (at == std::string_view::npos) return fail(Kind::corrupt, "a row has an escape that COPY does not write");
    value += kPlain[at];
    ++i;
  }
  return value;
}

}  // namespace

std::string copy_line(const CopyFields& fields) {
  std::string line;
  for (std::size_t i = 0; i < fields.size(); ++i) {
    if (i != 0) line += '\t';
    if (fields[i])
      append_escaped(line, *fields[i]);
    else
      line += "\\N";
  }
  return line + '\n';
}

Result<CopyFields> copy_fields(std::string_view line) {
  CopyFields fields;
  while (true) {
    const auto end = line.find('\t');
    const auto field = line.substr(0, end);
    if (field == "\\N")
      fields.emplace_back();
    else
      fields.emplace_back(TRY(unescaped(field)));
    if (end == std::string_view::npos) return fields;
    line.remove_prefix(end + 1);
  }
}

}  // namespace domicile::postgres
