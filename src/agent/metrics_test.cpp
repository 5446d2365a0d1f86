#include "agent/metrics.hpp"

#include <gtest/gtest.h>

#include "core/topology/parse.hpp"

namespace domicile::agent {
namespace {

constexpr const char* kTopology = R"(domicile: 1
regions:
  us-1: {jurisdiction: US}
  us-2: {jurisdiction: US}
voters: {us-3: {}}
residencies:
  directory: {home: us-1, standby: [us-2], holds: {US: full}}
  us: {home: us-1, standby: [us-2], holds: {US: full}}
data:
  app.orders: {personal: [name], shared: [id]}
)";

// Whatever the quorum, a peer or a table says: a label is a name of the topology's or a word of ours.
TEST(Metrics, NoLabelHoldsWhatTheTopologyDoesNotDeclare) {
  const std::string personal = "erika@example.com";
  const auto topology = topology::load(kTopology, "topology.yaml").value();
  Published<QuorumSeen> quorum;
  Published<MarkersSeen> markers;
  Published<CopiesSeen> copies;
  Published<GatewaySeen> gateway;
  Published<GateSeen> gate;
  Published<DriftSeen> drift;
  Published<StandbysSeen> standbys;
  Published<ResidencySeen> us, foreign;
  QuorumSeen seen;
  seen.sent_at = monotonic_now();
  seen.trouble = personal;
  seen.observed.lives["us-2"] = {};
  seen.observed.lives[personal] = {};
  seen.leases["us"] = {};
  seen.leases[personal] = {};
  quorum.set(seen);
  markers.set({.trouble = personal});
  copies.set({{personal, {.source = personal, .lag = kSecond}}, {"us", {.source = "us-2", .lag = kSecond}}});
  drift.set({.at = monotonic_now(),
             .drift = {{personal, personal, personal}},
             .schema_differs = {{personal, personal}, {"us", personal}}});
  standbys.set({{personal, {.waits_for = personal, .why = personal, .stuck = personal}}, {"us", {}}});
  GateSeen gate_seen;
  gate_seen.at = monotonic_now();
  gate_seen.trouble = personal;
  gate_seen.policy = personal;
  gate_seen.links = {{.link = personal, .residency = personal, .to = personal, .held = personal, .lag = kSecond},
                     {.link = "domicile_us_us_1_us_2", .residency = "us", .to = "us-2", .held = personal}};
  gate_seen.transfers = {{{"link", personal}, {"table", personal}, {"form", personal}, {"rows", 1}, {"bytes", 2}},
                         {{"link", personal}, {"table", "domicile." + personal}, {"form", personal}, {"rows", 1}},
                         {{"link", "domicile_us_us_1_us_2"}, {"table", "domicile.host"}, {"form", "full"}, {"rows", 3}},
                         {{"link", "domicile_us_us_1_us_2"}, {"table", "app.orders"}, {"form", "full"}, {"rows", 7}}};
  gate.set(gate_seen);
  authority::Record record{.owner = "us-1", .epoch = 3, .mode = authority::Mode::serving, .switch_id = personal};
  us.set({.record = {{record, ""}}, .why = personal, .distrusted = personal});
  record.owner = personal;
  foreign.set({.record = {{record, ""}}});
  const auto text = render_metrics({"us-1",
                                    &topology,
                                    &quorum,
                                    &markers,
                                    &copies,
                                    &gateway,
                                    &gate,
                                    &drift,
                                    &standbys,
                                    {{"us", &us}, {personal, &foreign}},
                                    ""});
  EXPECT_EQ(text.find("erika"), std::string::npos) << text;
  EXPECT_NE(text.find(R"(domicile_owner{region="us-1",mode="serving",owner="us-1",residency="us"} 1)"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find(R"(domicile_life_age_seconds{region="us-1",peer="us-2"})"), std::string::npos) << text;
  EXPECT_NE(text.find(R"(domicile_life_age_seconds{region="us-1",peer="unknown"})"), std::string::npos) << text;
  EXPECT_NE(text.find(R"(domicile_gate_link_held{region="us-1",link="domicile_us_us_1_us_2"} 1)"), std::string::npos)
      << text;
  EXPECT_NE(text.find(R"(domicile_gate_policy_same{region="us-1"} 0)"), std::string::npos) << text;
  EXPECT_NE(
      text.find(
          R"(domicile_transferred_rows{region="us-1",form="full",link="domicile_us_us_1_us_2",table="app.orders"} 7)"),
      std::string::npos)
      << text;
  EXPECT_NE(text.find(R"(domicile_standby_confirms{region="us-1",residency="us"} 1)"), std::string::npos) << text;
  EXPECT_NE(text.find(R"(domicile_drift{region="us-1"} 1)"), std::string::npos) << text;
}

}  // namespace
}  // namespace domicile::agent
