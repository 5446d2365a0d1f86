// The topology: which regions there are, which residency may live where, and in which form. A value that parse.hpp has
// checked whole; whoever holds a Topology may rely on every rule that docs/reference/topology.md states.
#pragma once
#include <chrono>
#include <compare>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"

namespace domicile::topology {

// A checked name of one kind, so that a region is never taken for a residency by accident when it is stored. Reads as
// a string everywhere, because engines and records speak strings.
template <class Kind>
class Name {
 public:
  // Empty when `text` is no lawful name of this kind.
  static std::optional<Name> of(std::string_view text) {
    if (!Kind::valid(text)) return std::nullopt;
    return Name(std::string(text));
  }
  const std::string& str() const { return text_; }
  operator const std::string&() const { return text_; }
  auto operator<=>(const Name&) const = default;
  bool operator==(const Name&) const = default;
  friend bool operator==(const Name& name, std::string_view text) { return name.text_ == text; }

 private:
  explicit Name(std::string text) : text_(std::move(text)) {}
  std::string text_;
};

struct SiteKind {  // [a-z][a-z0-9-]*, at most 32 bytes, no '-' at its end and no two in a row
  static bool valid(std::string_view text);
};
struct ResidencyKind {  // the same, and none of kReserved
  static bool valid(std::string_view text);
};
struct JurisdictionKind {  // [A-Z][A-Z0-9-]*, at most 16 bytes
  static bool valid(std::string_view text);
};
struct IdentifierKind {  // [a-z_][a-z0-9_]*, at most 63 bytes: what PostgreSQL keeps without quotes
  static bool valid(std::string_view text);
};

using RegionName = Name<SiteKind>;
using ResidencyName = Name<ResidencyKind>;
using Jurisdiction = Name<JurisdictionKind>;
using Identifier = Name<IdentifierKind>;

inline constexpr std::string_view kDirectory = "directory";  // the residency of the tenant directory; always present

// How much of a row may be held somewhere, least first.
enum class Form {
  none,
  reduced,  // every column declared personal is left out
  full,
};
enum class Failover { automatic, approve };
enum class Failback { manual, automatic };
enum class Reapply { nothing, inserts };
enum class Reads { fresh, stale };  // what the gateway does with reads after the lease's end
// Of a residency with rpo 0: what its owner does when no standby confirms.
enum class WithoutStandby {
  stop,   // writes wait
  go_on,  // they are served, and the quorum's record says that no standby has them
};

std::string_view name_of(Form form);
std::string_view name_of(Failover failover);
std::string_view name_of(Failback failback);
std::string_view name_of(Reapply reapply);
std::string_view name_of(Reads reads);
std::string_view name_of(WithoutStandby without);

using Date = std::chrono::year_month_day;
std::optional<Date> date_of(std::string_view text);  // 2026-01-31
std::string date_text(Date date);
Date date_at(Micros wall);  // UTC

struct Region {
  RegionName name;
  Jurisdiction jurisdiction;
  bool operator==(const Region&) const = default;
};

struct Residency {
  ResidencyName name;
  RegionName home;
  std::vector<RegionName> standby;     // lawful targets (form full), in the order of preference; never the home
  std::map<Jurisdiction, Form> holds;  // a jurisdiction that is not here holds nothing
  Micros rpo = 10 * kSecond;           // known lag up to which an automatic switch needs no person; 0: commits wait
  Failover failover = Failover::automatic;
  Micros calm = 600 * kSecond;  // at most one automatic switch in this time
  Reads reads = Reads::fresh;
  Failback failback = Failback::manual;
  Micros quiet = 600 * kSecond;        // how long home must have been fit before an automatic failback
  Reapply reapply = Reapply::nothing;  // salvage that is written at the owner without a person
  WithoutStandby without_standby = WithoutStandby::stop;  // with rpo 0
  bool operator==(const Residency&) const = default;
};

struct Lease {
  Micros ttl = 5 * kSecond, beat = kSecond, margin = 500 * kMillisecond, patience = 10 * kSecond;
  bool operator==(const Lease&) const = default;
};

inline constexpr Micros kElection = 1'000 * kMillisecond;  // etcd's election timeout as we set it

struct Table {
  Identifier schema, name;
  Identifier tenant, residency;              // columns; both reach every form
  std::vector<Identifier> personal, shared;  // disjoint, and without the two above
  std::vector<Identifier> globally_unique;   // unique constraints without residency that somebody vouches for
  std::string qualified() const { return schema.str() + "." + name.str(); }
  bool operator==(const Table&) const = default;
};

// Somebody signed that the loss of a region takes this residency down until the region is back.
struct Accept {
  ResidencyName residency;
  std::string by, reason;
  Date until;  // its last day
  bool operator==(const Accept&) const = default;
};

// What may lie in a database beside the mapped tables and yet hold tenants' rows, or let them out.
enum class ObjectKind {
  table,
  foreign_table,
  foreign_server,
  extension,
  view,
  materialized_view,
  function,
  sequence,
  large_objects,
  slot,
};
std::string_view name_of(ObjectKind kind);  // "materialized view"
std::optional<ObjectKind> object_kind_of(std::string_view text);

// Somebody signed that this object may be there although it could carry rows past the data map.
struct AcceptedObject {
  std::string object;  // as DOM-P findings name it: app.export(text)
  ObjectKind kind;
  std::string by, reason;
  Date until;  // its last day
  bool operator==(const AcceptedObject&) const = default;
};

struct Topology {
  Lease lease;
  std::vector<Region> regions;
  std::vector<RegionName> voters;      // sites with a quorum member and no tenant data
  std::vector<Residency> residencies;  // `directory` among them
  std::vector<Table> tables;           // sorted by qualified name
  std::vector<Accept> accepted;
  std::vector<AcceptedObject> accepted_objects = {};
  bool operator==(const Topology&) const = default;
};

// Null where there is none of that name. Pointers into `topology`.
const Region* region_of(const Topology& topology, std::string_view name);
const Residency* residency_of(const Topology& topology, std::string_view name);
const Table* table_of(const Topology& topology, std::string_view qualified);
// domicile_<residency>_<from>_<to>, '-' as '_'.
std::string link_name(std::string_view residency, std::string_view from, std::string_view to);
const Residency& directory_of(const Topology& topology);

// What region `region` may hold of `residency`. None for a voter or an unknown region.
Form form_at(const Topology& topology, const Residency& residency, std::string_view region);
Form form_in(const Residency& residency, const Jurisdiction& jurisdiction);
// Home and standbys, home first: everybody who may ever own it.
std::vector<RegionName> owners_of(const Residency& residency);
bool may_own(const Residency& residency, std::string_view region);
// Regions and voters, sorted: everybody with a vote in the quorum.
std::vector<RegionName> sites_of(const Topology& topology);

}  // namespace domicile::topology
