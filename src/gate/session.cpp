#include "gate/session.hpp"

#include <poll.h>

#include <algorithm>

#include "gate/stream.hpp"
#include "gate/upstream.hpp"

namespace domicile::gate {
namespace {

constexpr Micros kLook = 500 * kMillisecond;   // how often a silent session looks whether it is to end
constexpr std::size_t kPeerFrame = 8192;       // the largest message that a subscription sends
constexpr std::size_t kAnswer = 1U << 20;      // the largest answer to one of its questions
constexpr std::size_t kChunk = 64U << 10;      // read at once
constexpr std::string_view kDenied = "DM010";  // SQLSTATE of every refusal

tl::unexpected<Error> refuse(Refusal rule, const std::string& what) {
  return tl::unexpected<Error>(refusal(rule, what));
}
tl::unexpected<Error> refuse(const Refused& refused) { return refuse(refused.rule, refused.what); }

// Too large or garbled: the peer's fault, whatever the parser calls it.
tl::unexpected<Error> malformed(const Error& error) { return refuse(Refusal::size, error.what); }

class Session {
 public:
  Session(const SessionSetup& setup, int fd, const std::stop_token& stop, std::atomic<Standing>& standing)
      : setup_(setup), stop_(stop), standing_(standing), peer_(fd), fd_(fd) {}
  ~Session();
  void run();

 private:
  Result<void> talk();
  Result<void> shake_hands();
  Result<void> identify();
  Result<void> begin();
  Result<Statement> questions();
  Result<char> answer();  // forwards the server's answer; the type of the frame that ended it
  Result<Frame> next_peer_frame(Micros deadline);
  Result<void> stream(const Statement& start);
  Result<void> hear(std::size_t size, Micros deadline);
  bool revoked() const { return setup_.revoked && setup_.revoked(tls_->serial()); }
  void say_goodbye(const Error& error);

  const SessionSetup& setup_;
  const std::stop_token& stop_;
  std::atomic<Standing>& standing_;
  Wire peer_;
  int fd_;
  std::optional<TlsSession> tls_;
  bool shaking_ = false;  // hands, since the peer was told to
  PeerRule rule_;
  bool entered_ = false;             // it counts as one of its region's
  std::optional<Refused> too_many_;  // said once there is somebody to say it to
  std::string application_;          // what the peer calls itself, if that is one of its links
  std::optional<Upstream> upstream_;
  Buffer from_peer_, from_server_;
  std::size_t taken_ = 0;  // of from_peer_, by the frame in hand
  std::optional<Stream> stream_;
  bool over_ = false;
};

Session::~Session() {
  if (entered_) setup_.book->leave(rule_.region);
}

void Session::run() {
  const auto talked = talk();
  if (talked) return;
  if (standing_ == Standing::evicted)
    say_goodbye(refusal(Refusal::busy, "too many connections have not said who they are; this was the oldest"));
  else
    say_goodbye(talked.error());
}

void Session::say_goodbye(const Error& error) {
  if (error.kind != Kind::refused) {
    setup_.log.info("gate.ended", "a session has ended",
                    {{Field::peer, rule_.region}, {Field::reason, one_line(error)}});
    if (error.kind == Kind::unavailable && !tls_) return;
  }
  const bool refused = error.kind == Kind::refused;
  // Inside of a handshake there is no TLS to say it in, and in the clear it would be garbage to the peer.
  const bool heard = tls_ || !shaking_;
  const std::string id = refused ? setup_.book->deny(rule_.region, error.id, error.what) : "";
  const auto text = refused ? fmt::format("domicile gate: refused by rule {}: {} (denial {})", error.id, error.what, id)
                            : std::string("domicile gate: the session has ended");
  if (!heard) return;
  // What may pass goes first: inside of a frame that is half sent an error would be no error.
  const Micros deadline = monotonic_now() + kSecond;
  if (stream_ && !peer_.write_all(stream_->unsent(), deadline)) return;
  (void)peer_.write_all(error_frame(refused ? kDenied : "08006", text, error.fix), deadline);
}

Result<void> Session::talk() {
  CHECK_OK(shake_hands());
  CHECK_OK(identify());
  CHECK_OK(begin());
  const auto start = TRY(questions());
  if (over_) return {};
  return stream(start);
}

// Nothing but the wish for TLS is understood in the clear, and nothing may lie behind it: it would be taken for what
// came through TLS.
Result<void> Session::shake_hands() {
  const Micros deadline = monotonic_now() + setup_.patience;
  for (bool asked_gssapi = false;;) {
    std::string_view view = from_peer_.view();
    const std::size_t before = view.size();
    const auto first = take_first(view);
    if (!first) return malformed(first.error());
    if (!*first) {
      CHECK_OK(hear(64, deadline));
      if (from_peer_.size() > kPeerFrame) return refuse(Refusal::size, "the first message does not end");
      continue;
    }
    from_peer_.drop(before - view.size());
    switch ((*first)->kind) {
      case FirstMessage::Kind::cancel:
        return refuse(Refusal::cancel, "no session here can be cancelled from outside");
      case FirstMessage::Kind::startup:
        return refuse(Refusal::tls, "only by TLS");
      case FirstMessage::Kind::gssapi:
        if (std::exchange(asked_gssapi, true)) return refuse(Refusal::tls, "only by TLS");
        CHECK_OK(peer_.write_all("N", deadline));
        continue;
      case FirstMessage::Kind::tls:
        break;
    }
    if (!from_peer_.empty()) return refuse(Refusal::tls, "something was sent before the TLS handshake");
    CHECK_OK(peer_.write_all("S", deadline));
    shaking_ = true;
    auto session = setup_.tls->accept(fd_, deadline);
    if (!session)
      return refuse(session.error().kind == Kind::unavailable ? Refusal::silent : Refusal::certificate,
                    session.error().what);
    tls_ = std::move(*session);
    peer_ = tls_->wire();
    return {};
  }
}

Result<void> Session::identify() {
  const auto region = setup_.peers.find(tls_->common_name());
  if (region == setup_.peers.end())
    return refuse(Refusal::certificate, "this certificate is of no region that has links");
  rule_ = {region->second, region->first, setup_.database, setup_.book->links_to(region->second)};
  if (revoked()) return refuse(Refusal::certificate, "this certificate is revoked");
  too_many_ = setup_.book->enter(rule_.region, setup_.per_peer);
  entered_ = !too_many_;
  auto stranger = Standing::stranger;
  if (entered_ && !standing_.compare_exchange_strong(stranger, Standing::known))
    return fail(Kind::unavailable, "evicted");
  return {};
}

Result<void> Session::begin() {
  const Micros deadline = monotonic_now() + setup_.patience;
  while (true) {
    std::string_view view = from_peer_.view();
    const std::size_t before = view.size();
    const auto first = take_first(view);
    if (!first) return malformed(first.error());
    if (!*first) {
      CHECK_OK(hear(kPeerFrame, deadline));
      if (from_peer_.size() > 2 * kPeerFrame) return refuse(Refusal::size, "the start-up message does not end");
      continue;
    }
    from_peer_.drop(before - view.size());
    if ((*first)->kind == FirstMessage::Kind::cancel)
      return refuse(Refusal::cancel, "no session here can be cancelled from outside");
    if ((*first)->kind != FirstMessage::Kind::startup) return refuse(Refusal::startup, "TLS inside of TLS");
    if (const auto refused = judge_startup(rule_, **first)) return refuse(*refused);
    if (too_many_) return refuse(*too_many_);
    application_ = rule_.role;
    for (const auto& [name, value] : (*first)->parameters)
      if (name == "application_name" && std::ranges::find(rule_.links, value) != rule_.links.end())
        application_ = value;
    break;
  }
  upstream_ = TRY(Upstream::open(setup_.upstream, application_, deadline));
  // AuthenticationOk; the certificate was the proof. No BackendKeyData: there is nothing to cancel with it.
  return peer_.write_all(frame('R', std::string(4, '\0')) + upstream_->parameters() + ready_frame(), deadline);
}

// More of what the peer says, or nothing yet. However slowly it drips, by the deadline its message must be whole, and
// whoever leaves in the middle of one has cut it short.
Result<void> Session::hear(std::size_t size, Micros deadline) {
  const auto more = from_peer_.fill(peer_, size);
  if (!more && !from_peer_.empty()) return refuse(Refusal::size, "a message was cut short");
  if (!TRY(more)) (void)peer_.wait(POLLIN, std::min(deadline, monotonic_now() + kLook));
  if (stop_.stop_requested()) return fail(Kind::unavailable, "the gate is stopping");
  if (monotonic_now() >= deadline) return refuse(Refusal::silent, "no whole message came in time");
  return {};
}

Result<Frame> Session::next_peer_frame(Micros deadline) {
  from_peer_.drop(std::exchange(taken_, 0));
  while (true) {
    std::string_view view = from_peer_.view();
    const std::size_t before = view.size();
    const auto taken = take_frame(view, kPeerFrame);
    if (!taken) return malformed(taken.error());
    if (*taken) {
      taken_ = before - view.size();
      return **taken;
    }
    CHECK_OK(hear(kPeerFrame, deadline));
  }
}

Result<Statement> Session::questions() {
  while (true) {
    // A subscription asks at once; PostgreSQL itself would wait for ever.
    const Frame message = TRY(next_peer_frame(monotonic_now() + setup_.patience));
    const auto kind = judge_message(message.type, false);
    if (const auto* refused = std::get_if<Refused>(&kind)) return refuse(*refused);
    if (std::get<PeerMessage>(kind) == PeerMessage::terminate) {
      over_ = true;
      return Statement{};
    }
    std::string_view text = message.body;
    if (text.empty() || text.back() != '\0') return refuse(Refusal::size, "a statement without its end");
    text.remove_suffix(1);
    const auto verdict = judge_statement(rule_, text);
    if (const auto* refused = std::get_if<Refused>(&verdict)) return refuse(*refused);
    const auto& statement = std::get<Statement>(verdict);
    if (revoked()) return refuse(Refusal::certificate, "this certificate was revoked while its session was open");
    if (statement.kind == Statement::Kind::start) {
      if (!TRY(upstream_->owns(statement.link, monotonic_now() + setup_.patience)))
        return refuse(Refusal::ended, "this region does not own the residency of " + statement.link + " any more");
      if (const auto refused = setup_.book->take(statement.link, statement.from)) return refuse(*refused);
    }
    const auto answered = [&]() -> Result<char> {
      CHECK_OK(upstream_->wire().write_all(message.whole, monotonic_now() + setup_.patience));
      return answer();
    }();
    if (statement.kind != Statement::Kind::start) {
      CHECK_OK(answered);
      continue;
    }
    if (answered && *answered == 'W') return statement;
    setup_.book->give_back(statement.link);
    CHECK_OK(answered);
  }
}

// Names of publications, tables and columns: nothing that a link does not show anyway. The server's own errors go on as
// their code alone; their text may quote.
Result<char> Session::answer() {
  const Micros deadline = monotonic_now() + setup_.patience;
  std::size_t passed = 0;
  while (true) {
    std::string_view view = from_server_.view();
    const std::size_t before = view.size();
    const auto taken = TRY(take_frame(view, kAnswer));
    if (!taken) {
      const bool more = TRY(from_server_.fill(upstream_->wire(), kChunk));
      if (!more && !upstream_->wire().wait(POLLIN, deadline))
        return fail(Kind::unavailable, "PostgreSQL does not answer");
      continue;
    }
    passed += taken->whole.size();
    if (passed > kAnswer) return fail(Kind::corrupt, "PostgreSQL's answer is too long");
    const char type = taken->type;
    if (type == 'E') {
      const auto code = sqlstate_of_error(taken->body);
      setup_.log.warn("gate.server", "PostgreSQL refused a peer's statement",
                      {{Field::peer, rule_.region}, {Field::code, code}});
      CHECK_OK(peer_.write_all(
          error_frame(code, "the server behind the gate refused it; its log says why", {}, "ERROR"), deadline));
    } else if (type != 'N') {
      CHECK_OK(peer_.write_all(taken->whole, deadline));
    }
    from_server_.drop(before - view.size());
    if (type == 'Z' || type == 'W') return type;
  }
}

Result<void> Session::stream(const Statement& start) {
  const GateLink& link = *setup_.book->link(start.link);
  setup_.log.info("gate.stream", "a link streams", {{Field::link, link.rule.link}, {Field::peer, rule_.region}});
  from_peer_.drop(std::exchange(taken_, 0));
  stream_.emplace(*setup_.book, link, start.from,
                  StreamEnds{peer_, upstream_->wire(), std::move(from_peer_), std::move(from_server_)},
                  StreamRules{setup_.largest_row, [this] { return revoked(); }});
  auto ended = stream_->run(stop_);
  setup_.book->give_back(link.rule.link);
  return ended;
}

}  // namespace

void run_session(const SessionSetup& setup, int client, const std::stop_token& stop, std::atomic<Standing>& standing) {
  Session(setup, client, stop, standing).run();
}

}  // namespace domicile::gate
