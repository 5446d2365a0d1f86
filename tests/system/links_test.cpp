// Links between real clusters: first rows under concurrent writes, streaming, planned switches there and back, an
// importer and an exporter that die, and copies that are no prefix of their owner any more.
#include <gtest/gtest.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <thread>

#include "base/file.hpp"
#include "base/process.hpp"
#include "base/temp_dir.hpp"
#include "engines/postgres/links/copy.hpp"
#include "engines/postgres/links/health.hpp"
#include "engines/postgres/links/marker.hpp"
#include "engines/postgres/links/position.hpp"
#include "engines/postgres/links/slots.hpp"
#include "engines/postgres/links/subscription.hpp"

namespace domicile::postgres::links {
namespace {

#define ASSERT_OK(x)                                   \
  do {                                                 \
    const auto& result_ = (x);                         \
    ASSERT_TRUE(result_) << one_line(result_.error()); \
  } while (false)

template <class T>
T must(Result<T> result) {
  if (!result) {
    ADD_FAILURE() << one_line(result.error());
    std::abort();  // nothing sensible can follow, and the clusters end with us
  }
  return std::move(*result);
}

bool eventually(const std::function<bool()>& condition, Micros timeout = 20 * kSecond) {
  for (const Micros until = monotonic_now() + timeout; monotonic_now() < until; usleep(10'000))
    if (condition()) return true;
  return condition();
}

// One region's database: a cluster of its own, reachable through a Unix socket in its folder only.
class Cluster {
 public:
  explicit Cluster(const std::string& region) : region_(region) {
    const passwd* user = geteuid() == 0 ? getpwnam("postgres") : nullptr;
    if (user != nullptr) {
      uid_ = user->pw_uid;
      gid_ = user->pw_gid;
      if (chown(dir_.path().c_str(), uid_, gid_) != 0) std::abort();
    }
    const auto made = run(command({kBin + "/initdb", "-D", data(), "-U", "postgres", "-A", "trust", "--no-sync",
                                   "--no-instructions", "--locale=C", "-E", "UTF8"}),
                          60 * kSecond);
    if (!made || made->exit_code != 0) std::abort();
    start();
    auto admin = connect();
    must(admin.exec(kLinkTables));
    must(
        admin.exec("CREATE OR REPLACE FUNCTION domicile.permit(residency text, purpose text) RETURNS void "
                   "LANGUAGE sql AS ''"));
  }
  ~Cluster() {
    if (server_) server_->signal(SIGQUIT), server_->wait();
  }
  void start() {
    server_ = must(Process::start(command({kBin + "/postgres",
                                           "-D",
                                           data(),
                                           "-k",
                                           dir_.path(),
                                           "-c",
                                           "listen_addresses=",
                                           "-c",
                                           "wal_level=logical",
                                           "-c",
                                           "fsync=off",
                                           "-c",
                                           "max_replication_slots=20",
                                           "-c",
                                           "max_wal_senders=20",
                                           "-c",
                                           "wal_retrieve_retry_interval=100ms",
                                           "-c",
                                           "shared_buffers=16MB"})));
    if (!eventually([&] { return bool(Connection::open(conninfo())); })) std::abort();
  }
  void crash_and_recover() {
    server_->signal(SIGQUIT);  // immediate shutdown: recovery from the log, as after a crash
    server_->wait();
    start();
  }
  std::string conninfo() const { return "host=" + dir_.path().string() + " user=postgres dbname=postgres"; }
  Connection connect() const { return must(Connection::open(conninfo())); }
  const std::string& region() const { return region_; }

 private:
  inline static const std::string kBin = "/usr/lib/postgresql/15/bin";
  std::string data() const { return (dir_.path() / "data").string(); }
  Command command(std::vector<std::string> argv) {
    Command c{std::move(argv)};
    c.directory = dir_.path();
    c.output = c.argv[0].ends_with("initdb") ? "" : (dir_.path() / "log").string();
    if (uid_ != 0) c.in_child = [uid = uid_, gid = gid_] { return setgid(gid) == 0 && setuid(uid) == 0; };
    return c;
  }
  std::string region_;
  TempDir dir_;
  uid_t uid_ = 0;
  gid_t gid_ = 0;
  std::optional<Process> server_;
};

const MappedTable kOrders{"app", "orders", "residency", {"residency", "tenant", "id", "amount", "email"}};
const MappedTable kReducedOrders{"app", "orders", "residency", {"residency", "tenant", "id", "amount"}};

LinkSpec link(const Cluster& from, const Cluster& to, bool reduced = false) {
  return {"us",
          from.region(),
          to.region(),
          "domicile_us_" + from.region() + "_" + to.region(),
          {reduced ? kReducedOrders : kOrders}};
}

void make_schema(const Cluster& cluster) {
  auto db = cluster.connect();
  must(db.exec(
      "CREATE SCHEMA app; CREATE TABLE app.orders (residency text NOT NULL, tenant text NOT NULL, "
      "id bigint GENERATED BY DEFAULT AS IDENTITY, amount int NOT NULL, email text, PRIMARY KEY (residency, id))"));
}

void publish(const Cluster& from, const LinkSpec& l) {
  auto db = from.connect();
  std::string columns;
  for (const auto& column : l.tables[0].columns) columns += (columns.empty() ? "" : ", ") + column;
  must(
      db.exec(fmt::format("CREATE PUBLICATION {} FOR TABLE app.orders ({}) WHERE (residency = 'us'), domicile.marker "
                          "WHERE (residency = 'us') WITH (publish = 'insert, update, delete')",
                          l.name, columns)));
}

std::string checksum(const Cluster& cluster, const std::string& columns = "tenant, id, amount, email") {
  auto db = cluster.connect();
  return must(db.exec(fmt::format("SELECT count(*) || ':' || coalesce(md5(string_agg(r::text, '|' ORDER BY id)), '') "
                                  "FROM (SELECT {} FROM app.orders WHERE residency = 'us') r",
                                  columns)))
      .text(0, 0);
}

// An open-loop writer whose every acknowledged row is counted; stop() ends it as a fence would: no write in flight.
class Writer {
 public:
  explicit Writer(const Cluster& cluster)
      : thread_([this, &cluster] {
          auto db = cluster.connect();
          for (int i = 0; !stop_; ++i) {
            if (db.exec("INSERT INTO app.orders (residency, tenant, amount, email) VALUES ('us', 't1', 1, "
                        "'a@example.org')"))
              ++acknowledged_;
            if (i % 10 == 0)
              (void)db.exec(
                  "UPDATE app.orders SET amount = amount + 1 WHERE residency = 'us' AND id % 7 = 0 AND id < 50");
            if (i % 25 == 0)
              (void)db.exec("DELETE FROM app.orders WHERE residency = 'us' AND tenant = 'seed' AND id % 1000 = " +
                            std::to_string(i % 1000));
            usleep(1'000);
          }
        }) {}
  ~Writer() { stop(); }
  int stop() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
    return acknowledged_;
  }
  int acknowledged() const { return acknowledged_; }

 private:
  std::atomic<bool> stop_{false};
  std::atomic<int> acknowledged_{0};
  std::thread thread_;
};

void seed(const Cluster& cluster, int rows) {
  auto db = cluster.connect();
  must(
      db.exec(fmt::format("INSERT INTO app.orders (residency, tenant, amount, email) SELECT CASE WHEN i % 5 = 0 THEN "
                          "'eu' ELSE 'us' END, 'seed', i, 'seed@example.org' FROM generate_series(1, {}) i",
                          rows)));
}

void bring_up(const Cluster& from, const Cluster& to, const LinkSpec& l) {
  auto exporter = must(Exporter::begin(from.conninfo(), l));
  auto db = to.connect();
  must(import_first_rows(db, l, exporter));
  ASSERT_OK(ensure_subscription(db, l, from.conninfo()));
  ASSERT_OK(enable_subscription(db, l));
}

void expect_caught_up(const Cluster& from, const Cluster& to, const LinkSpec& l) {
  auto source = from.connect();
  auto db = to.connect();
  const auto position = must(own_position(source));
  // A marker behind it: a keepalive confirms at the source, but only a commit moves the receiver's origin.
  must(commit_marker(source, "us", 1, {}));
  EXPECT_TRUE(must(wait_applied(db, l, position, 20 * kSecond)));
}

TEST(Links, FirstRowsUnderWritesThenAPlannedSwitchThereAndBackLoseAndDoubleNothing) {
  Cluster a("a"), b("b"), c("c");
  for (auto* cluster : {&a, &b, &c}) make_schema(*cluster);
  must(c.connect().exec("ALTER TABLE app.orders DROP COLUMN email"));  // a reduced copy has no place for it
  seed(a, 20'000);
  const auto ab = link(a, b), ac = link(a, c, true), ba = link(b, a), bc = link(b, c, true);
  publish(a, ab), publish(a, ac), publish(b, ba), publish(b, bc);
  for (const auto& l : {ba, bc}) ASSERT_TRUE(must(ensure_reverse_slot(b.conninfo(), l)));
  ASSERT_FALSE(must(ensure_reverse_slot(b.conninfo(), ba)));

  auto at_a = a.connect(), at_b = b.connect(), at_c = c.connect();
  const auto lag_at_b = [&](const Marker& committed) {
    LagFacts facts;
    facts.copy_complete = must(copy_complete(at_b, ab));
    facts.schema_agrees = schema_difference(must(fingerprints(at_a, ab)), must(fingerprints(at_b, ab))).empty();
    facts.enabled = must(subscription_health(at_b, ab, {})).state == Health::State::healthy;
    facts.committed = committed;
    if (const auto applied = must(applied_marker(at_b, "us"))) facts.applied = applied->marker;
    return lag(facts);
  };
  auto marker = must(commit_marker(at_a, "us", 1, must(sequence_values(at_a, {kOrders}))));
  EXPECT_FALSE(lag_at_b(marker).us);
  Writer writer(a);
  bring_up(a, b, ab);
  bring_up(a, c, ac);
  EXPECT_TRUE(eventually([&] { return lag_at_b(marker).us.has_value(); })) << lag_at_b(marker).why;
  marker = must(commit_marker(at_a, "us", 1, must(sequence_values(at_a, {kOrders}))));
  EXPECT_TRUE(eventually([&] { return lag_at_b(marker).us == 0; }));
  EXPECT_TRUE(eventually([&] { return writer.acknowledged() > 200; }));
  EXPECT_EQ(
      must(at_c.exec("SELECT count(*) FROM information_schema.columns WHERE table_schema = 'app' AND column_name = "
                     "'email'"))
          .text(0, 0),
      "0");

  // Reverse slots are kept advanced while rows stream in.
  const auto advanced = must(advance_reverse_slot(at_b, ba));
  EXPECT_TRUE(must(reached(must(own_position(at_b)), advanced)));

  // There.
  writer.stop();
  const auto fence = must(own_position(at_a));
  must(commit_marker(at_a, "us", 1, must(sequence_values(at_a, {kOrders}))));
  for (const auto& progress : must(receivers_have(at_a, {ab, ac}, fence, 20 * kSecond)))
    EXPECT_TRUE(progress.has) << progress.link;
  EXPECT_TRUE(must(wait_applied(at_b, ab, fence, 20 * kSecond)));
  EXPECT_TRUE(must(wait_applied(at_c, ac, fence, 20 * kSecond)));
  const auto stopped = must(disable_inbound(at_b, ab, true));
  EXPECT_TRUE(must(reached(stopped.position, fence)));
  EXPECT_EQ(must(at_b.exec("SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE backend_type = 'logical replication "
                           "worker'"))
                .text(0, 0),
            "0");
  const auto again = must(disable_inbound(at_b, ab, true));
  EXPECT_EQ(again.position, stopped.position);
  must(disable_inbound(at_c, ac, true));
  EXPECT_EQ(checksum(a), checksum(b));
  const auto beginning = must(open_reverse_slots(at_b, {ba, bc}));
  const auto before = must(applied_marker(at_b, "us"))->sequences.at("app.orders_id_seq");
  EXPECT_EQ(must(advance_sequences(at_b, ab, "switch-1", 1'000)).at("app.orders_id_seq"), before + 1'000);
  EXPECT_EQ(must(advance_sequences(at_b, ab, "switch-1", 1'000)).at("app.orders_id_seq"), before + 1'000);
  EXPECT_EQ(advance_reverse_slot(at_b, ba).error().kind, Kind::refused) << "a link's slot is never advanced by hand";
  // What was a slot of the ended epoch stays where it is, whatever is repeated.
  const auto old_slots = [&] {
    return must(at_a.exec("SELECT string_agg(slot_name || confirmed_flush_lsn || restart_lsn, ',' ORDER BY slot_name) "
                          "FROM pg_replication_slots"))
        .text(0, 0);
  };
  const auto slots = old_slots();
  for (int pass = 0; pass < 10; ++pass) {
    EXPECT_FALSE(must(ensure_reverse_slot(a.conninfo(), ab)));
    EXPECT_EQ(advance_reverse_slot(at_a, ab).error().kind, Kind::refused);
    EXPECT_EQ(Exporter::begin(a.conninfo(), ab).error().kind, Kind::conflict);
    must(disable_inbound(at_b, ab, true));
    must(slot_health(at_a, ab));
  }
  EXPECT_EQ(slots, old_slots());

  Writer writer_b(b);
  for (auto [db, l, cluster] : {std::tuple{&at_a, &ba, &a}, {&at_c, &bc, &c}}) {
    (void)cluster;
    ASSERT_OK(journal_without_copy(*db, *l, beginning));
    ASSERT_OK(ensure_subscription(*db, *l, b.conninfo()));
    ASSERT_OK(enable_subscription(*db, *l));
  }
  for (const auto& l : {ab, ac}) ASSERT_OK(return_to_reverse(at_a, l, fence));
  for (const auto& l : {ab, ac}) must(advance_reverse_slot(at_a, l));
  EXPECT_TRUE(eventually([&] { return writer_b.acknowledged() > 200; }));
  writer_b.stop();
  must(commit_marker(at_b, "us", 2, {}));
  expect_caught_up(b, a, ba);
  expect_caught_up(b, c, bc);
  EXPECT_EQ(checksum(a), checksum(b));
  EXPECT_EQ(checksum(a, "tenant, id, amount"), checksum(c, "tenant, id, amount"));

  // And back.
  const auto fence_b = must(own_position(at_b));
  must(commit_marker(at_b, "us", 2, must(sequence_values(at_b, {kOrders}))));
  EXPECT_TRUE(must(wait_applied(at_a, ba, fence_b, 20 * kSecond)));
  must(disable_inbound(at_a, ba, true));
  const auto back = must(open_reverse_slots(at_a, {ab}));
  must(advance_sequences(at_a, ba, "switch-2", 1'000));
  ASSERT_OK(journal_without_copy(at_b, ab, back));
  ASSERT_OK(ensure_subscription(at_b, ab, a.conninfo()));
  ASSERT_OK(enable_subscription(at_b, ab));
  Writer writer_back(a);
  EXPECT_TRUE(eventually([&] { return writer_back.acknowledged() > 100; }));
  const int back_rows = writer_back.stop();
  expect_caught_up(a, b, ab);
  EXPECT_GT(back_rows, 100);
  EXPECT_EQ(checksum(a), checksum(b));
  EXPECT_EQ(must(subscription_health(at_b, ab, must(identify(a.conninfo())))).state, Health::State::healthy);
}

// Ends the importer's cluster in the middle of a table: its journal is what is left.
class DyingSource final : public CopySource {
 public:
  DyingSource(CopySource& source, std::function<void()> die) : source_(source), die_(std::move(die)) {}
  Result<CopySession> session() override { return source_.session(); }
  Result<void> read(const std::string& session, const MappedTable& table, const RowSink& sink) override {
    int rows = 0;
    return source_.read(session, table, [&](std::string_view lines) -> Result<void> {
      if (++rows == 3'000) die_();
      return sink(lines);
    });
  }
  Result<void> close(const std::string& session) override { return source_.close(session); }

 private:
  CopySource& source_;
  std::function<void()> die_;
};

TEST(Links, AnImporterThatDiesInTheCopyResumesItAndADeadSessionBeginsAgain) {
  Cluster a("a"), b("b");
  make_schema(a), make_schema(b);
  seed(a, 10'000);
  const auto ab = link(a, b);
  publish(a, ab);
  std::optional<Exporter> exporter = must(Exporter::begin(a.conninfo(), ab));
  DyingSource dying(*exporter, [&] { b.crash_and_recover(); });
  ImportOptions small;
  small.batch_bytes = 16'384;
  {
    auto db = b.connect();
    EXPECT_FALSE(import_first_rows(db, ab, dying, small));
  }
  auto db = b.connect();
  EXPECT_GT(must(db.exec("SELECT count(*) FROM app.orders")).integer_or(0, 0, 0), 0) << "some batches had been written";
  EXPECT_FALSE(must(copy_complete(db, ab)));
  EXPECT_EQ(enable_subscription(db, ab).error().kind, Kind::unsafe);
  // Rows that the owner deletes meanwhile are part of the snapshot; the slot brings the deletes.
  must(a.connect().exec("DELETE FROM app.orders WHERE residency = 'us' AND id < 500"));
  const auto session = must(import_first_rows(db, ab, *exporter, small));
  EXPECT_TRUE(must(copy_complete(db, ab)));
  EXPECT_EQ(must(db.exec("SELECT count(*) FROM app.orders WHERE residency <> 'us'")).text(0, 0), "0");
  EXPECT_EQ(must(db.exec("SELECT count(*) FROM app.orders")).text(0, 0), "8000");
  // Complete: the same session copies nothing a second time.
  EXPECT_EQ(must(import_first_rows(db, ab, *exporter, small)).id, session.id);

  // The exporter is gone before the importer has finished: the next session deletes and begins again.
  exporter.reset();
  ExportOptions replace;
  replace.replace_ready = true;
  auto second = must(Exporter::begin(a.conninfo(), ab, replace));
  EXPECT_NE(must(second.session()).id, session.id);
  EXPECT_EQ(second.read(session.id, kOrders, [](auto) { return Result<void>{}; }).error().kind, Kind::conflict);
  EXPECT_EQ(second
                .read(must(second.session()).id, {"pg_catalog", "pg_authid", "rolname", {"rolname"}},
                      [](auto) { return Result<void>{}; })
                .error()
                .kind,
            Kind::refused);
  must(import_first_rows(db, ab, second, small));
  ASSERT_OK(ensure_subscription(db, ab, a.conninfo()));
  ASSERT_OK(enable_subscription(db, ab));
  expect_caught_up(a, b, ab);
  EXPECT_EQ(checksum(a), checksum(b));

  // Making a slot waits for open transactions, no longer than it may, and says so.
  auto holder = a.connect();
  must(holder.exec("BEGIN; INSERT INTO app.orders (residency, tenant, amount) VALUES ('us', 't', 1)"));
  const auto ba = link(b, a);
  LinkSpec other = ab;
  other.name = "domicile_us_a_d";
  const auto refused = ensure_reverse_slot(a.conninfo(), other, 500 * kMillisecond);
  ASSERT_FALSE(refused);
  EXPECT_NE(one_line(refused.error()).find("1 transactions are open"), std::string::npos) << one_line(refused.error());
  must(holder.exec("ROLLBACK"));
  EXPECT_TRUE(must(ensure_reverse_slot(a.conninfo(), other)));
}

TEST(Links, ACopyThatIsNoPrefixOfItsOwnerIsResyncAndNeverHealthy) {
  Cluster a("a"), b("b");
  make_schema(a), make_schema(b);
  seed(a, 100);
  const auto ab = link(a, b);
  publish(a, ab);
  bring_up(a, b, ab);
  auto at_a = a.connect(), at_b = b.connect();
  const auto source = must(identify(a.conninfo()));
  EXPECT_TRUE(eventually([&] { return must(subscription_health(at_b, ab, source)).state == Health::State::healthy; }));
  EXPECT_EQ(must(slot_health(at_a, ab)).state, Health::State::healthy);

  // Schema drift is named.
  must(at_b.exec("ALTER TABLE app.orders ALTER COLUMN amount TYPE bigint"));
  const auto difference = schema_difference(must(fingerprints(at_a, ab)), must(fingerprints(at_b, ab)));
  EXPECT_NE(difference.find("app.orders differs"), std::string::npos) << difference;
  must(at_b.exec("ALTER TABLE app.orders ALTER COLUMN amount TYPE int"));

  // One key clash disables the subscription: failed, with no row in the reason.
  must(at_b.exec(
      "INSERT INTO app.orders (residency, tenant, id, amount, email) VALUES ('us', 't', 999999, 1, 'x@example.org')"));
  must(at_a.exec(
      "INSERT INTO app.orders (residency, tenant, id, amount, email) VALUES ('us', 't', 999999, 2, 'y@example.org')"));
  EXPECT_TRUE(eventually([&] {
    return must(subscription_health(at_b, ab, source)).state == Health::State::failed &&
           must(subscription_health(at_b, ab, source)).reason.starts_with("disabled");
  }));
  EXPECT_EQ(must(subscription_health(at_b, ab, source)).reason.find("example.org"), std::string::npos);

  // Salvage: the stopped link's slot still holds what was not applied, from the position that is journaled.
  const auto stopped = must(disable_inbound(at_b, ab, false));
  ASSERT_OK(drop_subscription(at_b, ab));
  EXPECT_EQ(must(applied_position(at_b, ab)), stopped.position) << "the position outlives the subscription";
  EXPECT_GT(must(at_a.exec("SELECT count(*) FROM pg_logical_slot_peek_binary_changes('" + ab.name +
                           "', NULL, NULL, 'proto_version', '3', 'publication_names', '" + ab.name + "')"))
                .integer_or(0, 0, 0),
            2);

  // Another timeline, another system, a copy ahead of its owner.
  auto other = source;
  other.timeline += 1;
  auto fresh = must(read_link_journal(at_b, ab.name, false));
  EXPECT_EQ(must(subscription_health(at_b, ab, other)).state, Health::State::resync);
  EXPECT_EQ(enable_subscription(at_b, ab).error().kind, Kind::unsafe);
  EXPECT_EQ(must(subscription_health(at_b, ab, source)).state, Health::State::resync) << "only repair ends it";
  ASSERT_OK(write_link_journal(at_b, ab.name, false, *fresh));
  other = source;
  other.lsn = 1;
  EXPECT_EQ(must(subscription_health(at_b, ab, other)).state, Health::State::resync);
  EXPECT_FALSE(reached({"1", 1, 5}, {"2", 1, 4}));

  must(at_a.exec("SELECT pg_drop_replication_slot('" + ab.name + "')"));
  EXPECT_EQ(must(slot_health(at_a, ab)).state, Health::State::resync);
  EXPECT_EQ(ensure_reverse_slot(a.conninfo(), ab).error().kind, Kind::corrupt)
      << "a lost slot is not made again in silence";
}

}  // namespace
}  // namespace domicile::postgres::links
