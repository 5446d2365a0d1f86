// A lost region that comes back: what nobody else has is kept before anything that holds it is touched, then the copy
// is made equal to the new owner's and follows, and a person decides about the rest.
#include <gtest/gtest.h>

#include "support/returned.hpp"
#include "support/shared.hpp"

namespace domicile::test {
namespace {

// Everything by which this database still holds the ended epochs of `us` and `directory`: slots with their positions,
// publications with all that they let out, subscriptions.
std::string held_of_ended_epochs(Regions& regions, const std::string& region) {
  const std::string ours = "~ '^domicile_(salvage_)?(us|directory)(_|$)'";
  auto connection = regions.database(region).connect();
  std::string out;
  for (const std::string& query :
       {"SELECT concat_ws(' ', 'slot', slot_name, confirmed_flush_lsn, restart_lsn, active) FROM pg_replication_slots "
        "WHERE slot_name " +
            ours,
        "SELECT concat_ws(' ', 'publication', pubname, puballtables, pubinsert, pubupdate, pubdelete, pubtruncate, "
        "pubviaroot) FROM pg_publication WHERE pubname " +
            ours,
        "SELECT concat_ws(' ', 'publishes', pubname, schemaname, tablename, attnames, rowfilter) FROM "
        "pg_publication_tables WHERE pubname " +
            ours,
        "SELECT concat_ws(' ', 'subscription', subname, subenabled, subslotname, subpublications) FROM "
        "pg_subscription WHERE subname " +
            ours}) {
    const auto lines = must(connection.exec(query + " ORDER BY 1"));
    for (int i = 0; i < lines.size(); ++i) out += lines.text(i, 0) + "\n";
  }
  return out;
}

// Rows 1 to 5 are everywhere. Then the home is lost with changes that nobody else has: rows 11 and 12 are new there, 1
// and 2 have another name, 3 and 4 are gone, 13 came and went; and the new owner changes 2, deletes 4 and writes 21.
class Diverged {
 public:
  explicit Diverged(const std::string& topology = one_standby())
      : Diverged(RegionsOptions{.topology = topology, .drift_period = "500ms"}) {}
  // `alone`: eu-west-1 might take over as well, and its database hangs meanwhile.
  explicit Diverged(RegionsOptions options, bool alone = false) : regions(std::move(options)) {
    while (regions.next_row() < 1'000) {
    }  // what the fixture numbers by itself collides with none of these
    for (int i = 1; i <= 5; ++i) EXPECT_EQ(regions.write(kUs, "us", i), "");
    for (const auto& receiver : {kEu, kWest})
      EXPECT_TRUE(eventually([&] { return regions.missing(receiver, "us").empty(); })) << regions.told();
    regions.gate(kUs).signal(SIGSTOP);
    run(regions, kUs, R"sql(
      INSERT INTO app.orders (id, residency, tenant_id, customer_name) VALUES (11, 'us', 'us-1', E'kept\tname'), (12, 'us', 'us-1', 'b');
      UPDATE app.orders SET customer_name = 'ours' WHERE id IN (1, 2);
      DELETE FROM app.orders WHERE id IN (3, 4);
      INSERT INTO app.orders (id, residency, tenant_id, customer_name) VALUES (13, 'us', 'us-1', 'x');
      DELETE FROM app.orders WHERE id = 13)sql");
    if (alone) regions.pause_database(kWest);
    regions.kill_region(kUs);
    for (const char* residency : {"us", "directory"}) EXPECT_TRUE(regions.serves(residency, kEu, 2)) << regions.told();
    if (alone) regions.resume_database(kWest);
    run(regions, kEu, R"sql(
      UPDATE app.orders SET customer_name = 'theirs' WHERE id = 2;
      DELETE FROM app.orders WHERE id = 4;
      INSERT INTO app.orders (id, residency, tenant_id, customer_name) VALUES (21, 'us', 'us-1', 'new'))sql");
  }
  Regions regions;
};

TEST(AgentsReturn, WhatNobodyElseHasIsKeptAndTheCopyIsMadeEqualAndFollows) {
  Diverged world;
  auto& regions = world.regions;
  regions.start_region(kUs);
  for (const auto& region : {kUs, kWest}) ASSERT_TRUE(back(regions, region)) << region << regions.told();
  EXPECT_EQ(regions.guard(kUs, "us").state, "closed");
  EXPECT_TRUE(eventually([&] { return orders(regions, kUs) == orders(regions, kEu); })) << orders(regions, kUs);
  EXPECT_TRUE(eventually([&] { return orders(regions, kWest) == orders(regions, kEu); })) << orders(regions, kWest);

  const Json runs = salvage(regions, kUs);
  ASSERT_EQ(runs.size(), 1U) << runs;
  EXPECT_EQ(runs[0]["next_owner"], kEu);
  EXPECT_EQ(runs[0]["rows"], 7) << runs;
  EXPECT_EQ(runs[0]["lost"], "");
  EXPECT_EQ(verdicts(entries(regions, kUs)), (std::map<std::string, std::string>{{"1", "missing"},
                                                                                 {"2", "conflict"},
                                                                                 {"3", "missing"},
                                                                                 {"4", "superseded"},
                                                                                 {"11", "missing"},
                                                                                 {"12", "missing"},
                                                                                 {"13", "superseded"}}))
      << entries(regions, kUs).dump(2);
  const Json repairs = regions.get(kUs, "/v1/salvage")["repairs"];
  ASSERT_FALSE(repairs.empty());
  for (const Json& repair : repairs)
    for (const Json& table : repair["tables"]) EXPECT_EQ(table["digest"].get<std::string>().size(), 64U) << repair;

  // Whoever wants it home is told before what would be left undecided.
  EXPECT_TRUE(eventually([&] { return regions.get(kUs, "/v1/copies/us")["salvage_open"] == 7; }));
  ASSERT_TRUE(regions.settled()) << regions.told();
  const Json checked = regions.get(kEu, "/v1/switch/check?residency=us&to=us-east-1");
  EXPECT_NE(checked.dump().find("us-east-1 keeps 7 salvaged rows of us"), std::string::npos) << checked;

  // Decisions: nothing by itself, then what a rule says.
  const auto untouched = orders(regions, kEu);
  const Json all{{"residency", "us"}, {"epoch", 1}, {"act", "apply"}, {"reason", "test"}};
  const auto with = [&](const char* member, Json value) {
    Json body = all;
    body[member] = std::move(value);
    return body;
  };
  Json told = must(regions.post(kUs, "/v1/salvage/decide", with("dry_run", true)));
  EXPECT_EQ(told["applied"], 4) << told;
  EXPECT_EQ(orders(regions, kEu), untouched) << "a dry run writes nothing";
  EXPECT_FALSE(regions.post(kUs, "/v1/salvage/decide", with("reason", ""))) << "without a reason";

  told = must(regions.post(kUs, "/v1/salvage/decide", all));
  EXPECT_EQ(told["applied"], 4) << told;
  EXPECT_EQ(told["superseded"], 2) << told;
  EXPECT_EQ(told["waiting"].size(), 1U) << told;
  EXPECT_EQ(told["refused"], Json::array());
  const std::string applied =
      "us 1 us-1 ours\nus 2 us-1 theirs\nus 5 us-1 name\nus 11 us-1 kept\tname\nus 12 us-1 b\nus 21 us-1 new\n";
  EXPECT_EQ(orders(regions, kEu), applied);
  for (const auto& region : {kUs, kWest})
    EXPECT_TRUE(eventually([&] { return orders(regions, region) == applied; })) << region << orders(regions, region);

  told = must(regions.post(kUs, "/v1/salvage/decide", with("rule", "take-ours")));
  EXPECT_EQ(told["applied"], 1) << told;
  EXPECT_NE(orders(regions, kEu).find("us 2 us-1 ours"), std::string::npos);
  EXPECT_EQ(salvage(regions, kUs)[0]["open"], 0);
  for (const Json& entry : entries(regions, kUs)) {
    EXPECT_NE(entry["state"], "open") << entry;
    EXPECT_EQ(entry["decided"]["reason"], "test") << entry;
  }

  // What the link brings from now on arrives, and the way home is a planned switch like any other.
  ASSERT_EQ(regions.write(kEu, "us"), "");
  EXPECT_TRUE(eventually([&] { return orders(regions, kUs) == orders(regions, kEu); }));
  ASSERT_TRUE(regions.settled()) << regions.told();
  must(regions.order_switch("us", kUs));
  ASSERT_TRUE(regions.serves("us", kUs, 3)) << regions.told();
  ASSERT_EQ(regions.write(kUs, "us"), "");
  for (const auto& region : {kEu, kWest})
    EXPECT_TRUE(eventually([&] { return orders(regions, region) == orders(regions, kUs); }))
        << region << regions.told();
}

// What a person types at the region that keeps it. The hook is a program of theirs.
TEST(AgentsReturnVerbs, RowsAreExportedDiscardedChosenAndLeftToAHook) {
  Diverged world;
  auto& regions = world.regions;
  regions.start_region(kUs);
  ASSERT_TRUE(back(regions, kUs)) << regions.told();
  const TempDir folder;
  const auto verb = [&](std::vector<std::string> words) {
    words.insert(words.begin(), {DOMICILE_BINARY, "salvage"});
    words.insert(words.end(), {"--agent", regions.socket(kUs).string()});
    return must(domicile::run(Command{words}, 60 * kSecond));
  };
  const auto state_of = [&](const std::string& row) {
    const Json all = entries(regions, kUs);
    for (const Json& entry : all)
      if (entry["key"]["id"] == row) return entry["state"].get<std::string>();
    return std::string("none");
  };
  const auto id_of = [&](const std::string& row) {
    const Json all = entries(regions, kUs);
    for (const Json& entry : all)
      if (entry["key"]["id"] == row) return entry["id"].dump();
    return std::string("none");
  };

  const fs::path file = folder.path() / "us.jsonl";
  const auto exported = verb({"export", "us", "--out", file.string()});
  ASSERT_EQ(exported.exit_code, 0) << exported.err;
  EXPECT_EQ(fs::status(file).permissions(), fs::perms::owner_read | fs::perms::owner_write);
  std::map<std::string, std::string> ours;
  std::istringstream lines(must(read_file(file)));
  for (std::string line; std::getline(lines, line);) {
    const Json entry = must(parse_json(line, "a line"));
    ours[entry["key"]["id"]] = entry["ours"].is_object() ? entry["ours"].value("customer_name", "") : "-";
  }
  EXPECT_EQ(ours.size(), 7U);
  EXPECT_EQ(ours["11"], "kept\tname");
  EXPECT_EQ(exported.out.find("kept"), std::string::npos) << "values are in the file only";

  const auto elsewhere = verb({"apply", "us", "--table", "domicile.marker", "--reason", "test", "--dry-run", "--json"});
  ASSERT_EQ(elsewhere.exit_code, 0) << elsewhere.err;
  EXPECT_EQ(must(parse_json(elsewhere.out, "what would be done"))["applied"], 0)
      << "no row of that table was asked for";
  EXPECT_NE(verb({"discard", "us", "--id", id_of("3"), "--reason", "test"}).exit_code, 0) << "nobody could be asked";
  EXPECT_EQ(state_of("3"), "open");
  ASSERT_EQ(verb({"discard", "us", "--id", id_of("3"), "--reason", "test", "--yes"}).exit_code, 0);
  EXPECT_EQ(state_of("3"), "discarded");
  EXPECT_EQ(state_of("1"), "open") << "the one that was named, and no other";
  ASSERT_EQ(verb({"apply", "us", "--id", id_of("12"), "--reason", "test", "--yes"}).exit_code, 0);
  EXPECT_EQ(state_of("12"), "applied");
  EXPECT_EQ(state_of("11"), "open");
  EXPECT_NE(orders(regions, kEu).find("us 12 us-1 b"), std::string::npos);
  EXPECT_EQ(orders(regions, kEu).find("us 11 "), std::string::npos);

  const auto hook = [&](const std::string& name, const std::string& says) {
    const fs::path program = folder.path() / name;
    must(write_file(program, "#!/bin/sh\ncat > '" + (folder.path() / "asked").string() + "'\n" + says + "\n"));
    fs::permissions(program, fs::perms::owner_all);
    return verb({"apply", "us", "--hook", program.string(), "--reason", "test", "--yes"});
  };
  for (const char* bad : {"echo perhaps", "exit 3"}) {
    EXPECT_NE(hook("bad", bad).exit_code, 0) << bad;
    EXPECT_EQ(state_of("11"), "open") << "what a hook does not say is no decision, about no row";
  }
  EXPECT_EQ(hook("waits", "echo wait").exit_code, 0);
  EXPECT_EQ(state_of("11"), "applied");
  EXPECT_EQ(state_of("2"), "open") << "the conflict waits";
  EXPECT_EQ(hook("decides", "echo ours").exit_code, 0);
  EXPECT_EQ(state_of("2"), "applied");
  const Json asked = must(parse_json(must(read_file(folder.path() / "asked")), "what the hook was asked"));
  EXPECT_EQ(asked["key"]["id"], "2");
  EXPECT_EQ(asked["ours"]["customer_name"], "ours");
  EXPECT_EQ(asked["theirs"]["customer_name"], "theirs");
  EXPECT_EQ(
      orders(regions, kEu),
      "us 1 us-1 ours\nus 2 us-1 ours\nus 3 us-1 name\nus 5 us-1 name\nus 11 us-1 kept\tname\nus 12 us-1 b\nus 21 "
      "us-1 new\n");
}

TEST(AgentsReturn, ARowThatTheOwnerChangesAfterItWasJudgedIsNotOverwritten) {
  Diverged world;
  auto& regions = world.regions;
  regions.start_region(kUs);
  ASSERT_TRUE(back(regions, kUs)) << regions.told();
  EXPECT_EQ(verdicts(entries(regions, kUs))["1"], "missing");
  run(regions, kEu, "UPDATE app.orders SET customer_name = 'later' WHERE id = 1");
  EXPECT_TRUE(eventually([&] { return verdicts(entries(regions, kUs))["1"] == "conflict"; }));
  // Decided by a copy that has not got the owner's last change yet.
  ASSERT_TRUE(eventually([&] { return orders(regions, kUs) == orders(regions, kEu); }));
  regions.gate(kEu).signal(SIGSTOP);
  run(regions, kEu,
      "INSERT INTO app.orders (id, residency, tenant_id, customer_name) VALUES (11, 'us', 'us-1', 'theirs')");
  const Json told = must(
      regions.post(kUs, "/v1/salvage/decide",
                   {{"residency", "us"}, {"epoch", 1}, {"act", "apply"}, {"rule", "take-ours"}, {"reason", "test"}}));
  regions.gate(kEu).signal(SIGCONT);
  ASSERT_EQ(told["refused"].size(), 1U) << told;
  EXPECT_NE(told["refused"][0]["why"].get<std::string>().find("changed since"), std::string::npos) << told;
  EXPECT_NE(orders(regions, kEu).find("us 11 us-1 theirs"), std::string::npos);
}

TEST(AgentsReturn, UntilItsSurplusIsKeptTheOldHomeTouchesNothingOfItsEndedEpoch) {
  Diverged world;
  auto& regions = world.regions;
  regions.database(kUs).start();
  // Not what today's topology would make of them: whoever only compares them with it would «mend» what is evidence.
  auto connection = regions.database(kUs).connect();
  must(connection.exec("ALTER PUBLICATION domicile_us_us_east_1_eu_central_1 DROP TABLE domicile.marker"));
  const auto before = held_of_ended_epochs(regions, kUs);
  for (const char* part :
       {"slot domicile_us_us_east_1_eu_central_1 ", "slot domicile_us_us_east_1_eu_west_1 ",
        "publishes domicile_salvage_us app orders ", "publishes domicile_salvage_directory domicile "})
    EXPECT_NE(before.find(part), std::string::npos) << part << "\n" << before;
  EXPECT_EQ(regions.write(kUs, "us"), "DM001") << "before its agent runs";
  for (const char* residency : {"us", "directory"}) regions.stop_at(kUs, fmt::format("comeback.begin@{}", residency));
  regions.etcd().start(kUs);
  regions.gate(kUs).start();
  regions.start_agent(kUs);
  ASSERT_TRUE(regions.passes_on(kUs, 10)) << regions.told();
  EXPECT_EQ(held_of_ended_epochs(regions, kUs), before);
  for (const char* residency : {"us", "directory"}) {
    EXPECT_EQ(regions.guard(kUs, residency).state, "closed") << residency;
    EXPECT_EQ(regions.copy_state(kUs, residency), "resync") << residency << regions.told();
  }
  EXPECT_EQ(regions.writable("us"), std::vector<std::string>{kEu}) << regions.told();
  EXPECT_EQ(regions.record("us").epoch, 2);
  for (const char* residency : {"us", "directory"}) regions.let_go(kUs, fmt::format("comeback.begin@{}", residency));
  ASSERT_TRUE(back(regions, kUs)) << regions.told();
  EXPECT_EQ(salvage(regions, kUs)[0]["rows"], 7);
}

TEST(AgentsReturn, KilledAtEveryStepItKeepsTheSalvageOnceAndComesBack) {
  Diverged world;
  auto& regions = world.regions;
  const std::vector<std::string> points{"comeback.begin@us", "comeback.kept@us", "comeback.repaired@us"};
  for (const auto& point : points) regions.kill_at(kUs, point);
  regions.start_region(kUs);
  int deaths = 0;
  ASSERT_TRUE(eventually(
      [&] {
        if (!regions.agent_runs(kUs)) {
          ++deaths;
          regions.start_agent(kUs);
        }
        for (const auto& point : points)
          if (regions.standing(kUs, point)) return false;
        return regions.agent_runs(kUs) && regions.copy_state(kUs, "us") == "following";
      },
      90 * kSecond, 50 * kMillisecond))
      << regions.told();
  EXPECT_EQ(deaths, static_cast<int>(points.size()));
  EXPECT_EQ(salvage(regions, kUs).size(), 1U);
  EXPECT_EQ(entries(regions, kUs).size(), 7U);
  EXPECT_TRUE(eventually([&] { return orders(regions, kUs) == orders(regions, kEu); })) << orders(regions, kUs);
}

TEST(AgentsReturnLost, WithoutItsSlotsWhatDiffersIsKeptAndTheCopyComesBack) {
  Diverged world;
  auto& regions = world.regions;
  regions.database(kUs).start();
  run(regions, kUs,
      "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name ~ '^domicile_us_us'");
  regions.etcd().start(kUs);
  regions.gate(kUs).start();
  regions.start_agent(kUs);
  ASSERT_TRUE(back(regions, kUs)) << regions.told();
  const Json runs = salvage(regions, kUs);
  ASSERT_EQ(runs.size(), 1U);
  EXPECT_NE(runs[0]["note"].get<std::string>().find("no slot has kept the log"), std::string::npos) << runs;
  // By the owner's own log 2 is told from the rest, and 21, which only the owner made, is none of them.
  EXPECT_EQ(verdicts(entries(regions, kUs)),
            (std::map<std::string, std::string>{
                {"1", "missing"}, {"2", "conflict"}, {"3", "missing"}, {"11", "missing"}, {"12", "missing"}}))
      << entries(regions, kUs).dump(2);
  EXPECT_TRUE(eventually([&] { return orders(regions, kUs) == orders(regions, kEu); })) << orders(regions, kUs);
}

// The third region got further than the one that took over, and the home never comes back.
TEST(AgentsReturnLost, AReceiverThatIsAheadKeepsWhatOnlyItHas) {
  Regions regions({.topology = one_standby(), .drift_period = "500ms"});
  while (regions.next_row() < 1'000) {
  }
  for (int i = 1; i <= 3; ++i) ASSERT_EQ(regions.write(kUs, "us", i), "");
  for (const auto& receiver : {kEu, kWest})
    ASSERT_TRUE(eventually([&] { return regions.missing(receiver, "us").empty(); })) << regions.told();
  // Disabled instead, the agent would enable it again at any moment.
  auto holding = regions.database(kEu).connect();
  must(holding.exec("BEGIN"));
  must(holding.exec("LOCK TABLE app.orders IN SHARE MODE"));
  ASSERT_EQ(regions.write(kUs, "us", 11), "");
  run(regions, kUs, "UPDATE app.orders SET customer_name = 'ours' WHERE id = 1; DELETE FROM app.orders WHERE id = 2");
  ASSERT_TRUE(eventually([&] { return orders(regions, kWest) == orders(regions, kUs); }));
  regions.kill_region(kUs);
  const auto waited =
      must(holding.exec("SELECT pg_catalog.pg_terminate_backend(pid, 10000) FROM pg_catalog.pg_stat_subscription "
                        "WHERE subname = 'domicile_us_us_east_1_eu_central_1' AND pid IS NOT NULL"));
  ASSERT_EQ(waited.size(), 1) << "the worker that waits for the lock with what it has received";
  must(holding.exec("ROLLBACK"));
  for (const char* residency : {"us", "directory"}) ASSERT_TRUE(regions.serves(residency, kEu, 2)) << regions.told();
  ASSERT_EQ(regions.write(kEu, "us", 21), "");
  ASSERT_TRUE(back(regions, kWest)) << regions.told();
  EXPECT_TRUE(eventually([&] { return orders(regions, kWest) == orders(regions, kEu); })) << orders(regions, kWest);
  const Json runs = salvage(regions, kWest);
  ASSERT_EQ(runs.size(), 1U) << regions.told();
  EXPECT_EQ(verdicts(entries(regions, kWest)),
            (std::map<std::string, std::string>{{"1", "missing"}, {"2", "missing"}, {"11", "missing"}}))
      << entries(regions, kWest).dump(2);
  const auto refused = regions.post(kWest, "/v1/salvage/decide",
                                    {{"residency", "us"}, {"epoch", 1}, {"act", "apply"}, {"reason", "test"}});
  ASSERT_FALSE(refused) << "no link leads out of a region that can never own it";
  EXPECT_NE(refused.error().what.find("no link leads out"), std::string::npos) << one_line(refused.error());
}

// What the topology lets happen without a person, and no more: inserts that are missing come back by themselves, and
// the residency goes home when a person has decided about the rest.
TEST(AgentsReturnHome, GoesHomeByItselfOnceNobodyHasToDecideAnything) {
  std::string topology = one_standby();
  const std::string us = "us: {home: us-east-1, ";
  topology.insert(topology.find(us) + us.size(), "failback: automatic, quiet: 3s, reapply: inserts, ");
  Diverged diverged(topology);
  Regions& regions = diverged.regions;
  regions.start_region(kUs);
  ASSERT_TRUE(back(regions, kUs)) << regions.told();
  const auto decided = [&] {
    std::map<std::string, std::string> out;
    for (const Json& entry : entries(regions, kUs))
      if (entry["state"] != "open") out[entry["key"]["id"]] = entry["decided"]["by"];
    return out;
  };
  const std::map<std::string, std::string> inserts{{"11", "domicile"}, {"12", "domicile"}};
  ASSERT_TRUE(eventually([&] { return decided() == inserts; })) << entries(regions, kUs);
  EXPECT_NE(orders(regions, kEu).find("us 12 us-1 b"), std::string::npos) << "written at the owner";
  const auto way = [&] { return regions.status(kEu, "us").value("way_home", ""); };
  ASSERT_TRUE(eventually([&] { return way().find("salvaged rows at us-east-1") != std::string::npos; })) << way();
  EXPECT_EQ(regions.record("us").owner, kEu);
  const auto told = regions.cli({"status", "--agent", regions.socket(kEu).string()});
  EXPECT_NE(told.out.find("goes home when"), std::string::npos) << told.out;

  must(regions.post(kUs, "/v1/salvage/decide",
                    {{"residency", "us"}, {"epoch", 1}, {"act", "discard"}, {"reason", "agreed"}}));
  EXPECT_TRUE(regions.serves("us", kUs, 3)) << regions.told();
  const auto record = regions.record("us");
  EXPECT_EQ(record.cause, authority::Cause::planned);
  EXPECT_EQ(regions.missing(kUs, "us"), std::vector<std::int64_t>{4}) << "which eu-central-1 deleted";
  EXPECT_EQ(regions.record("directory").owner, kEu) << "that one stays until a person switches it";
}

void expect_home_is_kept_and_follows(Regions& regions, const std::string& owner) {
  ASSERT_TRUE(back(regions, kUs)) << regions.told();
  EXPECT_EQ(regions.writable("us"), std::vector<std::string>{owner}) << regions.told();
  ASSERT_EQ(salvage(regions, kUs).size(), 1U) << regions.told();
  EXPECT_EQ(salvage(regions, kUs)[0]["rows"], 7) << regions.told();
  EXPECT_TRUE(eventually([&] { return orders(regions, kUs) == orders(regions, owner); })) << orders(regions, kUs);
}

TEST(AgentsReturnOdd, WithAWipedMemberOfTheQuorumItComesBackOnceTheMemberIsReplaced) {
  Diverged world;
  auto& regions = world.regions;
  regions.database(kUs).start();
  regions.gate(kUs).start();
  regions.etcd().replace(kUs);
  regions.start_agent(kUs);
  expect_home_is_kept_and_follows(regions, kEu);
  EXPECT_EQ(regions.record("us").epoch, 2);
}

TEST(AgentsReturnOdd, WithAClockThatIsAnHourOffItComesBackAsEver) {
  Shared shift(DOMICILE_WALL_CLOCK, "shift");
  PostgresOptions database;
  database.environment = shift.environment("WALL_CLOCK_SHIFT");
  for (const Micros by : {-3600 * kSecond, 3600 * kSecond}) {
    SCOPED_TRACE(by);
    shift.number(0);
    Diverged world(RegionsOptions{.topology = one_standby(),
                                  .databases = {{kUs, database}},
                                  .agent_env = {{kUs, database.environment}},
                                  .drift_period = "500ms"});
    auto& regions = world.regions;
    shift.number(by);
    regions.start_region(kUs);
    expect_home_is_kept_and_follows(regions, kEu);
    // Verdicts are by positions and not by clocks.
    EXPECT_EQ(verdicts(entries(regions, kUs))["1"], "missing");
    EXPECT_EQ(verdicts(entries(regions, kUs))["2"], "conflict");
    EXPECT_EQ(regions.record("us").epoch, 2);
  }
}

TEST(AgentsReturnOdd, WhileTheSurvivorSwitchesItTouchesNothingAndThenFollowsTheNewOne) {
  std::string topology = one_standby();
  const std::string us = "us: {home: us-east-1,    standby: [eu-central-1";
  topology.insert(topology.find(us) + us.size(), ", eu-west-1");
  const std::string patience = "patience: 4s";  // longer than a region takes to start
  topology.replace(topology.find(patience), patience.size(), "patience: 60s");
  Diverged world(RegionsOptions{.topology = topology, .drift_period = "500ms"}, true);
  auto& regions = world.regions;
  ASSERT_TRUE(back(regions, kWest)) << regions.told();
  regions.stop_at(kWest, "open.swap_serving");
  ASSERT_TRUE(eventually([&] { return regions.order_switch("us", kWest).has_value(); }));
  ASSERT_TRUE(regions.reached(kWest, "open.swap_serving")) << regions.told();
  regions.start_region(kUs);
  ASSERT_TRUE(regions.passes_on(kUs, 5)) << regions.told();
  EXPECT_EQ(regions.copy_state(kUs, "us"), "owner") << "of its ended epoch";
  EXPECT_EQ(salvage(regions, kUs).size(), 0U);
  regions.let_go(kWest, "open.swap_serving");
  ASSERT_TRUE(regions.serves("us", kWest, 3)) << regions.told();
  expect_home_is_kept_and_follows(regions, kWest);
}

}  // namespace
}  // namespace domicile::test
