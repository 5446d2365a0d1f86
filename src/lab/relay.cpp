#include "lab/relay.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <deque>
#include <mutex>
#include <queue>
#include <thread>
#include <unordered_map>

#include "lab/namespace.hpp"

namespace domicile::lab {
namespace {

constexpr int kBacklog = 1024;
constexpr std::size_t kBuffer = 4U << 20;  // per direction of a connection: 45 ms at 90 MB/s

struct Path {
  PathState state;
  bool cut_by_hand = false;
  Micros flap_start = 0;
  Micros paced_until = 0;  // when the bytes delivered so far have left a slow path

  bool blocked(Micros now) const {
    if (cut_by_hand) return true;
    return state.flap_period > 0 && ((now - flap_start) % state.flap_period) * 2 < state.flap_period;
  }
};

struct Listener {
  Route route;
  Fd fd;
  Fd plug;  // made in the listener's network; see shut
  const Path *there = nullptr, *back = nullptr;
  bool is_shut = false;
};

struct Piece {
  Micros due;
  enum Kind { data, fin, reset } kind;
  std::string bytes = {};
  std::size_t done = 0;
};

struct Flow {  // one direction of a connection
  Path* path = nullptr;
  std::deque<Piece> queue = {};
  std::size_t buffered = 0;
  bool ended = false;     // nothing more will be read
  bool finished = false;  // nothing more will be delivered
  Micros alarm_at = 0;    // one pending alarm at a time, or each event would add one
  Fd record = {};
};

struct Socket {
  Fd fd;
  bool readable = false, writable = false;
};

struct Connection {
  const Listener* listener = nullptr;
  Socket near = {}, far = {};
  Flow out = {}, back = {};
  Micros dial_at = 0;
  bool aborted = false;
};

// Arrivals from afar are gathered on a grid of a millisecond: one wake-up delivers what hundreds would have.
Micros arrival(Micros now, Micros latency) {
  constexpr Micros kGrid = kMillisecond;
  return latency == 0 ? now : (now + latency + kGrid - 1) / kGrid * kGrid;
}

sockaddr_in address_of(const std::string& host, int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  ::inet_pton(AF_INET, host.c_str(), &address.sin_addr);
  return address;
}

void set_nodelay(int fd) {
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

void reset_on_close(int fd) {
  const linger now_gone{1, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &now_gone, sizeof now_gone);
}

}  // namespace

struct Relay::Loop {
  std::map<std::string, int> namespaces;
  fs::path record;
  mutable std::mutex mutex;  // everything below; the loop holds it while it works, not while it waits
  std::map<std::pair<std::string, std::string>, Path> paths;
  std::unordered_map<std::uint64_t, std::unique_ptr<Listener>> listeners;
  std::unordered_map<std::uint64_t, std::unique_ptr<Connection>> connections;
  using Alarm = std::pair<Micros, std::uint64_t>;
  std::priority_queue<Alarm, std::vector<Alarm>, std::greater<>> alarms;
  std::uint64_t next_id = 1, recorded = 0;  // connections recorded so far
  bool healed = false;
  Fd epoll, bell;
  std::atomic<bool> stopping = false;
  std::thread thread;

  enum Tag : std::uint64_t { listening = 0, near_side = 1, far_side = 2, bell_rings = 3 };

  Path& path(const std::string& from, const std::string& to) {
    Path& found = paths[{from, to}];
    found.state.from = from, found.state.to = to;
    return found;
  }

  void watch(int fd, std::uint64_t id, Tag tag, std::uint32_t events) const {
    epoll_event event{};
    event.events = events;
    event.data.u64 = id << 2 | tag;
    ::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, fd, &event);
  }

  void ring() const {
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t n = ::write(bell.get(), &one, sizeof one);
  }

  void run();
  void accept_on(std::uint64_t id, in_port_t but_from = 0);  // network byte order
  void shut(std::uint64_t id, Listener& listener);
  void open(std::uint64_t id, Listener& listener);
  bool record_both(Connection& connection, std::uint64_t number) const;
  void dial(std::uint64_t id, Connection& connection);
  void pump(std::uint64_t id);
  void read_into(Flow& flow, Socket& from, Micros now) const;
  void deliver(std::uint64_t id, Connection& connection, Flow& flow, Socket& to, Micros now);
  bool apply_cuts(Micros now);  // true when a path was cut or healed
  void pump_all();
  Micros next_wake(Micros now) const;
  std::size_t open_between(const std::string& a, const std::string& b) const;
};

void Relay::Loop::accept_on(std::uint64_t id, in_port_t but_from) {
  Listener& listener = *listeners.at(id);
  while (!listener.is_shut) {
    sockaddr_in client{};
    socklen_t size = sizeof client;
    Fd fd(::accept4(listener.fd.get(), reinterpret_cast<sockaddr*>(&client), &size, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!fd) return;
    if (but_from != 0 && client.sin_port == but_from) continue;
    set_nodelay(fd.get());
    const std::uint64_t number = next_id++;
    auto connection = std::make_unique<Connection>();
    const Route& route = listener.route;
    connection->listener = &listener;
    connection->out.path = &path(route.from, route.to);
    connection->back.path = &path(route.to, route.from);
    if (!record.empty() && !record_both(*connection, ++recorded)) {
      reset_on_close(fd.get());
      continue;
    }
    connection->dial_at = monotonic_now() + connection->out.path->state.latency;
    watch(fd.get(), number, near_side, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
    connection->near.fd = std::move(fd);
    alarms.emplace(connection->dial_at, number);
    connections.emplace(number, std::move(connection));
  }
}

bool Relay::Loop::record_both(Connection& connection, std::uint64_t number) const {
  const Route& route = connection.listener->route;
  const auto open = [&](const std::string& from, const std::string& to) {
    const fs::path folder = record / fmt::format("{}-{}", from, to);
    ::mkdir(folder.c_str(), 0700);
    return Fd(::open((folder / fmt::format("{}.{}", route.service, number)).c_str(),
                     O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  };
  connection.out.record = open(route.from, route.to);
  connection.back.record = open(route.to, route.from);
  return connection.out.record && connection.back.record;
}

// The kernel drops SYNs without an answer, as a dead line does, while a listener's queue is full. One connection that
// nobody accepts fills the shortest queue. Needs no privilege; a socket filter does on the network of the host.
void Relay::Loop::shut(std::uint64_t id, Listener& listener) {
  accept_on(id);  // whoever was there before the cut
  epoll_event none{};
  none.data.u64 = id << 2 | listening;
  ::epoll_ctl(epoll.get(), EPOLL_CTL_MOD, listener.fd.get(), &none);
  sockaddr_in address{};
  socklen_t size = sizeof address;
  ::getsockname(listener.fd.get(), reinterpret_cast<sockaddr*>(&address), &size);
  ::connect(listener.plug.get(), reinterpret_cast<const sockaddr*>(&address), size);
  ::listen(listener.fd.get(), 0);
  listener.is_shut = true;
}

void Relay::Loop::open(std::uint64_t id, Listener& listener) {
  sockaddr_in plug{};
  socklen_t size = sizeof plug;
  ::getsockname(listener.plug.get(), reinterpret_cast<sockaddr*>(&plug), &size);
  ::listen(listener.fd.get(), kBacklog);
  listener.is_shut = false;
  accept_on(id, plug.sin_port);
  sockaddr nobody{};
  nobody.sa_family = AF_UNSPEC;
  ::connect(listener.plug.get(), &nobody, sizeof nobody);  // disconnects it, for the next time
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = id << 2 | listening;
  ::epoll_ctl(epoll.get(), EPOLL_CTL_MOD, listener.fd.get(), &event);
}

void Relay::Loop::dial(std::uint64_t id, Connection& connection) {
  const Route& route = connection.listener->route;
  const int target = namespaces.at(route.to);
  // This thread has no namespace of its own to go back to: it enters the right one before every socket that it makes.
  if (target >= 0 && ::setns(target, CLONE_NEWNET) != 0) {
    connection.aborted = true;
    return;
  }
  Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  set_nodelay(fd.get());
  if (!route.dial_from.empty()) {
    const int on = 1;
    ::setsockopt(fd.get(), IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    const sockaddr_in from = address_of(route.dial_from, 0);
    if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&from), sizeof from) != 0) {
      connection.aborted = true;
      return;
    }
  }
  const sockaddr_in address = address_of(route.dial_host, route.dial_port);
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 && errno != EINPROGRESS) {
    connection.back.queue.push_back({monotonic_now() + connection.back.path->state.latency, Piece::reset});
    connection.out.finished = connection.back.ended = true;
    return;
  }
  watch(fd.get(), id, far_side, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
  connection.far.fd = std::move(fd);
}

void Relay::Loop::read_into(Flow& flow, Socket& from, Micros now) const {
  char buffer[65536];
  while (from.readable && !flow.ended && flow.buffered < kBuffer) {
    const ssize_t n = ::read(from.fd.get(), buffer, sizeof buffer);
    const Micros due = arrival(now, flow.path->state.latency);
    if (n > 0) {
      flow.buffered += static_cast<std::size_t>(n);
      flow.queue.push_back({due, Piece::data, std::string(buffer, static_cast<std::size_t>(n))});
    } else if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
      from.readable = false;
    } else {
      flow.queue.push_back({due, n == 0 ? Piece::fin : Piece::reset});
      flow.ended = true;
    }
  }
}

void Relay::Loop::deliver(std::uint64_t id, Connection& connection, Flow& flow, Socket& to, Micros now) {
  Path& way = *flow.path;
  while (!flow.queue.empty() && !flow.finished) {
    Piece& piece = flow.queue.front();
    if (way.blocked(now)) return;  // heal pumps everything
    const Micros due = std::max(piece.due, way.paced_until);
    if (due > now) {
      if (flow.alarm_at <= now) alarms.emplace(flow.alarm_at = due, id);
      return;
    }
    if (piece.kind == Piece::reset) {
      connection.aborted = true;
      return;
    }
    if (piece.kind == Piece::fin) {
      if (!to.writable) return;
      ::shutdown(to.fd.get(), SHUT_WR);
      flow.finished = true;
      return;
    }
    if (!to.writable) return;
    std::size_t size = piece.bytes.size() - piece.done;
    const std::uint64_t rate = way.state.bytes_per_s;
    if (rate > 0) size = std::min<std::size_t>(size, std::max<std::uint64_t>(rate / 100, 1));  // 10 ms of it at once
    const ssize_t n = ::send(to.fd.get(), piece.bytes.data() + piece.done, size, MSG_NOSIGNAL);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
      to.writable = false;
      return;
    }
    if (n < 0) {  // the receiver is gone; its own direction tells the sender
      flow.queue.clear();
      flow.finished = true;
      return;
    }
    if (flow.record && ::write(flow.record.get(), piece.bytes.data() + piece.done, static_cast<std::size_t>(n)) != n) {
      connection.aborted = true;
      return;
    }
    piece.done += static_cast<std::size_t>(n);
    flow.buffered -= static_cast<std::size_t>(n);
    way.state.bytes += static_cast<std::uint64_t>(n);
    if (rate > 0) way.paced_until = now + n * kSecond / static_cast<Micros>(rate);
    if (piece.done == piece.bytes.size()) flow.queue.pop_front();
  }
}

void Relay::Loop::pump(std::uint64_t id) {
  const auto found = connections.find(id);
  if (found == connections.end()) return;
  Connection& connection = *found->second;
  const Micros now = monotonic_now();
  if (!connection.far.fd && !connection.out.finished && now >= connection.dial_at && !connection.out.path->blocked(now))
    dial(id, connection);
  std::size_t before = 0, after = 0;
  do {  // delivering makes room for reading
    before = connection.out.buffered + connection.back.buffered;
    read_into(connection.out, connection.near, now);
    if (connection.far.fd) {
      read_into(connection.back, connection.far, now);
      deliver(id, connection, connection.out, connection.far, now);
    }
    deliver(id, connection, connection.back, connection.near, now);
    after = connection.out.buffered + connection.back.buffered;
  } while (before != after && !connection.aborted);
  if (connection.aborted)
    for (const Socket* socket : {&connection.near, &connection.far})
      if (socket->fd) reset_on_close(socket->fd.get());
  if (connection.aborted || (connection.out.finished && connection.back.finished)) connections.erase(found);
}

void Relay::Loop::pump_all() {
  std::vector<std::uint64_t> ids;
  for (const auto& [id, connection] : connections) ids.push_back(id);
  for (const std::uint64_t id : ids) pump(id);
}

bool Relay::Loop::apply_cuts(Micros now) {
  bool changed = false;
  for (auto& [key, way] : paths) {
    const bool blocked = way.blocked(now);
    changed |= blocked != way.state.cut;
    way.state.cut = blocked;
  }
  for (auto& [id, listener] : listeners) {
    // A lost SYN and a lost answer to it look the same.
    const bool drop = listener->there->state.cut || listener->back->state.cut;
    if (drop && !listener->is_shut) shut(id, *listener);
    if (!drop && listener->is_shut) open(id, *listener);
  }
  return changed;
}

Micros Relay::Loop::next_wake(Micros now) const {
  Micros wake = now + kSecond;
  if (!alarms.empty()) wake = std::min(wake, alarms.top().first);
  for (const auto& [key, way] : paths) {
    if (way.state.flap_period == 0) continue;
    const Micros half = std::max<Micros>(way.state.flap_period / 2, 1);
    wake = std::min(wake, now + half - (now - way.flap_start) % half);
  }
  return std::max(wake, now);
}

void Relay::Loop::run() {
  std::array<epoll_event, 256> events{};
  while (!stopping) {
    Micros wait = 0;
    {
      const std::lock_guard lock(mutex);
      const Micros now = monotonic_now();
      wait = next_wake(now) - now;
    }
    const timespec timeout{static_cast<time_t>(wait / kSecond), static_cast<long>(wait % kSecond) * 1000};
    const int n = ::epoll_pwait2(epoll.get(), events.data(), events.size(), &timeout, nullptr);
    const std::lock_guard lock(mutex);
    if (apply_cuts(monotonic_now()) || std::exchange(healed, false)) pump_all();
    for (int i = 0; i < n; ++i) {
      const std::uint64_t id = events[static_cast<std::size_t>(i)].data.u64 >> 2;
      const auto tag = static_cast<Tag>(events[static_cast<std::size_t>(i)].data.u64 & 3);
      const std::uint32_t what = events[static_cast<std::size_t>(i)].events;
      if (tag == bell_rings) {
        std::uint64_t count = 0;
        [[maybe_unused]] const ssize_t got = ::read(bell.get(), &count, sizeof count);
      } else if (tag == listening) {
        accept_on(id);
      } else if (const auto found = connections.find(id); found != connections.end()) {
        Socket& socket = tag == near_side ? found->second->near : found->second->far;
        if (what & (EPOLLIN | EPOLLRDHUP | EPOLLERR | EPOLLHUP)) socket.readable = true;
        if (what & (EPOLLOUT | EPOLLERR | EPOLLHUP)) socket.writable = true;
        pump(id);
      }
    }
    const Micros now = monotonic_now();
    while (!alarms.empty() && alarms.top().first <= now) {
      const std::uint64_t id = alarms.top().second;
      alarms.pop();
      pump(id);
    }
  }
}

std::size_t Relay::Loop::open_between(const std::string& a, const std::string& b) const {
  std::size_t count = 0;
  for (const auto& [id, connection] : connections) {
    const Route& route = connection->listener->route;
    if ((route.from == a && route.to == b) || (route.from == b && route.to == a)) ++count;
  }
  return count;
}

Result<std::unique_ptr<Relay>> Relay::start(std::map<std::string, int> namespaces, fs::path record) {
  auto loop = std::make_unique<Loop>();
  loop->namespaces = std::move(namespaces);
  if (!record.empty()) CHECK_OK(make_directories(record, 0700));
  loop->record = std::move(record);
  loop->epoll = Fd(::epoll_create1(EPOLL_CLOEXEC));
  loop->bell = Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!loop->epoll || !loop->bell) return tl::unexpected<Error>(errno_error("cannot start the relay"));
  loop->watch(loop->bell.get(), 0, Loop::bell_rings, EPOLLIN);
  loop->thread = std::thread([raw = loop.get()] { raw->run(); });
  return std::unique_ptr<Relay>(new Relay(std::move(loop)));
}

Relay::Relay(std::unique_ptr<Loop> loop) : loop_(std::move(loop)) {}

Relay::~Relay() {
  loop_->stopping = true;
  loop_->ring();
  loop_->thread.join();
}

Result<int> Relay::add(const Route& route) {
  const auto here = loop_->namespaces.find(route.from);
  if (here == loop_->namespaces.end() || !loop_->namespaces.contains(route.to))
    return fail(Kind::invalid_input, fmt::format("no route from {} to {}: unknown site", route.from, route.to));
  Fd fd, plug;
  int code = EPERM;
  sockaddr_in address = address_of(route.listen_host, route.listen_port);
  inside(here->second, [&] {
    fd = Fd(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    plug = Fd(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    const int on = 1;
    ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        ::listen(fd.get(), kBacklog) != 0) {
      code = errno;
      fd.reset();
    }
  });
  if (!fd) {
    errno = code;
    return tl::unexpected<Error>(errno_error(
        fmt::format("the relay cannot listen on {}:{} in {}", route.listen_host, route.listen_port, route.from)));
  }
  socklen_t size = sizeof address;
  ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size);
  const std::lock_guard lock(loop_->mutex);
  const Path *there = &loop_->path(route.from, route.to), *back = &loop_->path(route.to, route.from);
  const std::uint64_t id = loop_->next_id++;
  loop_->watch(fd.get(), id, Loop::listening, EPOLLIN);
  loop_->listeners.emplace(id,
                           std::make_unique<Listener>(Listener{route, std::move(fd), std::move(plug), there, back}));
  loop_->ring();
  return ntohs(address.sin_port);
}

void Relay::set_latency(const std::string& from, const std::string& to, Micros latency) {
  const std::lock_guard lock(loop_->mutex);
  loop_->path(from, to).state.latency = latency;
}

// A cut holds when it returns: the loop works under the same lock, and SYNs are dropped from here on.
void Relay::cut(const std::string& from, const std::string& to) {
  const std::lock_guard lock(loop_->mutex);
  loop_->path(from, to).cut_by_hand = true;
  loop_->apply_cuts(monotonic_now());
}

void Relay::heal(const std::string& from, const std::string& to) {
  const std::lock_guard lock(loop_->mutex);
  Path& way = loop_->path(from, to);
  way.cut_by_hand = false;
  way.state.flap_period = 0;
  way.state.bytes_per_s = 0;
  way.paced_until = 0;
  loop_->healed = true;
  loop_->ring();
}

void Relay::heal_all() {
  for (const PathState& way : paths()) heal(way.from, way.to);
}

void Relay::slow(const std::string& from, const std::string& to, std::uint64_t bytes_per_s) {
  const std::lock_guard lock(loop_->mutex);
  loop_->path(from, to).state.bytes_per_s = bytes_per_s;
  loop_->ring();
}

void Relay::flap(const std::string& from, const std::string& to, Micros period) {
  const std::lock_guard lock(loop_->mutex);
  Path& way = loop_->path(from, to);
  way.state.flap_period = period;
  way.flap_start = monotonic_now();
  loop_->ring();
}

std::vector<PathState> Relay::paths() const {
  const std::lock_guard lock(loop_->mutex);
  std::vector<PathState> all;
  for (const auto& [key, way] : loop_->paths) {
    PathState state = way.state;
    state.cut = way.blocked(monotonic_now());
    state.connections = loop_->open_between(state.from, state.to);
    all.push_back(state);
  }
  return all;
}

}  // namespace domicile::lab
