// The gate as an operator starts it, and asks it.
#include <csignal>

#include "base/http_client.hpp"
#include "support/gate_between.hpp"

namespace domicile::gate {
namespace {

constexpr const char* kTopology = R"(domicile: 1
regions:
  us-east-1: {jurisdiction: US}
  us-west-2: {jurisdiction: US}
  eu-central-1: {jurisdiction: EU}
  eu-west-1: {jurisdiction: EU}
voters: {eu-north-1: {}}
residencies:
  directory: {home: us-east-1, standby: [eu-central-1, eu-west-1], holds: {US: full, EU: full}}
  us: {home: us-east-1, standby: [us-west-2], holds: {US: full, EU: reduced}}
  eu: {home: eu-central-1, standby: [eu-west-1], holds: {EU: full, US: reduced}}
data:
  app.orders: {tenant: tenant, residency: residency, personal: [email], shared: [id, amount]}
)";

class GateDaemon : public GateBetween {
 protected:
  GateDaemon() {
    gate_.reset();
    must(write_file(folder_ / "topology.yaml", kTopology));
    must(write_file(
        folder_ / "gate.yaml",
        fmt::format("region: us-east-1\ntopology: {0}/topology.yaml\nstate: {0}/gate\nsocket: {0}/gate.sock\nlisten: "
                    "127.0.0.1:{1}\nca: {2}\ncertificate: {3}\nkey: {4}\ndatabase: \"{5}\"\ndatabase_name: "
                    "postgres\nlog: json\n",
                    folder_.string(), port_, (certificates_ / "ca.pem").string(), (certificates_ / "gate.pem").string(),
                    (certificates_ / "gate.key").string(), source_.conninfo("domicile_gate"))));
  }
  // Answers when it returns.
  Process start() {
    Command command{{DOMICILE_BINARY, "gate", "--config", (folder_ / "gate.yaml").string()}};
    command.output = (folder_ / "daemon.log").string();
    Process daemon = must(Process::start(command));
    EXPECT_TRUE(test::eventually([&] { return ask({"link", "list"}).exit_code == 0; })) << said();
    return daemon;
  }
  Outcome ask(std::vector<std::string> words) const {
    words.insert(words.begin(), DOMICILE_BINARY);
    words.insert(words.end(), {"--gate", (folder_ / "gate.sock").string()});
    return must(run({words}, 20 * kSecond));
  }
  std::string said() const { return must(read_file(folder_ / "daemon.log")); }

  const fs::path folder_ = state_.path();
};

TEST_F(GateDaemon, ListsItsLinksCountsAndLetsAPersonResume) {
  Process daemon = start();
  bring_up();
  write("INSERT INTO app.orders (residency, tenant, amount, email) VALUES ('us', 't', 1, 'canary@example.org')");
  ASSERT_TRUE(caught_up());
  const auto listed = ask({"link", "list"});
  EXPECT_NE(listed.out.find(kLinkName), std::string::npos) << listed.out;
  EXPECT_NE(listed.out.find("streams"), std::string::npos) << listed.out;
  EXPECT_NE(ask({"transfers"}).out.find("app.orders"), std::string::npos);

  EXPECT_EQ(ask({"link", "resume", kLinkName, "--reason", "nothing"}).exit_code, 1) << "it is not held";
  write("ALTER PUBLICATION " + kLinkName + " SET TABLE app.orders, domicile.marker WHERE (residency = 'us')");
  write("INSERT INTO app.orders (residency, tenant, amount, email) VALUES ('us', 't', 2, 'canary@example.org')");
  ASSERT_TRUE(test::eventually([&] { return ask({"link", "list"}).exit_code == 4; }));
  EXPECT_NE(ask({"link", "list"}).out.find("rule column"), std::string::npos);
  // Its log is given up: it stays held until an agent says that the slot is gone, or a person takes that back.
  EXPECT_EQ(ask({"link", "resume", kLinkName, "--reason", "looked", "--fresh-slot"}).exit_code, 0);
  EXPECT_EQ(ask({"link", "list"}).exit_code, 4);
  EXPECT_NE(ask({"link", "list"}).out.find("waits for a fresh slot"), std::string::npos);
  const auto resumed = ask({"link", "resume", kLinkName, "--reason", "looked"});
  EXPECT_EQ(resumed.exit_code, 0) << resumed.err;
  daemon.signal(SIGTERM);
  EXPECT_EQ(daemon.wait(), 0);
  EXPECT_NE(said().find("gate.resumed"), std::string::npos);
  EXPECT_EQ(said().find("canary"), std::string::npos);
  EXPECT_EQ(at_target("SELECT count(*) FROM app.orders"), "1");
}

TEST_F(GateDaemon, AReloadNarrowsWhatGoesOutAndAFileThatCannotBeObeyedChangesNothing) {
  const auto reload = [&](Process& daemon, const std::string& topology) {
    must(write_file(folder_ / "topology.yaml", topology));
    daemon.signal(SIGHUP);
  };
  HttpClient client({}, (folder_ / "gate.sock").string());
  const auto policy = [&]() -> std::string {
    const auto told = client.send({.url = "http://gate/v1/policy", .timeout = kSecond});
    return told ? told->body : "";
  };
  std::string wide = kTopology;
  wide.replace(wide.find("personal: [email], shared: [id, amount]"), 39, "shared: [id, amount, email]");
  must(write_file(folder_ / "topology.yaml", wide));
  write("ALTER PUBLICATION " + kLinkName + " SET TABLE app.orders WHERE (residency = 'us'), domicile.marker WHERE " +
        "(residency = 'us')");
  Process daemon = start();
  const auto before = policy();
  ASSERT_NE(before.find("policy"), std::string::npos);
  bring_up();
  write("INSERT INTO app.orders (residency, tenant, amount, email) VALUES ('us', 't', 1, 'shared@example.org')");
  ASSERT_TRUE(caught_up());

  reload(daemon, std::string(kTopology) + "  app.orders: {}\n");
  ASSERT_TRUE(test::eventually([&] { return said().find("gate.reload") != std::string::npos; })) << said();
  EXPECT_EQ(policy(), before);
  EXPECT_EQ(ask({"link", "list"}).exit_code, 0);

  reload(daemon, kTopology);
  ASSERT_TRUE(test::eventually([&] {
    const auto now = policy();
    return !now.empty() && now != before;
  })) << said();
  write("INSERT INTO app.orders (residency, tenant, amount, email) VALUES ('us', 't', 2, 'canary@example.org')");
  auto target = target_.connect();
  ASSERT_TRUE(test::eventually([&] {
    (void)postgres::links::enable_subscription(target, kLink);  // a lost connection may have turned it off
    return ask({"link", "list"}).exit_code == 4;
  })) << said();
  EXPECT_NE(ask({"link", "list"}).out.find("rule column"), std::string::npos);
  EXPECT_EQ(at_target("SELECT count(*) FROM app.orders"), "1");
  daemon.signal(SIGTERM);
  EXPECT_EQ(daemon.wait(), 0) << said();
}

// The id in the message that a peer was told.
std::string denial_in(const std::string& message) {
  const auto at = message.find("(denial g-");
  return at == std::string::npos ? message : message.substr(at + 8, message.find(')', at) - at - 8);
}

TEST_F(GateDaemon, ExplainsADenialByTheIdThatThePeerSawAlsoAfterItWasKilled) {
  Process daemon = start();
  std::string id;
  {
    const Session session(as("peer", "replication=database"));
    ASSERT_TRUE(session.open()) << session.message();
    ASSERT_EQ(session.ask("SELECT 'canary'"), "DM010");
    id = denial_in(session.message());
  }
  const auto expect_explained = [&] {
    const auto told = ask({"explain", "denial", id});
    EXPECT_EQ(told.exit_code, 0) << id << told.err;
    for (const char* part :
         {"\nwho        eu-central-1\n", "\nrule       statement\n", "\ndo         nothing, if it was a"})
      EXPECT_NE(told.out.find(part), std::string::npos) << told.out;
    EXPECT_EQ(told.out.find("canary"), std::string::npos) << told.out;
  };
  expect_explained();
  daemon.signal(SIGKILL);
  (void)daemon.wait();
  Process again = start();
  expect_explained();

  // A link that was cut: the denial says by which rule of rows.
  bring_up();
  write("ALTER PUBLICATION " + kLinkName + " SET TABLE app.orders, domicile.marker WHERE (residency = 'us')");
  write("INSERT INTO app.orders (residency, tenant, amount, email) VALUES ('us', 't', 2, 'canary@example.org')");
  ASSERT_TRUE(test::eventually([&] { return ask({"link", "list"}).exit_code == 4; }));
  std::string text;
  std::size_t cut = std::string::npos;
  ASSERT_TRUE(test::eventually([&] {
    text = must(read_file(folder_ / "gate" / "denials"));
    cut = text.find("was cut by rule column");
    return cut != std::string::npos;
  })) << text;
  EXPECT_EQ(text.find("canary"), std::string::npos);
  const auto begin_of_line = text.rfind('\n', cut) + 1;
  const auto line = text.substr(begin_of_line, text.find('\n', cut) - begin_of_line);
  const auto at = line.find("\"id\":\"") + 6;
  id = line.substr(at, line.find('"', at) - at);
  const auto told = ask({"explain", "denial", id});
  EXPECT_NE(told.out.find("\ncut        column: "), std::string::npos) << told.out << told.err;

  const auto missing = ask({"explain", "denial", "g-0-0"});
  EXPECT_EQ(missing.exit_code, 1);
  EXPECT_NE(missing.err.find("DOM-E701"), std::string::npos) << missing.err;
}

}  // namespace
}  // namespace domicile::gate
