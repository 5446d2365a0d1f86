// The demo service on a real PostgreSQL, with the tables of the example.
#include <gtest/gtest.h>
#include <libpq-fe.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "base/http_client.hpp"
#include "base/json.hpp"
#include "base/temp_dir.hpp"
#include "demo/orders.hpp"
#include "lab/lab.hpp"

namespace domicile {
namespace {

const lab::Isolation kIsolation = lab::prepare_isolation();

class Demo : public testing::Test {
 protected:
  void SetUp() override {
    fs::permissions(folder_.path(), fs::perms(0755));
    lab::LabSpec spec;
    spec.directory = folder_.path();
    spec.base = 20000 + ::getpid() % 20000;
    spec.sites = {{"eu-central-1", "EU", false, {"eu"}}};
    auto made = lab::Lab::up(spec, kIsolation);
    ASSERT_TRUE(made) << render(made.error());
    lab_ = std::move(*made);
    admin(*read_file(DOMICILE_SOURCE "/examples/three-regions/schema.sql"));
    admin(
        "create schema domicile; create table domicile.tenant (tenant_id text primary key, residency text not null, "
        "tombstone bool not null default false); insert into domicile.tenant values ('acme', 'eu'), ('late', 'eu'), "
        "('wrong', 'eu'); grant usage on schema domicile to app; grant select on domicile.tenant to app;"
        // What the guard answers, without the guard.
        "create function refuse() returns trigger language plpgsql as $$ begin "
        "if new.tenant_id = 'late' then raise exception 'the lease is over' using errcode = 'DM001'; end if; "
        "if new.tenant_id = 'wrong' then raise exception 'not here' using errcode = 'DM002'; end if; "
        "return null; end $$; create trigger refuse after insert on app.orders for each row execute function refuse()");
    const std::string conninfo =
        fmt::format("host='{}' port={} dbname=app user=postgres options='-c role=app'",
                    (lab_->folder("eu-central-1") / "run").string(), lab_->port("eu-central-1", lab::postgres));
    orders_ = std::make_unique<demo::Orders>(conninfo);
    server_ = std::make_unique<HttpServer>(*HttpServer::start(
        {.host = "127.0.0.1", .threads = 32}, [this](const HttpCall& call) { return orders_->answer(call); }));
  }

  void admin(const std::string& sql) {
    const std::unique_ptr<PGconn, decltype(&PQfinish)> connection(
        PQconnectdb(lab_->database_of("eu-central-1", "postgres").c_str()), &PQfinish);
    const std::unique_ptr<PGresult, decltype(&PQclear)> result(PQexec(connection.get(), sql.c_str()), &PQclear);
    ASSERT_EQ(PQresultStatus(result.get()), PGRES_COMMAND_OK) << PQerrorMessage(connection.get());
  }

  HttpResponse post(HttpClient& client, const std::string& tenant, int number) {
    const Json order{{"id", fmt::format("00000000-0000-4000-8000-{:012}", number)},
                     {"tenant", tenant},
                     {"customer_name", "A. Person"},
                     {"amount", 12.5}};
    const auto response = client.send({"POST", url("/orders"), {"Content-Type: application/json"}, dump(order)});
    return response ? *response : HttpResponse{0, render(response.error())};
  }
  HttpResponse get(HttpClient& client, const std::string& path) { return *client.send({.url = url(path)}); }
  std::string url(const std::string& path) const { return fmt::format("http://127.0.0.1:{}{}", server_->port(), path); }

  TempDir folder_;
  std::unique_ptr<lab::Lab> lab_;
  std::unique_ptr<demo::Orders> orders_;
  std::unique_ptr<HttpServer> server_;
};

TEST_F(Demo, OrdersAreKeptRefusalsArePassedOnAndALostDatabaseIsSaid) {
  HttpClient client;
  EXPECT_EQ(get(client, "/healthz").status, 200);
  EXPECT_EQ(post(client, "acme", 1).status, 201);
  EXPECT_EQ(post(client, "acme", 1).status, 409);
  const HttpResponse shown = get(client, "/orders/00000000-0000-4000-8000-000000000001");
  EXPECT_EQ(shown.status, 200);
  EXPECT_EQ((*parse_json(shown.body, "order"))["residency"], "eu");
  EXPECT_EQ(get(client, "/orders/00000000-0000-4000-8000-000000000009").status, 404);
  EXPECT_EQ(get(client, "/orders/x").status, 400);
  EXPECT_EQ((*parse_json(get(client, "/orders?tenant=acme").body, "orders"))["orders"].size(), 1U);

  const HttpResponse nobody = post(client, "nobody", 2);
  EXPECT_EQ(nobody.status, 403);
  const HttpResponse late = post(client, "late", 2);
  EXPECT_EQ(late.status, 503);
  EXPECT_NE(late.body.find("the lease is over"), std::string::npos) << late.body;
  EXPECT_EQ(post(client, "wrong", 2).status, 403);
  EXPECT_EQ(client.send({"POST", url("/orders"), {}, "{"})->status, 400);

  // A statement under way when the database dies: nobody knows, and so it says.
  admin(
      "create or replace function refuse() returns trigger language plpgsql as $$ begin perform pg_sleep(30); "
      "return null; end $$");
  HttpResponse lost;
  std::thread writer([&] {
    HttpClient other;
    lost = post(other, "acme", 3);
  });
  for (int i = 0; i < 500; ++i) {
    const std::unique_ptr<PGconn, decltype(&PQfinish)> connection(
        PQconnectdb(lab_->database_of("eu-central-1", "postgres").c_str()), &PQfinish);
    const std::unique_ptr<PGresult, decltype(&PQclear)> result(
        PQexec(connection.get(), "select 1 from pg_stat_activity where wait_event = 'PgSleep'"), &PQclear);
    if (PQntuples(result.get()) == 1) break;
    ::usleep(10'000);
  }
  ASSERT_TRUE(lab_->kill_program("eu-central-1", "postgres"));
  writer.join();
  EXPECT_EQ(lost.status, 504) << lost.body;
  EXPECT_EQ(post(client, "acme", 4).status, 503) << "surely not written";
}

TEST_F(Demo, WritesOfManyClientsAllArrive) {
  constexpr int kClients = 8, kEach = 100;
  std::atomic<int> good = 0;
  const Micros begin = monotonic_now();
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < kClients; ++t)
      threads.emplace_back([&, t] {
        HttpClient client;
        for (int i = 0; i < kEach; ++i)
          if (post(client, "acme", t * kEach + i).status == 201) ++good;
      });
  }
  fmt::print("{} writes/s\n", kClients * kEach * kSecond / (monotonic_now() - begin));
  EXPECT_EQ(good, kClients * kEach);
}

}  // namespace
}  // namespace domicile
