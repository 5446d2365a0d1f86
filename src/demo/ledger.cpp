#include "demo/ledger.hpp"

#include <array>

#include "demo/sql.hpp"

namespace domicile::demo {
namespace {

constexpr std::array<std::string_view, 3> kPaths = {"/registers/", "/lists/", "/banks/"};

struct Statement {
  const char* sql;
  std::vector<std::string> parameters;
  bool must_find = false;  // 412 when it touches no row
};

// One request: what is to be done, in one transaction.
struct Task {
  std::vector<Statement> writes;
  std::optional<Statement> read;
};

std::string column(const PGresult* result, int column) { return PQgetvalue(result, 0, column); }

// Whose database this is, and in which epoch it may be written; no row: it may not.
constexpr const char* kStanding =
    "select epoch, current_setting('cluster_name') from domicile.guard_state() "
    "where residency = $1 and state = 'open' and end_us > domicile.guard_now()";

std::string text(const Json& body, const char* name) {
  const auto value = member<std::string>(body, name);
  return value ? *value : "";
}

// A whole number as text; empty: there is none of that name.
std::string number(const Json& body, const char* name) {
  const auto value = member<std::int64_t>(body, name);
  return value ? std::to_string(*value) : "";
}

Task register_task(const HttpCall& call, const std::string& key, const Json& body, const std::string& residency) {
  if (call.method == "GET")
    return {{}, Statement{"select value from app.registers where residency = $1 and id = $2", {residency, key}}};
  const std::string value = number(body, "value");
  if (body.contains("expected"))
    return {{{"update app.registers set value = $3::bigint, note = $4 where residency = $1 and id = $2 and value = "
              "$5::bigint",
              {residency, key, value, text(body, "note"), number(body, "expected")},
              true}},
            {}};
  return {{{"insert into app.registers (residency, id, tenant_id, value, note) values ($1, $2, $3, $4::bigint, $5) "
            "on conflict (residency, id) do update set value = excluded.value, note = excluded.note",
            {residency, key, text(body, "tenant"), value, text(body, "note")}}},
          {}};
}

Task list_task(const HttpCall& call, const std::string& key, const Json& body, const std::string& residency) {
  if (call.method == "GET")
    return {{},
            Statement{"select array_to_json(items) from app.lists where residency = $1 and id = $2", {residency, key}}};
  return {{{"insert into app.lists as l (residency, id, tenant_id, items, note) "
            "values ($1, $2, $3, array[$4::bigint], $5) "
            "on conflict (residency, id) do update set items = l.items || excluded.items",
            {residency, key, text(body, "tenant"), number(body, "value"), text(body, "note")}}},
          {}};
}

Task bank_task(const HttpCall& call, const std::string& key, const Json& body, const std::string& residency) {
  if (call.method == "GET")
    return {{},
            Statement{"select json_agg(balance order by number) from app.accounts where residency = $1 and bank = $2",
                      {residency, key}}};
  if (call.method == "PUT")
    return {{{"insert into app.accounts (residency, bank, number, tenant_id, balance, note) "
              "select $1, $2, n, $3, $4::bigint, $5 from generate_series(0, $6::int - 1) n on conflict do nothing",
              {residency, key, text(body, "tenant"), number(body, "balance"), text(body, "note"),
               number(body, "accounts")}}},
            {}};
  const std::string from = number(body, "from"), to = number(body, "to"), amount = number(body, "amount");
  return {{{"update app.accounts set balance = balance + case when number = $3::int then -$5::bigint else $5::bigint "
            "end where residency = $1 and bank = $2 and number in ($3::int, $4::int)",
            {residency, key, from, to, amount},
            true},
           {"insert into app.transfers (residency, bank, tenant_id, id, from_account, to_account, amount, note) "
            "values ($1, $2, $3, $4::bigint, $5::int, $6::int, $7::bigint, $8)",
            {residency, key, text(body, "tenant"), number(body, "id"), from, to, amount, text(body, "note")}}},
          {}};
}

// Runs a task in a transaction of its own and says where and when it happened.
class Run {
 public:
  Run(Session& session, const std::string& residency) : session_(session), residency_(residency) {}

  HttpReply of(const Task& task) {
    if (auto failed = does("begin", false)) return *std::move(failed);
    HttpReply reply = inside(task);
    if (reply.status != 200) (void)query(session_, "rollback", {});
    return reply;
  }

 private:
  std::optional<HttpReply> does(const char* sql, bool writing) {
    const Answer done = query(session_, sql, {});
    if (PQresultStatus(done.get()) != PGRES_COMMAND_OK) return failure(session_, done.get(), writing);
    return {};
  }

  HttpReply inside(const Task& task) {
    Json told = Json::object();
    // Of a read it has to be known before; a write's is asked for once it holds the guard's lock.
    if (task.read)
      if (auto refused = standing(told)) return *std::move(refused);
    for (const Statement& statement : task.writes) {
      const Answer done = query(session_, statement.sql, statement.parameters);
      if (PQresultStatus(done.get()) != PGRES_COMMAND_OK) return failure(session_, done.get(), true);
      if (statement.must_find && std::string_view(PQcmdTuples(done.get())) == "0")
        return refusal(412, "expected", "it holds something else");
    }
    if (task.read) {
      const Answer found = query(session_, task.read->sql, task.read->parameters);
      if (PQresultStatus(found.get()) != PGRES_TUPLES_OK) return failure(session_, found.get(), false);
      const bool there = PQntuples(found.get()) > 0 && PQgetisnull(found.get(), 0, 0) == 0;
      told["value"] = there ? parse_json(column(found.get(), 0), "a value").value_or(Json()) : Json();
    }
    Json now = Json::object();
    if (auto refused = standing(now)) return *std::move(refused);
    if (task.read && now["epoch"] != told["epoch"]) return refusal(503, "epoch", "the owner changed meanwhile");
    told.update(now);
    if (auto failed = does("commit", !task.writes.empty())) return *std::move(failed);
    if (session_.unconfirmed) return unconfirmed();
    const Answer lsn = query(session_, "select pg_current_wal_insert_lsn() - '0/0'::pg_lsn", {});
    if (PQresultStatus(lsn.get()) == PGRES_TUPLES_OK)
      told["lsn"] = parse_json(column(lsn.get(), 0), "a position").value_or(Json(0));
    return json_reply(200, told);
  }

  std::optional<HttpReply> standing(Json& told) {
    const Answer found = query(session_, kStanding, {residency_});
    if (PQresultStatus(found.get()) != PGRES_TUPLES_OK) return failure(session_, found.get(), false);
    if (PQntuples(found.get()) != 1) return refusal(503, "lease", "this database does not own the residency now");
    told["epoch"] = parse_json(column(found.get(), 0), "an epoch").value_or(Json(0));
    told["node"] = column(found.get(), 1);
    return {};
  }

  Session& session_;
  const std::string& residency_;
};

}  // namespace

bool Ledger::serves(const std::string& path) {
  for (const std::string_view each : kPaths)
    if (path.starts_with(each)) return true;
  return false;
}

HttpReply Ledger::answer(const HttpCall& call) {
  std::size_t kind = 0;
  while (kind + 1 < kPaths.size() && !call.path.starts_with(kPaths[kind])) ++kind;
  const std::string key = call.path.substr(kPaths[kind].size());
  const auto body = parse_json(call.body.empty() ? "{}" : call.body, "request");
  const auto asked = call.query.find("tenant");
  const std::string tenant = asked != call.query.end() ? asked->second : body ? text(*body, "tenant") : "";
  if (!body || !body->is_object() || tenant.empty() || key.empty())
    return refusal(400, "request", "see demo/ledger.hpp");

  const auto lease = pool_.take();
  if (!lease) return refusal(503, "unavailable", lease.error().what);
  const Answer found = query(**lease, "select residency from domicile.tenant where tenant_id = $1", {tenant});
  if (PQresultStatus(found.get()) != PGRES_TUPLES_OK) return failure(**lease, found.get(), false);
  if (PQntuples(found.get()) == 0) return refusal(403, "DM002", "the tenant is unknown");
  const std::string residency = column(found.get(), 0);
  const Task task = kind == 0   ? register_task(call, key, *body, residency)
                    : kind == 1 ? list_task(call, key, *body, residency)
                                : bank_task(call, key, *body, residency);
  return Run(**lease, residency).of(task);
}

}  // namespace domicile::demo
