#include "drill/load.hpp"

#include <curl/curl.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <deque>
#include <mutex>
#include <optional>
#include <random>
#include <thread>

#include "base/file.hpp"
#include "base/json.hpp"

namespace domicile::drill {
namespace {

constexpr Micros kFresh = kSecond;  // later than this, a write has missed what it is judged by

// One request under way. Reused, because an easy handle is dear to make.
struct Transfer {
  std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> easy{curl_easy_init(), &curl_easy_cleanup};
  std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)> connect_to{nullptr, &curl_slist_free_all};
  std::string url, body;
  Write write;
  std::size_t gateway = 0;
};

struct Client {
  const ClientSpec* spec = nullptr;
  std::size_t gateway = 0;             // the one it stays with
  bool searching = false;              // that one did not answer last time
  std::size_t failed_in_row = 0;       // gateways that failed since one answered
  Micros not_before = 0;               // monotonic; the pause between two rounds
  std::deque<Write> waiting;           // by intended time
  std::vector<std::size_t> in_flight;  // by gateway
};

std::size_t ignore_body(char*, std::size_t size, std::size_t count, void*) { return size * count; }

std::string uuid(std::mt19937_64& random) {
  const std::uint64_t a = random(), b = random();
  return fmt::format("{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}", a >> 32, (a >> 16) & 0xffff, a & 0xfff,
                     0x8000 | ((b >> 48) & 0x3fff), b & 0xffffffffffff);
}

}  // namespace

struct Load::Loop {
  LoadSpec spec;
  std::thread thread;
  std::atomic<bool> stopping = false, abandon = false;
  std::atomic<std::uint64_t> offered = 0, acknowledged = 0, refused = 0, unknown = 0;
  std::mutex mutex;
  std::vector<Write> finished;  // guarded by mutex

  // Of the thread alone from here on. libcurl is driven by events: asked as a whole it looks at every request under way
  // for each one that moves, and with hundreds held in a pause the clients would take the machine from those they
  // measure.
  Fd epoll{::epoll_create1(EPOLL_CLOEXEC)};
  std::optional<Micros> timer_at;  // monotonic; when libcurl wants to be called without an event
  std::unique_ptr<CURLM, decltype(&curl_multi_cleanup)> multi{curl_multi_init(), &curl_multi_cleanup};
  std::unique_ptr<CURLSH, decltype(&curl_share_cleanup)> share{curl_share_init(), &curl_share_cleanup};
  std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)> headers{nullptr, &curl_slist_free_all};
  std::vector<std::unique_ptr<Transfer>> busy, idle;
  std::vector<Client> clients;
  std::mt19937_64 random{std::random_device{}()};
  Micros wall_offset = wall_now() - monotonic_now();  // so that a stepped wall clock bends no figure
  Micros begun = monotonic_now();
  std::uint64_t due = 0;  // writes that have fallen due

  ~Loop() {
    for (auto& transfer : busy) curl_multi_remove_handle(multi.get(), transfer->easy.get());
    busy.clear();  // before the share that they use
    idle.clear();
  }
  Micros now() const { return monotonic_now() + wall_offset; }

  static int on_socket(CURL*, curl_socket_t socket, int what, void* self, void* known);
  static int on_timer(CURLM*, long ms, void* self);
  void run();
  void drive();
  void offer();
  void pump(Client& client);
  void send(Client& client, Write write);
  void gather();
  void judge(Transfer& transfer, CURLcode code);
  void try_next(Client& client, const Transfer& transfer);
  void give_back(Client& client, Write write);
  void finish(Write write, Outcome outcome);
  bool at_rest() const;
  int nap_ms() const;
};

int Load::Loop::on_socket(CURL*, curl_socket_t socket, int what, void* self, void* known) {
  auto& loop = *static_cast<Loop*>(self);
  if (what == CURL_POLL_REMOVE) {
    ::epoll_ctl(loop.epoll.get(), EPOLL_CTL_DEL, socket, nullptr);
    return 0;
  }
  epoll_event event{};
  event.data.fd = socket;
  if (what & CURL_POLL_IN) event.events |= EPOLLIN;
  if (what & CURL_POLL_OUT) event.events |= EPOLLOUT;
  ::epoll_ctl(loop.epoll.get(), known == nullptr ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, socket, &event);
  curl_multi_assign(loop.multi.get(), socket, &loop);
  return 0;
}

int Load::Loop::on_timer(CURLM*, long ms, void* self) {
  auto& loop = *static_cast<Loop*>(self);
  loop.timer_at.reset();
  if (ms >= 0) loop.timer_at = monotonic_now() + ms * kMillisecond;
  return 0;
}

// Lets libcurl do what can be done now, or within the nap.
void Load::Loop::drive() {
  int running = 0;
  std::array<epoll_event, 256> events{};
  Micros nap = nap_ms() * kMillisecond;
  if (timer_at) nap = std::clamp<Micros>(*timer_at - monotonic_now(), 0, nap);
  const int count = ::epoll_wait(epoll.get(), events.data(), events.size(), static_cast<int>((nap + 999) / 1000));
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = events[static_cast<std::size_t>(i)];
    int what = 0;
    if (event.events & EPOLLIN) what |= CURL_CSELECT_IN;
    if (event.events & EPOLLOUT) what |= CURL_CSELECT_OUT;
    if (event.events & (EPOLLERR | EPOLLHUP)) what |= CURL_CSELECT_ERR;
    curl_multi_socket_action(multi.get(), event.data.fd, what, &running);
  }
  if (timer_at && *timer_at <= monotonic_now()) {
    timer_at.reset();
    curl_multi_socket_action(multi.get(), CURL_SOCKET_TIMEOUT, 0, &running);
  }
}

void Load::Loop::run() {
  while (!abandon) {
    if (!stopping) offer();
    for (Client& client : clients) pump(client);
    drive();
    gather();
    if (stopping && at_rest()) return;
  }
}

bool Load::Loop::at_rest() const {
  return busy.empty() && std::all_of(clients.begin(), clients.end(), [](const Client& c) { return c.waiting.empty(); });
}

int Load::Loop::nap_ms() const {
  if (stopping) return 10;
  const Micros next = begun + static_cast<Micros>(static_cast<double>(due) * kSecond / spec.per_s);
  return static_cast<int>(std::clamp<Micros>((next - monotonic_now() + 999) / 1000, 0, 10));
}

void Load::Loop::offer() {
  const Micros passed = monotonic_now() - begun;
  while (static_cast<double>(due) * kSecond / spec.per_s <= static_cast<double>(passed)) {
    Write write;
    write.id = uuid(random);
    write.client = static_cast<std::uint32_t>(due % clients.size());
    write.intended = begun + wall_offset + static_cast<Micros>(static_cast<double>(due) * kSecond / spec.per_s);
    clients[write.client].waiting.push_back(std::move(write));
    ++due;
    ++offered;
  }
}

void Load::Loop::pump(Client& client) {
  while (!client.waiting.empty() && client.waiting.front().intended + spec.deadline <= now()) {
    finish(std::move(client.waiting.front()), Outcome::refused);
    client.waiting.pop_front();
  }
  if (client.not_before > monotonic_now()) return;
  const auto allowed = static_cast<std::size_t>(client.searching ? 1 : spec.connections);
  while (!client.waiting.empty() && client.in_flight[client.gateway] < allowed) {
    // Clients are independent: a write that has just fallen due does not queue behind those that an outage has already
    // made late. Among the fresh, and among the late, the oldest goes first.
    auto next = std::ranges::lower_bound(client.waiting, now() - kFresh, {}, &Write::intended);
    if (next == client.waiting.end()) next = client.waiting.begin();
    Write write = std::move(*next);
    client.waiting.erase(next);
    send(client, std::move(write));
  }
}

void Load::Loop::send(Client& client, Write write) {
  if (idle.empty()) idle.push_back(std::make_unique<Transfer>());
  auto transfer = std::move(idle.back());
  idle.pop_back();
  const Gateway& gateway = client.spec->gateways[client.gateway];
  const bool tls = !spec.ca.empty();
  ++write.tries;
  transfer->gateway = client.gateway;
  transfer->url = fmt::format("{}://{}:{}/orders", tls ? "https" : "http", client.spec->host, gateway.port);
  transfer->body = dump({{"id", write.id},
                         {"tenant", client.spec->tenant},
                         {"customer_name", "Drill Client"},
                         {"customer_email", "drill@client.example"},
                         {"amount", 1}});
  transfer->connect_to.reset(curl_slist_append(nullptr, fmt::format("::{}:{}", gateway.address, gateway.port).c_str()));
  transfer->write = std::move(write);
  CURL* easy = transfer->easy.get();
  curl_easy_reset(easy);
  curl_easy_setopt(easy, CURLOPT_URL, transfer->url.c_str());
  curl_easy_setopt(easy, CURLOPT_CONNECT_TO, transfer->connect_to.get());
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_PROXY, "");  // an environment's proxy is not for us
  curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(spec.connect / kMillisecond));
  curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, static_cast<long>(spec.answer / kMillisecond));
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers.get());
  curl_easy_setopt(easy, CURLOPT_POSTFIELDS, transfer->body.c_str());
  curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(transfer->body.size()));
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, &ignore_body);
  curl_easy_setopt(easy, CURLOPT_SHARE, share.get());
  curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer.get());
  if (tls) curl_easy_setopt(easy, CURLOPT_CAINFO, spec.ca.c_str());
  curl_multi_add_handle(multi.get(), easy);
  ++client.in_flight[client.gateway];
  busy.push_back(std::move(transfer));
}

void Load::Loop::gather() {
  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(multi.get(), &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    const CURLcode code = message->data.result;
    CURL* easy = message->easy_handle;
    const auto at = std::find_if(busy.begin(), busy.end(), [&](const auto& t) { return t->easy.get() == easy; });
    std::unique_ptr<Transfer> transfer = std::move(*at);
    busy.erase(at);
    judge(*transfer, code);
    curl_multi_remove_handle(multi.get(), easy);
    idle.push_back(std::move(transfer));
  }
}

void Load::Loop::judge(Transfer& transfer, CURLcode code) {
  Client& client = clients[transfer.write.client];
  --client.in_flight[transfer.gateway];
  long status = 0, sent = 0;
  curl_easy_getinfo(transfer.easy.get(), CURLINFO_RESPONSE_CODE, &status);
  curl_easy_getinfo(transfer.easy.get(), CURLINFO_REQUEST_SIZE, &sent);
  transfer.write.status = static_cast<int>(status);
  if (code != CURLE_OK) {
    try_next(client, transfer);
    if (sent == 0)
      give_back(client, std::move(transfer.write));
    else
      finish(std::move(transfer.write), Outcome::unknown);
    return;
  }
  if (status == 503 || status == 421) {
    try_next(client, transfer);
    give_back(client, std::move(transfer.write));
    return;
  }
  if (transfer.gateway == client.gateway) {
    client.searching = false;
    client.failed_in_row = 0;
  }
  // 409: that id is there. libcurl repeats by itself what it sent on a kept-alive connection that turned out closed,
  // and nobody else has this id, so this very write was committed.
  if ((status >= 200 && status < 300) || status == 409)
    finish(std::move(transfer.write), Outcome::acknowledged);
  else
    finish(std::move(transfer.write), status >= 400 && status < 500 ? Outcome::refused : Outcome::unknown);
}

// Answers of a gateway that the client has left already say nothing new.
void Load::Loop::try_next(Client& client, const Transfer& transfer) {
  if (transfer.gateway != client.gateway) return;
  client.searching = true;
  client.gateway = (client.gateway + 1) % client.spec->gateways.size();
  if (++client.failed_in_row % client.spec->gateways.size() == 0)
    client.not_before = monotonic_now() + spec.round_pause;
}

void Load::Loop::give_back(Client& client, Write write) {
  const auto later = std::find_if(client.waiting.begin(), client.waiting.end(),
                                  [&](const Write& other) { return other.intended > write.intended; });
  client.waiting.insert(later, std::move(write));
}

void Load::Loop::finish(Write write, Outcome outcome) {
  write.outcome = outcome;
  write.done = now();
  ++(outcome == Outcome::acknowledged ? acknowledged : outcome == Outcome::refused ? refused : unknown);
  const std::lock_guard lock(mutex);
  finished.push_back(std::move(write));
}

Load::Load(std::unique_ptr<Loop> loop) : loop_(std::move(loop)) {}

Load::~Load() {
  loop_->abandon = true;
  if (loop_->thread.joinable()) loop_->thread.join();
}

Result<std::unique_ptr<Load>> Load::start(LoadSpec spec) {
  if (spec.clients.empty() || !(spec.per_s > 0) || spec.connections < 1)
    return fail(Kind::invalid_input, "a load needs clients, a rate and connections");
  for (const auto& client : spec.clients)
    if (client.gateways.empty()) return fail(Kind::invalid_input, "a client needs a gateway");
  auto loop = std::make_unique<Loop>();
  loop->spec = std::move(spec);
  for (const auto& client : loop->spec.clients)
    loop->clients.push_back({&client, 0, false, 0, 0, {}, std::vector<std::size_t>(client.gateways.size())});
  loop->headers.reset(curl_slist_append(nullptr, "Content-Type: application/json"));
  // No pause for a 100-continue, whatever the size.
  loop->headers.reset(curl_slist_append(loop->headers.release(), "Expect:"));
  curl_share_setopt(loop->share.get(), CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
  curl_multi_setopt(loop->multi.get(), CURLMOPT_MAXCONNECTS,
                    static_cast<long>(loop->clients.size()) * loop->spec.connections * 2);
  curl_multi_setopt(loop->multi.get(), CURLMOPT_SOCKETFUNCTION, &Loop::on_socket);
  curl_multi_setopt(loop->multi.get(), CURLMOPT_SOCKETDATA, loop.get());
  curl_multi_setopt(loop->multi.get(), CURLMOPT_TIMERFUNCTION, &Loop::on_timer);
  curl_multi_setopt(loop->multi.get(), CURLMOPT_TIMERDATA, loop.get());
  if (!loop->epoll) return tl::unexpected<Error>(errno_error("cannot start the clients"));
  loop->begun = monotonic_now();
  loop->thread = std::thread([raw = loop.get()] {
    // The clients stand for machines of their own: what they measure must not take the processor from them. Only an
    // administrator may ask for this; others measure a little worse.
    (void)::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), -10);
    raw->run();
  });
  return std::unique_ptr<Load>(new Load(std::move(loop)));
}

LoadCounters Load::counters() const { return {loop_->offered, loop_->acknowledged, loop_->refused, loop_->unknown}; }

std::vector<Write> Load::take() {
  const std::lock_guard lock(loop_->mutex);
  return std::exchange(loop_->finished, {});
}

std::vector<Write> Load::stop() {
  loop_->stopping = true;
  if (loop_->thread.joinable()) loop_->thread.join();
  return take();
}

std::string to_text(const LoadSpec& spec) {
  Json clients = Json::array();
  for (const auto& client : spec.clients) {
    Json gateways = Json::array();
    for (const auto& gateway : client.gateways)
      gateways.push_back({{"region", gateway.region}, {"address", gateway.address}, {"port", gateway.port}});
    clients.push_back({{"tenant", client.tenant},
                       {"host", client.host},
                       {"residency", client.residency},
                       {"gateways", std::move(gateways)}});
  }
  return dump({{"clients", std::move(clients)},
               {"per_s", spec.per_s},
               {"ca", spec.ca},
               {"connections", spec.connections},
               {"connect_us", spec.connect},
               {"answer_us", spec.answer},
               {"deadline_us", spec.deadline},
               {"round_pause_us", spec.round_pause}});
}

Result<LoadSpec> load_spec_of(const std::string& text) {
  const Json json = TRY(parse_json(text, "the load"));
  LoadSpec spec;
  for (const auto& each : TRY(member<Json>(json, "clients"))) {
    ClientSpec client{TRY(member<std::string>(each, "tenant")),
                      TRY(member<std::string>(each, "host")),
                      TRY(member<std::string>(each, "residency")),
                      {}};
    for (const auto& gateway : TRY(member<Json>(each, "gateways")))
      client.gateways.push_back({TRY(member<std::string>(gateway, "region")),
                                 TRY(member<std::string>(gateway, "address")), TRY(member<int>(gateway, "port"))});
    spec.clients.push_back(std::move(client));
  }
  const Json rate = TRY(member<Json>(json, "per_s"));
  if (!rate.is_number()) return fail(Kind::corrupt, "per_s is no number");
  spec.per_s = rate.get<double>();
  spec.ca = TRY(member<std::string>(json, "ca"));
  spec.connections = TRY(member<int>(json, "connections"));
  spec.connect = TRY(member<Micros>(json, "connect_us"));
  spec.answer = TRY(member<Micros>(json, "answer_us"));
  spec.deadline = TRY(member<Micros>(json, "deadline_us"));
  spec.round_pause = TRY(member<Micros>(json, "round_pause_us"));
  return spec;
}

}  // namespace domicile::drill
