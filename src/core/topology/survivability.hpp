// What becomes of each residency when a region, or a part of the quorum, is lost.
#pragma once
#include <string>
#include <vector>

#include "core/topology/topology.hpp"

namespace domicile::topology {

struct Fate {
  enum class Kind {
    serve,        // nothing happens to it
    switch_over,  // served again after a switch to `to`
    outage,       // down until the region is back: by law, or because nobody named a standby, see `could`
    writes_stop,  // no majority: writes stop when leases end, and nobody can switch
  };
  std::string residency;
  std::string lost;  // a region or voter; kMinority, kMajority
  Kind kind = Kind::serve;
  std::string to = {};
  bool asks = false;                    // the switch waits for a person
  std::vector<std::string> could = {};  // of an outage: regions that hold it in full and might be standbys
  bool writes_wait = false;             // rpo 0 and no standby is left: writes wait for one
  bool operator==(const Fate&) const = default;
};

inline constexpr std::string_view kMinority = "quorum minority";
inline constexpr std::string_view kMajority = "quorum majority";

// Regions other than its home that hold the residency in full, so that the law lets them take over. An outage is by law
// where there are none.
std::vector<std::string> lawful_standbys(const Topology& topology, const Residency& residency);
std::string_view name_of(Fate::Kind kind);
std::string sentence(const Fate& fate);
// What can be lost: regions and voters by name, then minority and majority of the quorum.
std::vector<std::string> losses_of(const Topology& topology);
// Each residency (by name) × each loss. Every residency is owned by its home when the loss comes.
std::vector<Fate> survivability(const Topology& topology);

}  // namespace domicile::topology
