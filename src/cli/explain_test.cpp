// What explain says and draws, word for word.
#include <gtest/gtest.h>

#include <functional>
#include <optional>
#include <set>
#include <sstream>

#include "base/file.hpp"
#include "base/http_server.hpp"
#include "base/temp_dir.hpp"
#include "cli/denial_words.hpp"
#include "cli/flow_view.hpp"
#include "cli/places_view.hpp"
#include "cli/registry.hpp"
#include "core/snapshot/compile.hpp"
#include "core/snapshot/decision.hpp"
#include "core/topology/parse.hpp"

namespace domicile::cli {
namespace {

const char* const kTopology = R"(domicile: 1
regions:
  us-east-1: {jurisdiction: US}
  us-west-2: {jurisdiction: US}
  eu-central-1: {jurisdiction: EU}
  ap-south-1: {jurisdiction: IN}
voters: {eu-north-1: {}}
residencies:
  directory: {home: us-east-1, standby: [eu-central-1], holds: {US: full, EU: full, IN: full}}
  us: {home: us-east-1, standby: [us-west-2], holds: {US: full, EU: reduced}}
data:
  app.orders: {tenant: tenant, residency: residency, personal: [email], shared: [id, amount]}
)";

topology::Topology topology_here() {
  auto topology = topology::load(kTopology, "topology.yaml");
  EXPECT_TRUE(topology) << render(topology.error());
  return *topology;
}

const std::string kLink = "domicile_us_us_east_1_eu_central_1";

// What a well-behaved site has seen.
Json site(const std::string& region, const std::string& policy) {
  const bool home = region == "us-east-1";
  const auto residency = [&](const char* name) {
    Json out{{"residency", name}, {"owner", "us-east-1"}, {"epoch", 7}, {"mode", "serving"}};
    const bool none = region == "ap-south-1" && std::string(name) == "us";
    out["copy"] = {{"state", none ? "none" : home ? "owner" : "following"}, {"source", none ? "" : "us-east-1"}};
    out["lag_ms"] = home || none ? Json() : Json(210);
    if (!home && !none) out["link"] = {{"complete", true}, {"streaming", true}, {"trouble", ""}};
    return out;
  };
  Json out{{"region", region}, {"policy", policy}, {"residencies", {residency("directory"), residency("us")}}};
  out["gateway"] = {{"tenants", {{"written", 12}, {"obeyed", 12}}}, {"workers", 2}};
  out["database"] = {{"publications", Json::object()}, {"slots", Json::array()}};
  out["tenant"] = {{"rows", {{"us", 12}}}, {"salvage", Json::object()}, {"unnamed", 0}, {"move", nullptr}};
  if (!home) return out;
  const auto table = [](const char* name, Json columns, const char* filter) {
    return Json{{"table", name}, {"columns", std::move(columns)}, {"filter", filter}};
  };
  out["database"]["publications"][kLink] = {
      {"all_tables", false},
      {"publish", "insert, update, delete"},
      {"tables", Json::array({table("app.orders", {"amount", "id", "residency", "tenant"}, "(residency = 'us'::text)"),
                              table("domicile.marker", Json::array(), "(residency = 'us'::text)")})}};
  out["database"]["publications"]["domicile_salvage_us"] = {
      {"all_tables", false}, {"tables", Json::array({table("app.orders", Json::array(), "")})}};
  out["database"]["slots"] = {kLink, "domicile_us_us_east_1_us_west_2"};
  out["gate"] = {
      {"trouble", ""},
      {"links",
       Json::array({{{"link", kLink}, {"to", "eu-central-1"}, {"streams", true}, {"held", ""}, {"lag_ms", 210}},
                    {{"link", "domicile_us_us_east_1_us_west_2"}, {"streams", true}, {"held", ""}, {"lag_ms", 5}}})},
      {"transfers", Json::array({{{"link", kLink},
                                  {"table", "app.orders"},
                                  {"form", "reduced"},
                                  {"rows", 500},
                                  {"bytes", 12345},
                                  {"last_at_us", 1'795'804'200'000'000}}})}};
  return out;
}

Json world(const topology::Topology& topology) {
  Json out = Json::object();
  for (const auto& region : topology.regions)
    out[region.name.str()] = site(region.name.str(), residency::policy_hash(topology));
  return out;
}

FlowAnswer flow(const Json& observed, const std::string& to = "eu-central-1", const std::string& table = "app.orders",
                const std::string& from = "us-east-1", const Json& gate = Json()) {
  return flow_answer(topology_here(), {table, from, to}, site_of(observed, from), site_of(observed, to), gate);
}

TEST(ExplainFlow, SaysColumnsRulesLayersAndWhatWasSeen) {
  const auto topology = topology_here();
  const auto answer = flow(world(topology));
  EXPECT_FALSE(answer.differs());
  EXPECT_EQ(flow_text(answer, false), R"(app.orders: us-east-1 -> eu-central-1

residency us: reduced, by link domicile_us_us_east_1_eu_central_1
  columns
    + residency            residency
    + tenant               tenant
    + id                   shared
    + amount               shared
    - email                personal: residencies.us.holds.EU is reduced
  enforced by
      publication  domicile_us_us_east_1_eu_central_1: these columns, rows where (residency = 'us'::text); no TRUNCATE
      first rows   role domicile_link_eu_central_1, which cannot log in, by the view of domicile.outlet: the same columns and rows; then the gate
      gate         each row of the stream: table, columns, residency us; the first that does not fit cuts the link
      receiver     guard: rows from elsewhere only while us is not owned there (DM001), each tenant known as us (DM002); before that the law of the table: no personal value is stored (DM008)
  observed
    = publication  amount, id, residency, tenant
    = gate         streams, 210 ms behind
    = register     500 rows, 12345 bytes as reduced, last 2026-11-27T18:30:00.000Z
    = copy         following us-east-1, 210 ms behind

policy )" + residency::policy_hash(topology) +
                                          "\n");
}

std::string marked(const FlowAnswer& answer) {
  std::string out;
  const auto add = [&](const std::vector<FlowFact>& facts) {
    for (const auto& each : facts)
      if (each.mark != Mark::same) out += fmt::format("{} {}: {}\n", sign_of(each.mark), each.layer, each.text);
  };
  for (const auto& each : answer.flows) add(each.seen);
  add(answer.beside);
  return out;
}

TEST(ExplainFlow, WhatDiffersFromTheTopologyIsMarked) {
  const auto world_with = [](const std::function<void(Json & us, Json & eu)>& change) {
    Json all = world(topology_here());
    change(all["us-east-1"], all["eu-central-1"]);
    return marked(flow(all));
  };
  const auto orders = [](Json& us) -> Json& { return us["database"]["publications"][kLink]["tables"][0]; };
  EXPECT_EQ(world_with([](Json&, Json&) {}), "");
  EXPECT_EQ(world_with([&](Json& us, Json&) { orders(us)["columns"].push_back("email"); }),
            "~ publication: lets out too much: email\n");
  EXPECT_EQ(world_with([&](Json& us, Json&) {
              orders(us)["columns"] = {"id", "residency", "tenant"};
            }),
            "~ publication: does not let out: amount\n");
  EXPECT_EQ(world_with([&](Json& us, Json&) { orders(us)["columns"] = Json::array(); }),
            "~ publication: lets out every column\n");
  EXPECT_EQ(world_with([&](Json& us, Json&) { orders(us)["filter"] = ""; }), "~ publication: has no row filter\n");
  EXPECT_EQ(world_with([&](Json& us, Json&) { orders(us)["filter"] = "(true)"; }),
            "~ publication: has another row filter: (true)\n");
  EXPECT_EQ(world_with([](Json& us, Json&) { us["database"]["publications"][kLink]["publish"] = "insert, truncate"; }),
            "~ publication: publishes insert, truncate\n");
  EXPECT_EQ(world_with([](Json& us, Json&) { us["database"]["publications"].erase(kLink); }),
            "~ publication: is missing\n");
  EXPECT_EQ(world_with([](Json& us, Json&) {
              us["database"]["publications"]["mine"] = {{"all_tables", true}, {"tables", Json::array()}};
            }),
            "~ publication: mine has the table and is of no link; only the gate stops it\n");
  EXPECT_EQ(world_with([](Json& us, Json&) { us["gate"]["links"][0]["held"] = "column: email"; }),
            "~ gate: held by rule column: email\n");
  EXPECT_EQ(world_with([](Json& us, Json&) { us["gate"]["links"].erase(0); }),
            "~ gate: knows no such link: it runs with another topology\n");
  EXPECT_EQ(world_with([](Json& us, Json&) { us["gate"]["transfers"][0]["form"] = "full"; }),
            "~ register: 500 rows, 12345 bytes as full, last 2026-11-27T18:30:00.000Z\n");
  EXPECT_EQ(
      world_with([](Json& us, Json&) { us["gate"]["transfers"][0]["link"] = "domicile_old_us_east_1_eu_central_1"; }),
      "~ register: domicile_old_us_east_1_eu_central_1, no link any more: 500 rows, 12345 bytes as reduced, last "
      "2026-11-27T18:30:00.000Z\n");
  EXPECT_EQ(world_with([](Json&, Json& eu) { eu["residencies"][1]["copy"]["state"] = "resync"; }),
            "~ copy: resync us-east-1, 210 ms behind\n");
  EXPECT_EQ(world_with([](Json& us, Json& eu) {
              us = {{"unknown", "no answer"}};
              eu = Json();
            }),
            "? publication: no answer\n? gate: no answer\n? register: nobody has told it\n? copy: no agent has told\n");
  EXPECT_EQ(marked(flow(Json())),
            "? publication: no agent was asked (--agent SOCKET)\n? gate: no agent was asked (--agent SOCKET)\n"
            "? register: nobody has told it\n? copy: no agent was asked (--agent SOCKET)\n");
}

TEST(ExplainFlow, AGateThatIsAskedItselfTellsItsOwnColumns) {
  Json gate{{"links", Json::array({{{"link", kLink},
                                    {"streams", false},
                                    {"held", {{"rule", "column"}, {"what", "email"}}},
                                    {"stops_at", nullptr},
                                    {"progress", {{"lag_ms", 9}}},
                                    {"tables", {{"app.orders", {"residency", "tenant", "id", "amount", "email"}}}}}})},
            {"transfers", Json::array()}};
  EXPECT_EQ(marked(flow(world(topology_here()), "eu-central-1", "app.orders", "us-east-1", gate)),
            "~ gate: held by rule column: email\n~ gate: lets out too much: email\n");
}

TEST(ExplainFlow, NoLawfulFlowIsAnAnswerThatNamesTheRule) {
  const auto because = [](const std::string& from, const std::string& to, const std::string& table = "app.orders") {
    const auto answer = flow(Json(), to, table, from);
    return answer.flows.empty() ? std::string("not mapped") : answer.flows[0].because;
  };
  EXPECT_EQ(because("us-east-1", "ap-south-1"), "ap-south-1 may hold nothing of it: residencies.us.holds.IN");
  EXPECT_EQ(because("eu-central-1", "us-east-1"),
            "eu-central-1 may not own it, so nothing of it begins there: residencies.us.home, .standby");
  EXPECT_EQ(because("us-east-1", "eu-north-1"), "eu-north-1 is a voter, which holds no rows: voters.eu-north-1");
  EXPECT_EQ(because("us-east-1", "eu-central-1", "app.secrets"), "not mapped");
  EXPECT_EQ(because("us-east-1", "eu-central-1"), "");
  EXPECT_EQ(because("us-east-1", "ap-south-1", "domicile.tenant"), "");
  EXPECT_NE(flow_text(flow(Json(), "eu-central-1", "app.secrets"), false).find("not mapped"), std::string::npos);
}

TEST(ExplainFlow, ThePictureIsOfWhatWasSeen) {
  Json all = world(topology_here());
  all["us-east-1"]["database"]["publications"][kLink]["tables"][0]["columns"].push_back("email");
  all["eu-central-1"] = {{"unknown", "no answer"}};
  EXPECT_EQ(flow_mermaid(flow(all)), R"(flowchart LR
  n0["us-east-1"]:::same
  n1["eu-central-1"]:::same
  n2["publication domicile_us_us_east_1_eu_central_1<br/>~ lets out too much: email"]:::differs
  n3["gate<br/>streams, 210 ms behind"]:::same
  n4["copy of us<br/>? no answer"]:::unknown
  n0 -.->|"~ us"| n2
  n2 -.->|"~ app.orders"| n3
  n3 -->|"500 rows, 12345 bytes as reduced, last 2026-11-27T18:30:00.000Z"| n4
  n4 -.->|"? rows"| n1
  linkStyle 0 stroke:#c60,stroke-width:3px
  linkStyle 1 stroke:#c60,stroke-width:3px
  classDef same stroke:#080
  classDef differs stroke:#c60,stroke-width:3px
  classDef unknown stroke:#808,stroke-dasharray:4
  classDef configured stroke:#888
)");
}

TEST(ExplainTenant, EveryPlaceIsDrawn) {
  const auto topology = topology_here();
  Json all = world(topology);
  all["us-west-2"] = {{"unknown", "no answer"}};
  all["us-east-1"]["gate"]["links"][0]["held"] = "column: email";
  all["ap-south-1"]["policy"] = "0123456789abcdef";
  EXPECT_EQ(tree_text(places_of(topology, "acme", "us", all), false), R"(tenant acme, residency us
├─ us-east-1 (US): full
│  ├─ = owner, serving, epoch 7
│  ├─ rows, full
│  │  └─ app.orders: residency, tenant, id, amount, email
│  ├─ = directory row: owner, serving, epoch 7
│  ├─ = gateway: name and hosts in tenants.snap, generation 12; the name in its logs
│  ├─ = salvage publication domicile_salvage_us: every column, read by nobody but the gate's owner
│  └─ = log kept by slots: domicile_us_us_east_1_eu_central_1, domicile_us_us_east_1_us_west_2
├─ us-west-2 (US): full
│  ├─ ? not seen: no answer
│  ├─ rows, full
│  │  └─ app.orders: residency, tenant, id, amount, email
│  ├─ ? directory row: not seen: no answer
│  └─ ? gateway: not seen
├─ eu-central-1 (EU): reduced
│  ├─ = following us-east-1, 210 ms behind
│  │  └─ ~ by link domicile_us_us_east_1_eu_central_1: held by rule column: email
│  ├─ rows, reduced
│  │  └─ app.orders: residency, tenant, id, amount; not here: email
│  ├─ = directory row: following us-east-1, 210 ms behind
│  └─ = gateway: name and hosts in tenants.snap, generation 12; the name in its logs
├─ ap-south-1 (IN): no row
│  ├─ = nothing
│  ├─ = directory row: following us-east-1, 210 ms behind
│  ├─ = gateway: name and hosts in tenants.snap, generation 12; the name in its logs
│  └─ ~ works by another policy: 0123456789ab
└─ eu-north-1: a voter, no byte of it
)");
}

// The tenant's rows beside the copy of its residency.
TEST(ExplainTenant, WhatAMoveAndASalvageLeaveIsDrawn) {
  auto topology = topology::load(
      std::string(kTopology).replace(std::string(kTopology).find("data:"), 0,
                                     "  eu: {home: eu-central-1, standby: [us-west-2], holds: {EU: full, US: full}}\n"),
      "topology.yaml");
  ASSERT_TRUE(topology) << render(topology.error());
  const auto drawn = [&](const Json& tenant) {
    Json all = world(*topology);
    for (const char* region : {"us-east-1", "ap-south-1"}) all[region]["tenant"] = tenant;
    std::string lines;
    for (const auto& region : places_of(*topology, "acme", "us", all).below)
      if (region.text.starts_with("us-east-1") || region.text.starts_with("ap-south-1"))
        for (const auto& each : region.below)
          if (each.text.find("row") < 20 && !each.text.starts_with("rows,") && !each.text.starts_with("directory"))
            lines += fmt::format("{} {}\n", sign_of(each.mark), each.text);
    return lines;
  };
  const auto moving = [](const char* from, const char* to, const char* phase, Json rows) {
    return Json{{"rows", std::move(rows)}, {"move", {{"id", "m-1"}, {"from", from}, {"to", to}, {"phase", phase}}}};
  };
  EXPECT_EQ(drawn(moving("us", "eu", "copying", {{"us", 12}, {"eu", 7}})),
            "= 7 rows in eu, the copy: move m-1 is copying\n"
            "~ 7 rows in eu, the copy: move m-1 is copying, where nothing may be held\n");
  const auto first = [](const std::string& lines) { return lines.substr(0, lines.find('\n')); };
  EXPECT_EQ(first(drawn(moving("us", "eu", "aborting", {{"eu", 1}}))),
            "= 1 row in eu, still to be deleted: move m-1 is aborting");
  EXPECT_EQ(first(drawn(moving("eu", "us", "deleting", {{"us", 12}, {"eu", 7}}))),
            "= 7 rows in eu, still to be deleted: move m-1 is deleting");
  EXPECT_EQ(first(drawn(moving("us", "eu", "flipped", {{"us", 12}, {"eu", 12}}))),
            "= 12 rows in eu, where it lives: move m-1 is flipped");
  EXPECT_EQ(first(drawn({{"rows", {{"eu", 7}}}, {"move", nullptr}})), "~ 7 rows in eu, and no move says why");
  EXPECT_EQ(drawn({{"rows", Json::object()}, {"salvage", {{"us", 2}, {"eu", 1}}}, {"unnamed", 3}}),
            "= 2 rows of us kept in domicile.salvage\n= 1 row of eu kept in domicile.salvage\n"
            "? 3 rows in domicile.salvage, removed, of which nothing tells the tenant\n"
            "= 2 rows of us kept in domicile.salvage\n= 1 row of eu kept in domicile.salvage\n"
            "? 3 rows in domicile.salvage, removed, of which nothing tells the tenant\n");
  EXPECT_EQ(first(drawn({{"unknown", "no session"}})), "? moved and salvaged rows: not counted: no session");
  EXPECT_EQ(first(drawn(Json())), "? moved and salvaged rows: its agent does not tell");
  Json all = world(*topology);
  all["us-east-1"]["tenant"] = moving("us", "eu", "copying", {{"eu", 7}});
  EXPECT_NE(places_mermaid(*topology, "acme", "us", all).find("<br/>7 rows in eu, the copy"), std::string::npos);
}

TEST(ExplainTenant, ACopyWhereNothingMayBeIsMarked) {
  const auto topology = topology_here();
  Json all = world(topology);
  all["ap-south-1"]["residencies"][1]["copy"] = {{"state", "following"}, {"source", "us-east-1"}};
  all["eu-central-1"]["residencies"][1]["copy"]["state"] = "resync";
  all["eu-central-1"]["residencies"][1]["copy"]["why"] = "another timeline";
  const auto text = tree_text(places_of(topology, "acme", "us", all), false);
  EXPECT_NE(text.find("~ following us-east-1, where nothing may be held"), std::string::npos) << text;
  EXPECT_NE(text.find("~ resync us-east-1, 210 ms behind; another timeline"), std::string::npos) << text;
  EXPECT_EQ(places_mermaid(topology, "acme", "us", all), R"(flowchart LR
  n0["us-east-1<br/>acme of us<br/>owner, serving, epoch 7"]:::same
  n1["us-west-2<br/>full<br/>following us-east-1, 210 ms behind"]:::same
  n2["eu-central-1<br/>reduced<br/>resync us-east-1, 210 ms behind; another timeline"]:::differs
  n3["ap-south-1<br/>none<br/>following us-east-1, where nothing may be held"]:::differs
  n0 -->|"by link domicile_us_us_east_1_us_west_2: streams"| n1
  n0 -->|"by link domicile_us_us_east_1_eu_central_1: streams"| n2
  n0 -.->|"~ by no lawful link"| n3
  linkStyle 2 stroke:#c60,stroke-width:3px
  classDef same stroke:#080
  classDef differs stroke:#c60,stroke-width:3px
  classDef unknown stroke:#808,stroke-dasharray:4
  classDef configured stroke:#888
)");
}

TEST(Drawing, ColoursOnlyWhatAsksForALook) {
  const Branch root{"a", Mark::plain, {{"b", Mark::same}, {"c", Mark::differs}, {"d", Mark::unknown}}};
  EXPECT_EQ(tree_text(root, true), "a\n├─ = b\n├─ \033[33m~ c\033[0m\n└─ \033[35m? d\033[0m\n");
  EXPECT_EQ(dump(tree_json(root)),
            R"({"below":[{"mark":"same","text":"b"},{"mark":"differs","text":"c"},{"mark":"unknown","text":"d"}],)"
            R"("mark":"configured","text":"a"})");
  Picture picture;
  picture.node("x", "a \"quoted\" <b> #1");
  EXPECT_NE(picture.mermaid().find("n0[\"a #quot;quoted#quot; #lt;b#gt; #35;1\"]:::same"), std::string::npos);
}

TEST(ExplainDenial, OfTheGateWithTheRuleThatCutTheLink) {
  const Json held{
      {"id", "g-6928ab12-7"},
      {"region", "eu-central-1"},
      {"rule", "held"},
      {"what", "domicile_us_a_b was cut by rule column: link l does not let column email of app.orders out"},
      {"at_us", 1'795'804'200'000'000}};
  EXPECT_EQ(facts_text(gate_denial(held), false), R"(denial     g-6928ab12-7
by         the gate, SQLSTATE DM010
when       2026-11-27T18:30:00.000Z
who        eu-central-1
rule       held
what       domicile_us_a_b was cut by rule column: link l does not let column email of app.orders out
means      a link that was cut and that nobody has looked at
cut        column: a column that its form does not let out
do         `domicile plan`: the publication lets out more than the topology does, or the gate runs with an older one; then `domicile link list`; mend what let too much out, then `domicile link resume LINK --reason …`
)");
  const Json tls{{"id", "g-1-1"}, {"region", nullptr}, {"rule", "tls"}, {"what", "only by TLS"}, {"at_us", 0}};
  const Json facts = facts_json(gate_denial(tls));
  EXPECT_EQ(facts["do"], "connect with `sslmode=verify-full`");
  EXPECT_NE(facts["who"].get<std::string>().find("not known"), std::string::npos);
}

// Every reason with which the gateway refuses is explained; those with which it serves are not.
TEST(ExplainDenial, EveryReasonOfTheGatewayThatRefuses) {
  using snapshot::Reason;
  std::set<std::string_view> words;
  for (const auto& each : gateway_reasons()) words.insert(each.rule);
  for (int i = 0; i <= static_cast<int>(Reason::application_unreachable); ++i) {
    const auto reason = static_cast<Reason>(i);
    const bool serves =
        reason == Reason::owner_here || reason == Reason::owner_elsewhere || reason == Reason::stale_read;
    EXPECT_NE(words.contains(snapshot::name_of(reason)), serves) << snapshot::name_of(reason);
  }
}

struct Ran {
  int exit;
  std::string out, err;
};

Ran ran(const std::vector<std::string>& arguments) {
  std::ostringstream out, err;
  Io io{out, err};
  const Exit exit = dispatch(verbs(), arguments, io);
  return {static_cast<int>(exit), out.str(), err.str()};
}

TEST(ExplainDenial, OfTheGatewayIsFoundInItsLog) {
  const TempDir dir;
  fs::create_directories(dir.path() / "logs");
  ASSERT_TRUE(write_file(dir.path() / "logs" / "access.log",
                         "no JSON with e-5f3c9a1b7d20e846\n"
                         R"({"time":"2026-11-27T17:50:00+00:00","tenant":"e-5f3c9a1b7d20e846","denial":""})"
                         "\n"
                         R"({"time":"2026-11-27T17:50:00+00:00","tenant":"acme","residency":"us","decision":)"
                         R"("unavailable_503","reason":"lease_over","epoch":"7","denial":"e-5f3c9a1b7d20e846",)"
                         R"("method":"POST","status":503,"sent":0,"seconds":0.001})"
                         "\n"));
  const auto ask = [&](const std::string& id) {
    return ran({"explain", "denial", id, "--gateway", dir.path().string()});
  };
  const Ran found = ask("e-5f3c9a1b7d20e846");
  EXPECT_EQ(found.exit, 0) << found.err;
  EXPECT_EQ(found.out, R"(denial     e-5f3c9a1b7d20e846
by         the gateway, 503
when       2026-11-27T17:50:00+00:00
tenant     acme
residency  us
epoch      7
decision   unavailable_503
rule       lease_over
means      this region owned the residency and did not renew its lease
do         `domicile status`: another region takes over, or the quorum is gone
)");
  // A connection that was not decrypted, in its own log.
  ASSERT_TRUE(write_file(dir.path() / "logs" / "connections.log",
                         R"({"time":"2026-11-27T17:51:00+00:00","tenant":"muster","residency":"eu","decision":)"
                         R"("unavailable_503","reason":"down","epoch":"1","denial":"e-6f3c9a1b7d20e847","status":503,)"
                         R"("received":0,"sent":0})"
                         "\n"));
  const Ran connection = ask("e-6f3c9a1b7d20e847");
  EXPECT_TRUE(connection.out.starts_with(
      "denial     e-6f3c9a1b7d20e847\nby         the gateway, a connection that it did not decrypt, 503\n"))
      << connection.out << connection.err;
  EXPECT_NE(connection.out.find("rule       down\nmeans      no region may own"), std::string::npos) << connection.out;
  const Ran missing = ask("e-0000000000000000");
  EXPECT_EQ(missing.exit, 1);
  EXPECT_NE(missing.err.find("DOM-E701"), std::string::npos) << missing.err;
}

TEST(ExplainDenial, OfTheGuardIsFoundInPostgresLog) {
  const TempDir dir;
  const auto log = (dir.path() / "postgresql.log").string();
  ASSERT_TRUE(
      write_file(log,
                 "2026-11-27 17:50:00.000 UTC [4711] app@shop LOG:  domicile: denial q-6f3c9a1b7d20e847: DM002, a "
                 "write to \"orders\": its tenant belongs to another residency\n"));
  EXPECT_EQ(ran({"explain", "denial", "q-6f3c9a1b7d20e847", "--log", log}).out,
            R"(denial     q-6f3c9a1b7d20e847
by         the write guard in the database, SQLSTATE DM002
logged     2026-11-27 17:50:00.000 UTC [4711] app@shop LOG:
what       a write to "orders": its tenant belongs to another residency
means      the tenant is unknown or belongs to another residency
do         `domicile tenant show TENANT`
)");
  EXPECT_NE(ran({"explain", "denial", "q-0000000000000000", "--log", log}).err.find("DOM-E701"), std::string::npos);
  EXPECT_NE(ran({"explain", "denial", "q-6f3c9a1b7d20e847"}).out.find("--log FILE"), std::string::npos);
}

TEST(ExplainDenial, OfAnAgentIsAskedOfIt) {
  const TempDir dir;
  HttpListen listen;
  listen.unix_socket = (dir.path() / "agent.sock").string();
  auto server = HttpServer::start(listen, [](const HttpCall& call) {
    if (call.path == "/v1/approve")
      return HttpReply{409, dump({{"what", "nothing waits"}, {"kind", "conflict"}, {"denial", "a-6f3c9a1b7d20e847"}})};
    if (call.path != "/v1/denials/a-6f3c9a1b7d20e847")
      return HttpReply{404, dump({{"what", "no such denial"}, {"kind", "invalid_input"}})};
    return HttpReply{200, dump({{"id", "a-6f3c9a1b7d20e847"},
                                {"who", "ann"},
                                {"asked", "POST /v1/switch"},
                                {"rule", "DOM-E610"},
                                {"what", "'ann' may not POST /v1/switch"},
                                {"fix", "give its certificate the role"},
                                {"status", 403},
                                {"at_us", 0}})};
  });
  ASSERT_TRUE(server);
  const auto ask = [&](const std::string& id) { return ran({"explain", "denial", id, "--agent", listen.unix_socket}); };
  EXPECT_EQ(ask("a-6f3c9a1b7d20e847").out, R"(denial     a-6f3c9a1b7d20e847
by         the agent's control API, 403
when       1970-01-01T00:00:00.000Z
who        ann
asked      POST /v1/switch
rule       DOM-E610
means      'ann' may not POST /v1/switch
do         give its certificate the role
)");
  EXPECT_EQ(ask("a-0000000000000000").exit, 1);
  // Whoever is refused is told the id.
  const Ran refused = ran({"approve", "p-1", "--reason", "x", "--agent", listen.unix_socket});
  EXPECT_NE((refused.err + refused.out).find("denial a-6f3c9a1b7d20e847"), std::string::npos) << refused.err;
}

TEST(ExplainDenial, OfTheGuardByItsCode) {
  for (const auto& code : guard_codes()) EXPECT_EQ(ran({"explain", "denial", std::string(code.rule)}).exit, 0);
  EXPECT_NE(ran({"explain", "denial", "DM004"}).out.find("use DELETE"), std::string::npos);
  EXPECT_EQ(ran({"explain", "denial", "DM010"}).exit, 0);
  EXPECT_NE(ran({"explain", "denial", "DM099"}).err.find("DOM-E701"), std::string::npos);
  EXPECT_EQ(ran({"explain", "denial", "nonsense"}).exit, 64);
  EXPECT_EQ(ran({"explain", "denial", "g-1/../links"}).exit, 64);
}

class ExplainVerbs : public testing::Test {
 protected:
  ExplainVerbs() {
    EXPECT_TRUE(write_file(dir_.path() / "topology.yaml", kTopology));
    HttpListen listen;
    listen.unix_socket = socket();
    auto started = HttpServer::start(listen, [](const HttpCall& call) {
      if (call.path != "/v1/observed" || !call.query.contains("everywhere")) return HttpReply{404, "{}"};
      const auto tenant = call.query.find("tenant");
      if (tenant != call.query.end() && tenant->second != "acme") return HttpReply{404, "{}"};
      return HttpReply{200, dump(world(topology_here()))};
    });
    EXPECT_TRUE(started);
    server_.emplace(std::move(*started));
  }
  std::string socket() const { return (dir_.path() / "agent.sock").string(); }
  Ran flow(std::vector<std::string> more, const std::string& to = "eu-central-1",
           const std::string& table = "app.orders") const {
    std::vector<std::string> words{"explain",   "flow", "--table", table,        "--from",
                                   "us-east-1", "--to", to,        "--topology", (dir_.path() / "topology.yaml")};
    words.insert(words.end(), more.begin(), more.end());
    return ran(words);
  }

  TempDir dir_;
  std::optional<HttpServer> server_;
};

TEST_F(ExplainVerbs, FlowAsksTheAgentAndAnswersInThreeForms) {
  const Ran text = flow({"--agent", socket()});
  EXPECT_EQ(text.exit, 0) << text.err;
  EXPECT_NE(text.out.find("= copy         following us-east-1"), std::string::npos) << text.out;
  const Ran json = flow({"--agent", socket(), "--json"});
  const auto value = parse_json(json.out, "flow");
  ASSERT_TRUE(value) << json.out;
  EXPECT_EQ((*value)["flows"][0]["link"], kLink);
  EXPECT_EQ((*value)["differs"], false);
  EXPECT_TRUE(flow({"--agent", socket(), "-o", "mermaid"}).out.starts_with("flowchart LR\n"));
}

TEST_F(ExplainVerbs, WhatIsUnlawfulIsAnswerAndWhatIsUnknownIsAnError) {
  EXPECT_EQ(flow({}, "ap-south-1").exit, 0);
  EXPECT_NE(flow({}, "ap-south-1").out.find("residencies.us.holds.IN"), std::string::npos);
  EXPECT_EQ(flow({}, "eu-central-1", "app.secrets").exit, 0);
  EXPECT_EQ(flow({}, "nowhere").exit, 1);
  EXPECT_NE(flow({}, "nowhere").err.find("DOM-E702"), std::string::npos);
  EXPECT_NE(flow({}, "eu-central-1", "orders").err.find("DOM-E703"), std::string::npos);
  EXPECT_EQ(flow({}, "us-east-1").exit, 64);
  EXPECT_EQ(flow({"-o", "png"}).exit, 64);
  EXPECT_EQ(flow({"--o", "mermaid"}).exit, 64);
  EXPECT_EQ(flow({"-o", "mermaid", "--json"}).exit, 64);
  // Who demands an answer and gets none is told so, beside what is configured.
  const Ran silent = flow({"--agent", (dir_.path() / "nobody").string()});
  EXPECT_EQ(silent.exit, 75);
  EXPECT_NE(silent.out.find("? publication"), std::string::npos) << silent.out;
}

TEST_F(ExplainVerbs, TenantDrawsItsPlacesAndKeepsItsLayers) {
  snapshot::TenantsSnapshot tenants;
  tenants.generation = 1;
  tenants.hosts.push_back({"acme.example", "acme", "us"});
  snapshot::AuthoritySnapshot authority{1, "us-east-1", "p", "boot", {}};
  snapshot::AuthorityRow row;
  row.residency = "us";
  row.owner = "us-east-1";
  row.epoch = 7;
  authority.rows.push_back(row);
  ASSERT_TRUE(write_file(dir_.path() / "tenants.snap", snapshot::compile(tenants).value()));
  ASSERT_TRUE(write_file(dir_.path() / "authority.snap", snapshot::compile(authority).value()));
  const auto ask = [&](std::vector<std::string> more) {
    std::vector<std::string> words{
        "explain", "tenant", "acme", "--gateway", dir_.path(), "--topology", dir_.path() / "topology.yaml"};
    words.insert(words.end(), more.begin(), more.end());
    return ran(words);
  };
  const Ran text = ask({"--agent", socket()});
  EXPECT_EQ(text.exit, 0) << text.err;
  EXPECT_TRUE(text.out.starts_with("tenant acme, residency us\n├─ us-east-1 (US): full\n│  ├─ = owner")) << text.out;
  EXPECT_NE(text.out.find("\nLAYER "), std::string::npos) << text.out;
  const auto json = parse_json(ask({"--json"}).out, "tenant");
  ASSERT_TRUE(json);
  EXPECT_EQ((*json)["places"].size(), 5u);
  EXPECT_EQ((*json)["places"][0]["below"][0]["mark"], "unknown");
  EXPECT_TRUE(ask({"--agent", socket(), "-o", "mermaid"}).out.starts_with("flowchart LR\n  n0[\"us-east-1<br/>acme"));
}

}  // namespace
}  // namespace domicile::cli
