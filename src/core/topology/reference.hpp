// What the table of keys says, for editors and for people.
#pragma once
#include <string>

namespace domicile::topology {

std::string json_schema();     // draft 2020-12
std::string reference_page();  // docs/reference/topology.md

}  // namespace domicile::topology
