// Every problem that a topology file can have, with the code that people search for. Codes are never reused.
#pragma once
#include <string_view>

// code, name, summary
#define DOMICILE_TOPOLOGY_PROBLEMS(X)                                                                      \
  X("DOM-E001", syntax, "The file is no readable YAML.")                                                   \
  X("DOM-E002", shape, "A value has the wrong shape: a map, a list or a text was expected.")               \
  X("DOM-E003", alias, "Anchors and aliases are not allowed: a policy must say what it says.")             \
  X("DOM-E004", unknown_key, "A key that does not exist here.")                                            \
  X("DOM-E005", duplicate_key, "A key stands twice; one of them would silently win.")                      \
  X("DOM-E006", missing_key, "A key that is needed is missing.")                                           \
  X("DOM-E007", version, "The version of the format is not one that this program reads.")                  \
  X("DOM-E008", bad_name, "A name that does not follow the rules for its kind.")                           \
  X("DOM-E009", bad_duration, "No duration.")                                                              \
  X("DOM-E010", bad_value, "A value that is none of the allowed ones.")                                    \
  X("DOM-E011", unknown_region, "A region that the file does not declare.")                                \
  X("DOM-E012", home_is_standby, "The home stands among its own standbys.")                                \
  X("DOM-E013", repeated, "A list names something twice.")                                                 \
  X("DOM-E014", standby_not_full, "A standby lies in a jurisdiction that holds less than full.")           \
  X("DOM-E015", home_not_full, "The home lies in a jurisdiction that holds less than full.")               \
  X("DOM-E016", unknown_jurisdiction, "A jurisdiction in which no region lies.")                           \
  X("DOM-E017", few_sites, "Fewer than three sites vote: the loss of one would stop all writes.")          \
  X("DOM-E018", voter_is_region, "A site is both a region and a voter.")                                   \
  X("DOM-E019", lease_times, "Lease times under which the loss of one region would stop others.")          \
  X("DOM-E020", directory, "The residency `directory` is missing or not held in full everywhere.")         \
  X("DOM-E021", long_link_name, "A link's name would be longer than PostgreSQL's 63 bytes.")               \
  X("DOM-E022", same_link_name, "Two links would get the same name.")                                      \
  X("DOM-E023", personal_and_shared, "A column is declared both personal and shared.")                     \
  X("DOM-E024", key_column_listed, "The tenant or residency column is listed as personal or shared.")      \
  X("DOM-E025", bad_table, "A table is not written as schema.table, or is one of Domicile's own.")         \
  X("DOM-E026", outage_not_accepted, "The loss of a region is an outage that nobody accepted in writing.") \
  X("DOM-E027", acceptance_expired, "The acceptance of an outage has expired.")                            \
  X("DOM-E028", idle_acceptance, "An acceptance of an outage that cannot happen.")                         \
  X("DOM-E029", bad_date, "No date.")                                                                      \
  X("DOM-E030", nothing_declared, "No region is declared.")                                                \
  X("DOM-E031", not_one_document, "More than one document, or more than 1 MiB.")                           \
  X("DOM-E032", empty_text, "A name or a reason that must say something is empty.")                        \
  X("DOM-E033", object_acceptance_expired, "The acceptance of an object has expired.")                     \
  X("DOM-E034", idle_object_acceptance, "An acceptance of an object that needs none.")                     \
  X("DOM-E035", no_standby_to_wait_for, "`rpo: 0` without a standby that commits could wait for.")         \
  X("DOM-E036", idle_without_standby, "`without_standby` where no commit waits.")

namespace domicile::topology {

enum class Code {
#define X(code, name, summary) name,
  DOMICILE_TOPOLOGY_PROBLEMS(X)
#undef X
};

constexpr std::string_view text_of(Code which) {
  switch (which) {
#define X(code, name, summary) \
  case Code::name:             \
    return code;
    DOMICILE_TOPOLOGY_PROBLEMS(X)
#undef X
  }
  return "";
}

}  // namespace domicile::topology
