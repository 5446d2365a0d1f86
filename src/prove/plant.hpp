// Canaries where they are lawful: orders of the residency's own tenants, written by clients at its home.
#pragma once
#include <map>

#include "drill/drills.hpp"
#include "prove/attempt.hpp"

namespace domicile::prove {

// One order for each attempt, by its id: through the gateway of the residency's owner, as any client writes; the value
// is its customer's name and address, and the note of its one item. Returns once each of them can be read at home in
// full, and lies reduced at `forbidden`, where the form lets something in.
Result<std::map<std::string, Target>> plant(const drill::Field& field, const std::string& residency,
                                            const std::string& forbidden, const std::vector<Attempt>& attempts,
                                            const drill::Talk& talk);

// {id: {canary, order, tenant, host}}; the values of the canaries are in it.
Json json_of(const std::map<std::string, Target>& targets);
Result<std::map<std::string, Target>> targets_of(const Json& json);

std::string fresh_uuid();

}  // namespace domicile::prove
