#include "gate/gate.hpp"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <list>
#include <thread>

namespace domicile::gate {
namespace {

constexpr Micros kLook = 200 * kMillisecond;
constexpr Micros kSync = kSecond;

// A peer that has vanished sends no FIN, and its link would stay in use.
void notice_death(int fd) {
  const int on = 1, idle = 2, interval = 1, count = 3, patience_ms = 10'000;
  ::setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
  ::setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &patience_ms, sizeof patience_ms);
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

Result<Fd> listen_on(const std::string& host, int port) {
  Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const int on = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  if (::inet_pton(AF_INET, host.c_str(), &address.sin_addr) != 1)
    return fail(Kind::invalid_input, "no IPv4 address: " + host);
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 || ::listen(fd.get(), 64) != 0)
    return tl::unexpected<Error>(errno_error(fmt::format("the gate cannot listen on {}:{}", host, port)));
  return fd;
}

}  // namespace

struct Gate::State {
  Log log;
  std::unique_ptr<Book> book;
  std::optional<TlsServer> tls;
  SessionSetup setup;
  Fd listener;
  int port = 0, strangers = 0;
  struct One {
    Fd client;
    std::atomic<bool> done = false;
    std::atomic<Standing> standing = Standing::stranger;
    std::jthread thread;  // last: it uses the above
  };
  std::list<One> sessions;  // of the thread alone
  std::jthread thread;      // last: it uses all of the above

  void run(const std::stop_token& stop);
  void take_one();
  void make_room();
};

void Gate::State::take_one() {
  Fd client(::accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (!client) return;
  notice_death(client.get());
  sessions.remove_if([](const One& one) { return one.done.load(); });
  make_room();
  One& one = sessions.emplace_back();
  one.client = std::move(client);
  one.thread = std::jthread([this, &one](const std::stop_token& stop) {
    run_session(setup, one.client.get(), stop, one.standing);
    ::shutdown(one.client.get(), SHUT_RDWR);  // the peer need not wait until it is removed
    one.done = true;
  });
}

// Whoever has not shown a certificate may not keep out those who would: the oldest of too many goes. It is waited for,
// so that whoever connects again and again is served no faster than it can be told.
void Gate::State::make_room() {
  const auto stranger = [](const One& one) { return one.standing == Standing::stranger && !one.done; };
  if (std::ranges::count_if(sessions, stranger) < strangers) return;
  for (auto one = sessions.begin(); one != sessions.end(); ++one) {
    auto was = Standing::stranger;
    if (one->done || !one->standing.compare_exchange_strong(was, Standing::evicted)) continue;
    ::shutdown(one->client.get(), SHUT_RD);
    sessions.erase(one);
    return;
  }
}

void Gate::State::run(const std::stop_token& stop) {
  Micros sync_at = monotonic_now() + kSync;
  while (!stop.stop_requested()) {
    if (Wire(listener.get()).wait(POLLIN, monotonic_now() + kLook)) take_one();
    if (monotonic_now() < sync_at) continue;
    sync_at = monotonic_now() + kSync;
    if (const auto kept = book->transfers().sync(); !kept)
      log.error("gate.state", "the transfer register is not on the disk", {{Field::reason, one_line(kept.error())}});
  }
  for (One& one : sessions) one.thread.request_stop();
  sessions.clear();
  (void)book->transfers().sync();
}

Gate::Gate(std::unique_ptr<State> state) : state_(std::move(state)) {}
Gate::~Gate() = default;
int Gate::port() const { return state_->port; }
Book& Gate::book() { return *state_->book; }

Result<std::unique_ptr<Gate>> Gate::start(GateConfig config, Log log) {
  std::unique_ptr<State> state(new State{log});
  state->book = TRY(Book::open(config.state, std::move(config.links), log));
  state->tls = TRY(TlsServer::make(config.tls));
  state->setup = {&*state->tls,       state->book.get(),       std::move(config.upstream),
                  config.database,    std::move(config.peers), std::move(config.revoked),
                  config.largest_row, config.patience,         config.per_peer,
                  std::move(log)};
  state->listener = TRY(listen_on(config.host, config.port));
  sockaddr_in address{};
  socklen_t size = sizeof address;
  ::getsockname(state->listener.get(), reinterpret_cast<sockaddr*>(&address), &size);
  state->port = ntohs(address.sin_port);
  state->strangers = config.strangers;
  state->thread = std::jthread([raw = state.get()](const std::stop_token& stop) { raw->run(stop); });
  return std::unique_ptr<Gate>(new Gate(std::move(state)));
}

}  // namespace domicile::gate
