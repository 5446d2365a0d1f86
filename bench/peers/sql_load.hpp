// The drill's open-loop load for clients that speak SQL: the same offering, deadlines, order and outcomes as
// drill::Load, over libpq with whatever its conninfo says (several hosts, or a HAProxy).
//
// A write is tried again only when it surely was not processed: no connection, or a server that does not take writes.
#pragma once
#include <memory>

#include "drill/write.hpp"

namespace domicile::bench::peers {

struct SqlLoadSpec {
  std::string conninfo;
  std::size_t clients = 20;
  double per_s = 500;           // of all clients together, spread evenly in turn
  std::size_t connections = 2;  // of one client
  Micros answer = 3 * kSecond;
  Micros deadline = 10 * kSecond;           // from the intended time; then an unsent write is refused
  Micros round_pause = 200 * kMillisecond;  // after a connection could not be made
};

class SqlLoad {
 public:
  // Runs in the network of the thread that calls, until stop or destruction.
  explicit SqlLoad(SqlLoadSpec spec);
  ~SqlLoad();
  SqlLoad(const SqlLoad&) = delete;
  SqlLoad& operator=(const SqlLoad&) = delete;

  std::vector<drill::Write> take();  // the writes that ended since the last take
  std::vector<drill::Write> stop();  // lets no further write fall due, waits until each has an outcome

 private:
  struct Pool;
  std::unique_ptr<Pool> pool_;
};

// What the writes are inserted into.
inline constexpr const char* kOrders =
    "CREATE TABLE orders (id uuid PRIMARY KEY, tenant text NOT NULL, customer_name text, customer_email text, amount "
    "bigint, created_at timestamptz NOT NULL DEFAULT now())";

}  // namespace domicile::bench::peers
