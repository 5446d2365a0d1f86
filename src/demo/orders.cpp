#include "demo/orders.hpp"

#include <libpq-fe.h>
#include <poll.h>

#include "base/json.hpp"
#include "demo/sql.hpp"

namespace domicile::demo {
namespace {

Json row_of(const PGresult* result, int row) {
  Json order = Json::object();
  for (int column = 0; column < PQnfields(result); ++column)
    order[PQfname(result, column)] = PQgetisnull(result, row, column) ? Json() : Json(PQgetvalue(result, row, column));
  return order;
}

bool died_while_idle(pg_conn* connection) {
  pollfd entry{PQsocket(connection), POLLIN, 0};
  if (::poll(&entry, 1, 0) == 0) return false;
  return PQconsumeInput(connection) == 0 || PQstatus(connection) != CONNECTION_OK;
}

}  // namespace

void Pool::End::operator()(pg_conn* connection) const { PQfinish(connection); }

void Pool::open_all() {
  std::vector<Lease> all;
  for (std::size_t i = 0; i < size_; ++i) {
    auto lease = take();
    if (!lease) return;
    all.push_back(std::move(*lease));
  }
}

Result<Pool::Lease> Pool::take() {
  std::unique_lock lock(mutex_);
  const auto free = [&] { return !idle_.empty() || open_ < size_; };
  if (!freed_.wait_for(lock, std::chrono::seconds(5), free))
    return fail(Kind::unavailable, "all database connections are in use");
  while (!idle_.empty()) {
    auto session = std::move(idle_.back());
    idle_.pop_back();
    if (!died_while_idle(session->connection.get())) return Lease(*this, std::move(session));
    --open_;
  }
  ++open_;
  lock.unlock();
  auto session = std::make_unique<Session>();
  session->connection.reset(PQconnectdb(conninfo_.c_str()));
  PQsetNoticeReceiver(session->connection.get(), note_warning, session.get());
  Lease made(*this, std::move(session));
  if (PQstatus(made->connection.get()) != CONNECTION_OK)
    return fail(Kind::unavailable, "the database cannot be reached");
  return made;
}

void Pool::give_back(std::unique_ptr<Session> session) {
  pg_conn* connection = session->connection.get();
  const bool good = PQstatus(connection) == CONNECTION_OK && PQtransactionStatus(connection) == PQTRANS_IDLE;
  if (!good) session.reset();
  const std::lock_guard lock(mutex_);
  if (good)
    idle_.push_back(std::move(session));
  else
    --open_;
  freed_.notify_one();
}

Pool::Lease::~Lease() {
  if (session_) pool_->give_back(std::move(session_));
}

HttpReply Orders::answer(const HttpCall& call) {
  if (call.path == "/healthz") return health();
  if (call.path == "/orders" && call.method == "POST") return create(call);
  if (call.path == "/orders" && call.method == "GET") {
    const auto tenant = call.query.find("tenant");
    if (tenant == call.query.end()) return refusal(400, "tenant", "name a tenant: /orders?tenant=T");
    return list(tenant->second);
  }
  if (call.path.starts_with("/orders/") && call.method == "GET") return show(call, call.path.substr(8));
  return refusal(404, "path", "there is no such page");
}

HttpReply Orders::health() {
  const auto lease = pool_.take();
  if (!lease) return refusal(503, "unavailable", lease.error().what);
  const Answer result = query(**lease, "select 1", {});
  if (PQresultStatus(result.get()) != PGRES_TUPLES_OK) return failure(**lease, result.get(), false);
  return json_reply(200, {{"ok", true}});
}

HttpReply Orders::create(const HttpCall& call) {
  const auto order = parse_json(call.body, "order");
  if (!order) return refusal(400, "json", "the body is no JSON");
  const auto id = member<std::string>(*order, "id"), tenant = member<std::string>(*order, "tenant");
  const auto name = member_or<std::string>(*order, "customer_name", "");
  const auto email = member_or<std::string>(*order, "customer_email", "");
  const auto amount = order->is_object() && order->contains("amount") ? (*order)["amount"] : Json(0);
  if (!id || !tenant || !name || !email || !amount.is_number())
    return refusal(400, "order", "an order has id, tenant, and perhaps customer_name, customer_email, amount");

  const auto lease = pool_.take();
  if (!lease) return refusal(503, "unavailable", lease.error().what);
  // Twice when the tenant has moved since its residency was looked up.
  for (bool again = true;; again = false) {
    bool kept = false;
    std::string residency;
    if (auto refused = residency_of(**lease, *tenant, residency, kept)) return *std::move(refused);
    const Answer made =
        query(**lease,
              "insert into app.orders (id, residency, tenant_id, customer_name, customer_email, amount) "
              "values ($1, $2, $3, nullif($4, ''), nullif($5, ''), $6)",
              {*id, residency, *tenant, *name, *email, dump(amount)});
    if (PQresultStatus(made.get()) == PGRES_COMMAND_OK && (*lease)->unconfirmed)
      return unconfirmed();
    if (PQresultStatus(made.get()) == PGRES_COMMAND_OK) return json_reply(201, {{"id", *id}});
    {
      const std::lock_guard lock(mutex_);
      residency_of_.erase(*tenant);
    }
    const char* state = PQresultErrorField(made.get(), PG_DIAG_SQLSTATE);
    if (!again || !kept || state == nullptr || std::string_view(state) != "DM002")
      return failure(**lease, made.get(), true);
  }
}

// `kept`: it was remembered, and may be old. A reply: there is none to be had.
std::optional<HttpReply> Orders::residency_of(Pool::Session& session, const std::string& tenant, std::string& residency,
                                              bool& kept) {
  {
    const std::lock_guard lock(mutex_);
    const auto known = residency_of_.find(tenant);
    kept = known != residency_of_.end();
    if (kept) residency = known->second;
  }
  if (kept) return {};
  const Answer found = query(session, "select residency from domicile.tenant where tenant_id = $1", {tenant});
  if (PQresultStatus(found.get()) != PGRES_TUPLES_OK) return failure(session, found.get(), false);
  if (PQntuples(found.get()) == 0) return refusal(403, "DM002", "the tenant is unknown");
  residency = PQgetvalue(found.get(), 0, 0);
  const std::lock_guard lock(mutex_);
  residency_of_[tenant] = residency;
  return {};
}

HttpReply Orders::show(const HttpCall& call, const std::string& id) {
  const auto lease = pool_.take();
  if (!lease) return refusal(503, "unavailable", lease.error().what);
  const auto tenant = call.headers.find("x-tenant");
  const Answer found = query(**lease,
                             "select id, tenant_id as tenant, residency, customer_name, customer_email, amount, "
                             "created_at from app.orders where id = $1 and ($2 = '' or tenant_id = $2)",
                             {id, tenant == call.headers.end() ? "" : tenant->second});
  if (PQresultStatus(found.get()) != PGRES_TUPLES_OK) return failure(**lease, found.get(), false);
  if (PQntuples(found.get()) == 0) return refusal(404, "id", "there is no such order");
  return json_reply(200, row_of(found.get(), 0));
}

HttpReply Orders::list(const std::string& tenant) {
  const auto lease = pool_.take();
  if (!lease) return refusal(503, "unavailable", lease.error().what);
  const Answer found = query(**lease,
                             "select id, residency, amount, created_at from app.orders where tenant_id = $1 "
                             "order by created_at desc limit 100",
                             {tenant});
  if (PQresultStatus(found.get()) != PGRES_TUPLES_OK) return failure(**lease, found.get(), false);
  Json orders = Json::array();
  for (int row = 0; row < PQntuples(found.get()); ++row) orders.push_back(row_of(found.get(), row));
  return json_reply(200, {{"orders", orders}});
}

}  // namespace domicile::demo
