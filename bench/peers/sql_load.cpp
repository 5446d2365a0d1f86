#include "sql_load.hpp"

#include <libpq-fe.h>
#include <poll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <random>
#include <thread>

namespace domicile::bench::peers {
namespace {

using drill::Outcome;
using drill::Write;

constexpr Micros kFresh = kSecond;  // as the drill's clients: later than this, a write has missed what it is judged by
constexpr Micros kNap = 50 * kMillisecond;
constexpr const char* kInsert =
    "INSERT INTO orders (id, tenant, customer_name, customer_email, amount) VALUES ($1, $2, 'Drill Client', "
    "'drill@client.example', 1)";

std::string uuid(std::mt19937_64& random) {
  const std::uint64_t a = random(), b = random();
  return fmt::format("{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}", a >> 32, (a >> 16) & 0xffff, a & 0xfff,
                     0x8000 | ((b >> 48) & 0x3fff), b & 0xffffffffffff);
}

struct Client {
  std::size_t number = 0;
  std::mutex mutex;
  std::condition_variable changed;
  std::uint64_t next = 0;     // of this client's writes, the first that has not fallen due
  std::deque<Write> waiting;  // by intended time
  std::mt19937_64 random{std::random_device{}()};
};

using Session = std::unique_ptr<PGconn, decltype(&PQfinish)>;

enum class Answer { acknowledged, unknown, not_taken };

// Until the server has answered, or `deadline` (monotonic).
bool await_answer(PGconn* session, Micros deadline) {
  while (PQisBusy(session) != 0) {
    pollfd descriptor{PQsocket(session), POLLIN, 0};
    const Micros left = deadline - monotonic_now();
    if (left <= 0 || ::poll(&descriptor, 1, static_cast<int>(left / kMillisecond) + 1) < 0) return false;
    if (PQconsumeInput(session) == 0) return false;
  }
  return true;
}

Answer answer_of(const PGresult* result) {
  if (result == nullptr) return Answer::unknown;
  if (PQresultStatus(result) == PGRES_COMMAND_OK) return Answer::acknowledged;
  const char* field = PQresultErrorField(result, PG_DIAG_SQLSTATE);
  const std::string_view state = field == nullptr ? "" : field;
  // Read only: a standby, or a primary that was demoted meanwhile.
  return state == "25006" ? Answer::not_taken : Answer::unknown;
}

Answer insert(PGconn* session, const Write& write, const std::string& tenant, Micros deadline) {
  const char* values[] = {write.id.c_str(), tenant.c_str()};
  if (PQsendQueryParams(session, kInsert, 2, nullptr, values, nullptr, nullptr, 0) == 0) return Answer::unknown;
  if (!await_answer(session, deadline)) return Answer::unknown;
  const std::unique_ptr<PGresult, decltype(&PQclear)> result(PQgetResult(session), &PQclear);
  const Answer answer = answer_of(result.get());
  if (answer == Answer::acknowledged)
    while (PGresult* more = PQgetResult(session)) PQclear(more);
  return answer;
}

// Whether the other side has ended the session while nothing was asked.
bool usable(PGconn* session) {
  return session != nullptr && PQconsumeInput(session) != 0 && PQstatus(session) == CONNECTION_OK;
}

}  // namespace

struct SqlLoad::Pool {
  SqlLoadSpec spec;
  Micros wall_offset = wall_now() - monotonic_now();  // a stepped wall clock bends no figure
  Micros begun = monotonic_now();
  std::atomic<bool> abandon = false;
  std::atomic<Micros> ends = 0;  // nothing falls due from here on; 0: not stopped
  std::vector<std::unique_ptr<Client>> clients;
  std::mutex mutex;
  std::vector<Write> finished;  // guarded by mutex
  std::vector<std::jthread> threads;

  Micros now() const { return monotonic_now() + wall_offset; }
  Micros due(const Client& client, std::uint64_t number) const {
    const auto index = static_cast<double>(number * spec.clients + client.number);
    return begun + wall_offset + static_cast<Micros>(index / spec.per_s * kSecond);
  }
  void finish(Write write, Outcome outcome) {
    write.outcome = outcome;
    write.done = now();
    const std::lock_guard lock(mutex);
    finished.push_back(std::move(write));
  }

  void gather(Client& client);
  bool await_work(Client& client);
  std::optional<Write> pick(Client& client);
  void give_back(Client& client, Write write);
  void serve(Client& client);
};

// What has fallen due is waiting, and what has waited too long is refused. The client's mutex is held.
void SqlLoad::Pool::gather(Client& client) {
  const Micros until = ends != 0 ? std::min<Micros>(ends, now()) : now();
  for (; due(client, client.next) <= until; ++client.next) {
    Write write;
    write.id = uuid(client.random);
    write.client = static_cast<std::uint32_t>(client.number);
    write.intended = due(client, client.next);
    client.waiting.push_back(std::move(write));
  }
  while (!client.waiting.empty() && client.waiting.front().intended + spec.deadline < now()) {
    finish(std::move(client.waiting.front()), Outcome::refused);
    client.waiting.pop_front();
  }
}

// False: there is none any more.
bool SqlLoad::Pool::await_work(Client& client) {
  std::unique_lock lock(client.mutex);
  while (!abandon) {
    gather(client);
    if (!client.waiting.empty()) return true;
    if (ends != 0) return false;
    const Micros left = std::clamp<Micros>(due(client, client.next) - now(), 0, kNap);
    client.changed.wait_for(lock, std::chrono::microseconds(left));
  }
  return false;
}

// Fresh ones first, as independent clients would be; of either kind the oldest.
std::optional<Write> SqlLoad::Pool::pick(Client& client) {
  const std::lock_guard lock(client.mutex);
  gather(client);
  if (client.waiting.empty()) return {};
  auto next = std::ranges::lower_bound(client.waiting, now() - kFresh, {}, &Write::intended);
  if (next == client.waiting.end()) next = client.waiting.begin();
  Write write = std::move(*next);
  client.waiting.erase(next);
  return write;
}

void SqlLoad::Pool::give_back(Client& client, Write write) {
  const std::lock_guard lock(client.mutex);
  const auto later = std::ranges::upper_bound(client.waiting, write.intended, {}, &Write::intended);
  client.waiting.insert(later, std::move(write));
}

void SqlLoad::Pool::serve(Client& client) {
  // As the drill's clients: they stand for machines of their own.
  (void)::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), -10);
  const std::string tenant = fmt::format("drill-{:03}", client.number);
  Session session(nullptr, &PQfinish);
  const auto pause = [this] {
    if (!abandon) std::this_thread::sleep_for(std::chrono::microseconds(spec.round_pause));
  };
  while (await_work(client)) {
    if (!usable(session.get())) {
      session.reset(PQconnectdb(spec.conninfo.c_str()));
      PQsetNoticeProcessor(
          session.get(), [](void*, const char*) {}, nullptr);  // a server that ends says so to all
      if (PQstatus(session.get()) != CONNECTION_OK) {
        session.reset();
        pause();
        continue;
      }
    }
    auto write = pick(client);
    if (!write) continue;
    ++write->tries;
    const Answer answer = insert(session.get(), *write, tenant, monotonic_now() + spec.answer);
    if (answer == Answer::acknowledged) {
      finish(std::move(*write), Outcome::acknowledged);
      continue;
    }
    session.reset();
    if (answer == Answer::unknown) {
      finish(std::move(*write), Outcome::unknown);
    } else {
      give_back(client, std::move(*write));
      pause();
    }
  }
}

SqlLoad::SqlLoad(SqlLoadSpec spec) : pool_(std::make_unique<Pool>()) {
  pool_->spec = std::move(spec);
  for (std::size_t i = 0; i < pool_->spec.clients; ++i) {
    pool_->clients.push_back(std::make_unique<Client>());
    pool_->clients.back()->number = i;
  }
  for (const auto& client : pool_->clients)
    for (std::size_t i = 0; i < pool_->spec.connections; ++i)
      pool_->threads.emplace_back([pool = pool_.get(), raw = client.get()] { pool->serve(*raw); });
}

SqlLoad::~SqlLoad() { pool_->abandon = true; }

std::vector<Write> SqlLoad::take() {
  const std::lock_guard lock(pool_->mutex);
  return std::exchange(pool_->finished, {});
}

std::vector<Write> SqlLoad::stop() {
  pool_->ends = pool_->now();
  for (auto& thread : pool_->threads)
    if (thread.joinable()) thread.join();
  return take();
}

}  // namespace domicile::bench::peers
