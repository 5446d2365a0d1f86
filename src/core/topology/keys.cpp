#include "core/topology/keys.hpp"

#include <array>

namespace domicile::topology {
namespace {

using O = Object;
using T = Type;

constexpr std::array kKeys = {
    Key{O::topology, "domicile", T::version, true, "", "The version of this format."},
    Key{O::topology, "lease", T::object, false, "", "For how long a sign of life entitles a region to write.",
        O::lease},
    Key{O::topology, "regions", T::object, true, "", "The regions by name: deployable sites that may hold data.",
        O::regions},
    Key{O::topology, "voters", T::object, false, "",
        "Sites with a member of the quorum and no tenant data. Regions and voters must be at least three sites.",
        O::voters},
    Key{O::topology, "residencies", T::object, true, "",
        "The residencies by name. `directory` (tenants and hosts) must be one of them, full everywhere.",
        O::residencies},
    Key{O::topology, "data", T::object, false, "", "The tenants' tables by `schema.table`.", O::data},
    Key{O::topology, "accept", T::objects, false, "", "Outages that somebody accepted in writing.", O::accept},
    Key{O::topology, "accept_objects", T::objects, false, "",
        "Objects of the database that somebody accepted in writing although they could carry rows past `data`.",
        O::accept_objects},

    Key{O::lease, "ttl", T::duration, false, "5s", "How long a beat entitles its region to write."},
    Key{O::lease, "beat", T::duration, false, "1s", "How often a region beats."},
    Key{O::lease, "margin", T::duration, false, "500ms", "What is kept back for clocks that run at different rates."},
    Key{O::lease, "patience", T::duration, false, "10s",
        "After how long an owner whose database does not commit gives its residencies up."},

    Key{O::regions, "<region>", T::object, false, "", "A region.", O::region, T::site},
    Key{O::region, "jurisdiction", T::jurisdiction, true, "", "Whose law the region is under, such as `EU`."},
    Key{O::voters, "<voter>", T::object, false, "", "A voter; it has no settings: `{}`.", O::voter, T::site},

    Key{O::residencies, "<residency>", T::object, false, "", "A residency.", O::residency, T::residency},
    Key{O::residency, "home", T::site, true, "", "The region that owns it normally."},
    Key{O::residency, "standby", T::sites, false, "[]",
        "The regions that may take over, in the order of preference. Each must hold it in full."},
    Key{O::residency, "holds", T::object, true, "",
        "What each jurisdiction gets. A jurisdiction that is not named gets nothing.", O::holds},
    Key{O::residency, "rpo", T::duration, false, "10s",
        "The known lag up to which a failover needs no person. `0`: each commit waits until a standby has it."},
    Key{O::residency, "without_standby", T::without_standby, false, "stop",
        "With `rpo: 0`, while no standby confirms: writes wait (`stop`), or are served and the next failover asks "
        "(`go_on`)."},
    Key{O::residency, "failover", T::failover, false, "automatic",
        "`automatic` switches by itself within `rpo` and asks above it; `approve` always asks."},
    Key{O::residency, "calm", T::duration, false, "10m", "At most one automatic switch in this time. `0`: no limit."},
    Key{O::residency, "reads", T::reads, false, "fresh",
        "After the lease's end reads are refused (`fresh`) or served from what is there (`stale`)."},
    Key{O::residency, "failback", T::failback, false, "manual",
        "After the loss of its home: `manual` stays away until a person switches it back; `automatic` goes home by a "
        "planned switch once home could own it for all of `quiet` and keeps no undecided salvage. Never after a switch "
        "that a person ordered."},
    Key{O::residency, "quiet", T::duration, false, "10m",
        "How long home must have been fit without a doubt before an automatic failback."},
    Key{O::residency, "reapply", T::reapply, false, "nothing",
        "Which salvaged rows are written at the owner without a person: `nothing`, or `inserts` that are missing there "
        "and conflict with nothing."},
    Key{O::holds, "<jurisdiction>", T::form, false, "", "`full`, `reduced` (without every personal column) or `none`.",
        O::topology, T::jurisdiction},

    Key{O::data, "<schema.table>", T::object, false, "", "A table of tenants' rows.", O::table, T::table},
    Key{O::table, "tenant", T::column, false, "tenant_id", "The column with the tenant's id. Reaches every form."},
    Key{O::table, "residency", T::column, false, "residency", "The column with the residency. Reaches every form."},
    Key{O::table, "personal", T::columns, false, "[]", "The columns that only `full` holds."},
    Key{O::table, "shared", T::columns, false, "[]", "The columns that `reduced` holds as well."},
    Key{O::table, "globally_unique", T::columns, false, "[]",
        "Unique constraints without the residency whose values are unique in all regions, as you vouch."},

    Key{O::accept, "<residency>", T::outage, false, "", "`outage`: this residency may be down with its region.",
        O::topology, T::residency},
    Key{O::accept, "by", T::text, true, "", "Who accepted it."},
    Key{O::accept, "reason", T::text, true, "", "Why."},
    Key{O::accept, "until", T::date, true, "", "The last day on which this holds."},

    Key{O::accept_objects, "<object>", T::object_kind, false, "",
        "What it is. The object's name stands as `domicile plan` names it: `app.totals`, `\"app.export(text, date)\"`.",
        O::topology, T::named},
    Key{O::accept_objects, "by", T::text, true, "", "Who accepted it."},
    Key{O::accept_objects, "reason", T::text, true, "", "Why no row leaves by it, or why it may."},
    Key{O::accept_objects, "until", T::date, true, "", "The last day on which this holds."},
};

}  // namespace

std::span<const Key> all_keys() { return kKeys; }

const Key* key_of(Object in, std::string_view name) {
  const Key* any = nullptr;
  for (const Key& key : kKeys) {
    if (key.in != in) continue;
    if (key.any()) any = &key;
    if (key.name == name) return &key;
  }
  return any;
}

std::string_view describe(Type type) {
  switch (type) {
    case T::version:
      return "1";
    case T::duration:
      return "a duration such as 500ms, 5s, 10m or 1h";
    case T::text:
      return "a text that is not empty";
    case T::date:
      return "a date such as 2027-12-31";
    case T::site:
      return "the name of a region";
    case T::residency:
      return "the name of a residency";
    case T::sites:
      return "a list of regions";
    case T::jurisdiction:
      return "a jurisdiction in capitals, such as EU";
    case T::form:
      return "full, reduced or none";
    case T::failover:
      return "automatic or approve";
    case T::failback:
      return "manual or automatic";
    case T::reapply:
      return "nothing or inserts";
    case T::reads:
      return "fresh or stale";
    case T::without_standby:
      return "stop or go_on";
    case T::outage:
      return "outage";
    case T::object_kind:
      return "table, foreign table, foreign server, extension, view, materialized view, function, sequence, large "
             "objects or slot";
    case T::named:
      return "the name of an object";
    case T::column:
      return "the name of a column";
    case T::columns:
      return "a list of names";
    case T::table:
      return "a table as schema.table";
    case T::object:
      return "a map";
    case T::objects:
      return "a map or a list of maps";
  }
  return "";
}

}  // namespace domicile::topology
