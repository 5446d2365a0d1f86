// The demo: a service with orders of tenants, as a customer would write it. It speaks plain HTTP and knows one
// connection string; of regions it knows only that a row carries its tenant's residency.
//
//   POST /orders            {"id": uuid, "tenant": …, "customer_name": …, "customer_email": …, "amount": number}
//                           201; 409 when that id is there
//   GET  /orders/ID         200 or 404
//   GET  /orders?tenant=T   the newest 100
//   GET  /healthz
// Refusals of the database are passed on: 403 (not lawful here) or 503 (not now), each {"code": SQLSTATE, "reason": …}.
// 504 when the connection was lost while a write was under way: it may or may not have happened.
#pragma once
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/http_server.hpp"

struct pg_conn;

namespace domicile::demo {

// Connections to one database, given back after use; one that broke is opened again when it is needed.
class Pool {
 public:
  struct End {
    void operator()(pg_conn* connection) const;
  };
  struct Session {
    std::unique_ptr<pg_conn, End> connection;
    std::map<std::string, std::string> statements;  // prepared: text -> name
    bool unconfirmed = false;  // the statement in hand committed without the standby that it waited for
  };
  Pool(std::string conninfo, std::size_t size) : conninfo_(std::move(conninfo)), size_(size) {}
  class Lease {
   public:
    Lease(Pool& pool, std::unique_ptr<Session> session) : pool_(&pool), session_(std::move(session)) {}
    Lease(Lease&& other) noexcept = default;
    ~Lease();
    Session& operator*() const { return *session_; }
    Session* operator->() const { return session_.get(); }

   private:
    Pool* pool_;
    std::unique_ptr<Session> session_;
  };
  // As far as the database answers: whoever is asked first after a switch should not wait for sessions to start.
  void open_all();
  // Waits for a free one at most 5 s; `unavailable` when there is none or the database cannot be reached.
  Result<Lease> take();

 private:
  void give_back(std::unique_ptr<Session> session);
  std::string conninfo_;
  std::size_t size_, open_ = 0;
  std::mutex mutex_;
  std::condition_variable freed_;
  std::vector<std::unique_ptr<Session>> idle_;
};

class Orders {
 public:
  explicit Orders(std::string conninfo, std::size_t connections = 16) : pool_(std::move(conninfo), connections) {
    pool_.open_all();
  }
  HttpReply answer(const HttpCall& call);  // thread-safe

 private:
  HttpReply create(const HttpCall& call);
  std::optional<HttpReply> residency_of(Pool::Session& session, const std::string& tenant, std::string& residency,
                                        bool& kept);
  HttpReply show(const HttpCall& call, const std::string& id);
  HttpReply list(const std::string& tenant);
  HttpReply health();
  Pool pool_;
  std::mutex mutex_;
  std::map<std::string, std::string> residency_of_;  // a tenant's residency hardly ever changes
};

}  // namespace domicile::demo
