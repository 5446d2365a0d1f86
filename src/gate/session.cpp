#include "gate/session.hpp"

#include <poll.h>

#include <algorithm>
#include <array>
#include <deque>

#include "gate/protocol/feedback.hpp"
#include "gate/upstream.hpp"

namespace domicile::gate {
namespace {

constexpr Micros kPatience = 10 * kSecond;      // for each step before the stream
constexpr Micros kLook = 500 * kMillisecond;    // how often a silent stream looks whether it is to end
constexpr Micros kGo = 20 * kMillisecond;       // how often a stopped one looks whether it may go on
constexpr std::size_t kPeerFrame = 8192;        // the largest message that a subscription sends
constexpr std::size_t kAnswer = 1U << 20;       // the largest answer to one of its questions
constexpr std::size_t kChunk = 64U << 10;       // read at once
constexpr std::size_t kHighWater = 256U << 10;  // on its way to the peer: until then the server is not read
constexpr std::size_t kOnWay = 10'000;          // markers that a peer has not confirmed: half an hour of them
constexpr std::string_view kDenied = "DM010";   // SQLSTATE of every refusal

Error refusal(Refusal rule, const std::string& what) {
  return {Kind::refused, what, "see the gate's rules in docs/gate.md", std::string(name_of(rule))};
}
tl::unexpected<Error> refuse(Refusal rule, const std::string& what) {
  return tl::unexpected<Error>(refusal(rule, what));
}
tl::unexpected<Error> refuse(const Refused& refused) { return refuse(refused.rule, refused.what); }

// Too large or garbled: the peer's fault, whatever the parser calls it.
tl::unexpected<Error> malformed(const Error& error) { return refuse(Refusal::size, error.what); }

class Session {
 public:
  Session(const SessionSetup& setup, int fd, const std::stop_token& stop, std::atomic<bool>& known)
      : setup_(setup), stop_(stop), known_(known), peer_(fd), fd_(fd) {}
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
  Result<void> pump(Check& check, const GateLink& link);
  Result<void> from_server(Check& check, const GateLink& link);
  Result<void> from_peer(const GateLink& link);
  void note_progress(const Check& check, const GateLink& link);
  void note_confirmed(const StatusUpdate& update, const GateLink& link);
  Result<void> count(const Check& check, const GateLink& link);
  Result<void> cut(const GateLink& link, const Violation& violation);
  void say_goodbye(const Error& error);

  const SessionSetup& setup_;
  const std::stop_token& stop_;
  std::atomic<bool>& known_;
  Wire peer_;
  int fd_;
  std::optional<TlsSession> tls_;
  PeerRule rule_;
  std::string application_;  // what the peer calls itself, if that is one of its links
  std::optional<Upstream> upstream_;
  Buffer from_peer_, from_server_, to_peer_, to_server_;
  std::size_t taken_ = 0;  // of from_peer_, by the frame in hand
  Feedback feedback_;
  Lsn begun_ = 0;                    // where the stream began
  bool stopped_ = false;             // at the place where the link stops: the server is not read
  std::deque<PassedMarker> on_way_;  // sent and not confirmed yet
  Progress progress_;
  struct Counted {
    Register::Place* place = nullptr;
    Passed passed;
  };
  std::map<std::string, Counted> counted_;  // by schema.table
  bool over_ = false;
};

void Session::run() {
  const auto talked = talk();
  if (!talked) say_goodbye(talked.error());
}

void Session::say_goodbye(const Error& error) {
  if (error.kind != Kind::refused) {
    setup_.log.info("gate.ended", "a session has ended",
                    {{Field::peer, rule_.region}, {Field::reason, one_line(error)}});
    if (error.kind == Kind::unavailable && !tls_) return;
  }
  const bool refused = error.kind == Kind::refused;
  const std::string id = refused ? setup_.book->deny(rule_.region, error.id, error.what) : "";
  const auto text = refused ? fmt::format("domicile gate: refused by rule {}: {} (denial {})", error.id, error.what, id)
                            : std::string("domicile gate: the session has ended");
  // What may pass goes first: inside of a frame that is half sent an error would be no error.
  const Micros deadline = monotonic_now() + kSecond;
  if (!peer_.write_all(to_peer_.view(), deadline)) return;
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
  const Micros deadline = monotonic_now() + kPatience;
  for (bool asked_gssapi = false;;) {
    std::string_view view = from_peer_.view();
    const std::size_t before = view.size();
    const auto first = take_first(view);
    if (!first) return malformed(first.error());
    if (!*first) {
      const bool more = TRY(from_peer_.fill(peer_, 64));
      if (!more && !peer_.wait(POLLIN, deadline)) return refuse(Refusal::silent, "nothing was said");
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
    auto session = setup_.tls->accept(fd_, deadline);
    if (!session) {
      // There is no TLS to say it in, and in the clear it would be garbage to the peer.
      const auto id = setup_.book->deny("", name_of(Refusal::certificate), session.error().what);
      return fail(Kind::unavailable, fmt::format("{} (denial {})", session.error().what, id));
    }
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
  if (setup_.revoked && setup_.revoked(tls_->serial()))
    return refuse(Refusal::certificate, "this certificate is revoked");
  known_ = true;
  return {};
}

Result<void> Session::begin() {
  const Micros deadline = monotonic_now() + kPatience;
  while (true) {
    std::string_view view = from_peer_.view();
    const std::size_t before = view.size();
    const auto first = take_first(view);
    if (!first) return malformed(first.error());
    if (!*first) {
      const bool more = TRY(from_peer_.fill(peer_, kPeerFrame));
      if (!more && !peer_.wait(POLLIN, deadline)) return refuse(Refusal::silent, "no session was begun");
      if (from_peer_.size() > 2 * kPeerFrame) return refuse(Refusal::size, "the start-up message does not end");
      continue;
    }
    from_peer_.drop(before - view.size());
    if ((*first)->kind == FirstMessage::Kind::cancel)
      return refuse(Refusal::cancel, "no session here can be cancelled from outside");
    if ((*first)->kind != FirstMessage::Kind::startup) return refuse(Refusal::startup, "TLS inside of TLS");
    if (const auto refused = judge_startup(rule_, **first)) return refuse(*refused);
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

Result<Frame> Session::next_peer_frame(Micros deadline) {
  from_peer_.drop(std::exchange(taken_, 0));
  while (!stop_.stop_requested()) {
    std::string_view view = from_peer_.view();
    const std::size_t before = view.size();
    const auto taken = take_frame(view, kPeerFrame);
    if (!taken) return malformed(taken.error());
    if (*taken) {
      taken_ = before - view.size();
      return **taken;
    }
    const bool more = TRY(from_peer_.fill(peer_, kPeerFrame));
    if (!more && !peer_.wait(POLLIN, std::min(deadline, monotonic_now() + kLook)) && monotonic_now() >= deadline)
      return refuse(Refusal::silent, "a session that asks nothing");
  }
  return fail(Kind::unavailable, "the gate is stopping");
}

Result<Statement> Session::questions() {
  while (true) {
    // A subscription asks at once; PostgreSQL itself would wait for ever.
    const Frame message = TRY(next_peer_frame(monotonic_now() + kPatience));
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
    if (statement.kind == Statement::Kind::start) {
      if (!TRY(upstream_->owns(statement.link, monotonic_now() + kPatience)))
        return refuse(Refusal::ended, "this region does not own the residency of " + statement.link + " any more");
      if (const auto refused = setup_.book->take(statement.link, statement.from)) return refuse(*refused);
    }
    const auto answered = [&]() -> Result<char> {
      CHECK_OK(upstream_->wire().write_all(message.whole, monotonic_now() + kPatience));
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
  const Micros deadline = monotonic_now() + kPatience;
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
  Check check(link.rule);
  from_peer_.drop(std::exchange(taken_, 0));
  begun_ = start.from;
  auto ended = pump(check, link);
  setup_.book->give_back(link.rule.link);
  return ended;
}

Result<void> Session::pump(Check& check, const GateLink& link) {
  const Wire& server = upstream_->wire();
  CHECK_OK(from_server(check, link));
  CHECK_OK(from_peer(link));
  while (!stop_.stop_requested() && !over_) {
    std::array<pollfd, 2> waits{pollfd{peer_.fd(), POLLIN, 0}, pollfd{server.fd(), 0, 0}};
    if (!to_peer_.empty()) waits[0].events |= POLLOUT;
    if (to_peer_.size() < kHighWater && !stopped_) waits[1].events |= POLLIN;
    if (!to_server_.empty()) waits[1].events |= POLLOUT;
    const Micros patience = stopped_ ? kGo : kLook;
    if (::poll(waits.data(), waits.size(), static_cast<int>(patience / kMillisecond)) < 0 && errno != EINTR)
      return tl::unexpected<Error>(errno_error("cannot wait for a link's ends"));
    if (stopped_) CHECK_OK(from_server(check, link));
    if (waits[1].revents != 0) {
      while (to_peer_.size() < kHighWater && !stopped_ && TRY(from_server_.fill(server, kChunk)))
        CHECK_OK(from_server(check, link));
    }
    if (waits[0].revents != 0) {
      while (TRY(from_peer_.fill(peer_, kPeerFrame))) CHECK_OK(from_peer(link));
    }
    CHECK_OK(to_peer_.flush(peer_));
    CHECK_OK(to_server_.flush(server));
  }
  return over_ ? Result<void>() : fail(Kind::unavailable, "the gate is stopping");
}

Result<void> Session::cut(const GateLink& link, const Violation& violation) {
  const auto held = setup_.book->hold(link.rule.link, violation);
  if (!held)
    setup_.log.error("gate.state", "that a link is held could not be written",
                     {{Field::link, link.rule.link}, {Field::reason, one_line(held.error())}});
  return refuse(Refusal::held,
                fmt::format("{} was cut by rule {}: {}", link.rule.link, name_of(violation.rule), violation.what));
}

// Row by row: a transaction that was held back while keep-alives pass would be confirmed by a peer that never got it.
Result<void> Session::from_server(Check& check, const GateLink& link) {
  const std::string_view all = from_server_.view();
  std::string_view left = all;
  std::string pass;
  std::size_t from = 0;
  Feedback feedback = feedback_;
  std::optional<Violation> wrong;
  const auto stop = setup_.book->stops_at(link.rule.link);
  stopped_ = false;
  while (!wrong && !over_) {
    const auto begin = all.size() - left.size();
    const auto taken = TRY(take_frame(left, setup_.largest_row));
    if (!taken) break;
    switch (taken->type) {
      case 'd': {
        const auto data = TRY(server_data(taken->body));
        if (const auto* wal = std::get_if<WalData>(&data)) {
          // Between transactions, and before any of the next one has left.
          stopped_ = stop && wal->message.starts_with('B') && std::max(begun_, check.committed()) >= *stop;
          if (stopped_) break;
          wrong = check.look(wal->message);
          if (!wrong) feedback.forwarded(*wal);
        } else {
          feedback.forwarded(std::get<KeepAlive>(data));
        }
        if (!wrong) continue;
        break;
      }
      case 'c':
      case 'E':  // the server's word on why is for this side alone; it may quote
        over_ = true;
        break;
      case 'N':
      case 'S':
        break;
      default:
        return fail(Kind::corrupt, fmt::format("PostgreSQL sent a message of type '{}' in a stream", taken->type));
    }
    if (stopped_) {
      left = all.substr(begin);
      break;
    }
    pass.append(all.substr(from, begin - from));  // without this frame
    from = all.size() - left.size();
  }
  pass.append(all.substr(from, all.size() - left.size() - from));
  CHECK_OK(count(check, link));  // before it goes: none crosses uncounted
  to_peer_.append(pass);
  feedback_ = feedback;
  note_progress(check, link);
  from_server_.drop(all.size() - left.size());
  if (wrong) return cut(link, *wrong);
  if (over_) return fail(Kind::unavailable, "PostgreSQL has ended the stream");
  return {};
}

// Once for each batch that was read, so that it costs no row anything.
void Session::note_progress(const Check& check, const GateLink& link) {
  const PassedMarker& marker = check.marker();
  if (marker.commit != 0 && marker.clock_us != progress_.sent_clock) {
    progress_.epoch = marker.epoch;
    progress_.sent_clock = marker.clock_us;
    on_way_.push_back(marker);
    if (on_way_.size() > kOnWay) on_way_.pop_front();
  }
  progress_.sent = feedback_.sent();
  progress_.at = monotonic_now();
  setup_.book->progress(link.rule.link, progress_);
}

void Session::note_confirmed(const StatusUpdate& update, const GateLink& link) {
  progress_.confirmed = std::max(progress_.confirmed, update.flushed);
  while (!on_way_.empty() && on_way_.front().commit <= progress_.confirmed) {
    progress_.confirmed_clock = on_way_.front().clock_us;
    on_way_.pop_front();
  }
  progress_.at = monotonic_now();
  setup_.book->progress(link.rule.link, progress_);
}

Result<void> Session::count(const Check& check, const GateLink& link) {
  for (const auto& [table, passed] : check.passed()) {
    auto& [place, before] = counted_[table];
    if (passed.rows == before.rows) continue;
    if (place == nullptr) place = setup_.book->transfers().place(link.rule.link, table, link.form);
    if (place == nullptr) return fail(Kind::unavailable, "the transfer register is full");
    Register::count(*place, passed.rows - before.rows, passed.bytes - before.bytes, check.committed(), wall_now());
    before = passed;
  }
  return {};
}

Result<void> Session::from_peer(const GateLink& link) {
  while (true) {
    std::string_view view = from_peer_.view();
    const std::size_t before = view.size();
    const auto taken = take_frame(view, kPeerFrame);
    if (!taken) return malformed(taken.error());
    if (!*taken) return {};
    const auto kind = judge_message((*taken)->type, true);
    if (const auto* refused = std::get_if<Refused>(&kind)) return refuse(*refused);
    switch (std::get<PeerMessage>(kind)) {
      case PeerMessage::copy_data: {
        const auto update = status_update((*taken)->body);
        if (!update) return refuse(Refusal::message, update.error().what);
        const StatusUpdate clamped = feedback_.clamped(*update);
        to_server_.append(to_frame(clamped));
        note_confirmed(clamped, link);
        break;
      }
      default:  // done, or gone
        over_ = true;
    }
    from_peer_.drop(before - view.size());
    if (over_) return {};
  }
}

}  // namespace

void run_session(const SessionSetup& setup, int client, const std::stop_token& stop, std::atomic<bool>& known) {
  Session(setup, client, stop, known).run();
}

}  // namespace domicile::gate
