#include "engines/postgres/conninfo.hpp"

#include <libpq-fe.h>

#include <memory>

namespace domicile::postgres {

Result<std::map<std::string, std::string>> settings_of(const std::string& conninfo) {
  char* words = nullptr;
  const std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)> options(PQconninfoParse(conninfo.c_str(), &words),
                                                                             &PQconninfoFree);
  const std::unique_ptr<char, decltype(&PQfreemem)> owned(words, &PQfreemem);
  // libpq's words quote the string, in which a password may stand.
  if (!options) return fail(Kind::invalid_input, "no connection string of PostgreSQL");
  std::map<std::string, std::string> out;
  for (const auto* option = options.get(); option->keyword != nullptr; ++option)
    if (option->val != nullptr) out[option->keyword] = option->val;
  return out;
}

}  // namespace domicile::postgres
