#include "gate/stream.hpp"

#include <poll.h>

#include <algorithm>
#include <array>

namespace domicile::gate {
namespace {

constexpr Micros kLook = 500 * kMillisecond;  // how often a silent stream looks whether it is to end
constexpr Micros kGo = 20 * kMillisecond;     // how often a stopped one looks whether it may go on
constexpr Micros kAsk = kSecond;              // how often it asks whether the peer's certificate is revoked
constexpr std::size_t kChunk = 64U << 10;     // read of the server at once
constexpr std::size_t kPeerFrame = 8192;      // and of the peer, whose largest message it is
constexpr std::size_t kOnWay = 10'000;        // markers that a peer has not confirmed: half an hour of them

// Whoever is not read must be seen to go all the same.
short events(bool read, const Buffer& out) {
  return static_cast<short>((read ? POLLIN : POLLRDHUP) | (out.empty() ? 0 : POLLOUT));
}
bool gone(const pollfd& end) { return (end.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0; }

}  // namespace

Error refusal(Refusal rule, const std::string& what) {
  return {Kind::refused, what, "see the gate's rules in docs/gate.md", std::string(name_of(rule))};
}

Stream::Stream(Book& book, const GateLink& link, Lsn from, StreamEnds ends, StreamRules rules)
    : book_(book),
      link_(link),
      peer_(ends.peer),
      server_(ends.server),
      from_peer_(std::move(ends.from_peer)),
      from_server_(std::move(ends.from_server)),
      rules_(std::move(rules)),
      check_(link.rule),
      word_at_(monotonic_now()),
      begun_(from) {}

Result<void> Stream::run(const std::stop_token& stop) {
  CHECK_OK(from_server());
  CHECK_OK(from_peer());
  while (!stop.stop_requested() && !over_) CHECK_OK(turn(kLook));
  return over_ ? Result<void>() : fail(Kind::unavailable, "the gate is stopping");
}

Result<bool> Stream::turn(Micros patience) {
  CHECK_OK(see_revoked());
  const bool hears = to_server_.size() < kWords, room = to_peer_.size() < kHighWater && !stopped_;
  const Micros pause = room ? pace_.wait(monotonic_now()) : 0;
  const bool takes = room && pause == 0;
  std::array<pollfd, 2> waits{pollfd{peer_.fd(), events(hears, to_peer_), 0},
                              pollfd{server_.fd(), events(takes, to_server_), 0}};
  if (pause > 0) patience = std::min(patience, pause);
  // A slow peer still gets all that an ended server has sent.
  if (!takes && !stopped_) {
    waits[1].events = to_server_.empty() ? 0 : POLLOUT;
    if (to_server_.empty()) waits[1].fd = -1;
  }
  // What TLS has read already no poll tells of.
  const bool heard = hears && peer_.pending(), taken = takes && server_.pending();
  if (heard || taken) patience = 0;
  if (stopped_) patience = std::min(patience, kGo);
  const timespec longest{patience / kSecond, patience % kSecond * 1000};
  if (::ppoll(waits.data(), waits.size(), &longest, nullptr) < 0 && errno != EINTR)
    return tl::unexpected<Error>(errno_error("cannot wait for a link's ends"));
  if ((!hears && gone(waits[0])) || (stopped_ && gone(waits[1])))
    return fail(Kind::unavailable, "an end that was not read has gone");
  if (stopped_) CHECK_OK(from_server());
  if (taken || waits[1].revents != 0) CHECK_OK(move_from_server());
  if (heard || waits[0].revents != 0) CHECK_OK(move_from_peer());
  CHECK_OK(flush());
  speak_for_peer(monotonic_now());
  return !over_;
}

// A subscriber says nothing before it has applied all that has reached it. When that takes longer than the server's
// wal_sender_timeout, the server ends the stream, and the same transaction begins anew, for ever. So whoever takes what
// it is sent is spoken for, with its own last word: it confirms nothing by that. One that takes nothing is not.
void Stream::speak_for_peer(Micros now) {
  if (now - word_at_ < rules_.speaks || written_ < heard_ + kMuch || written_ == spoken_ || !to_server_.empty()) return;
  to_server_.append(to_frame(last_word_));
  spoken_ = written_;
  word_at_ = now;
}

Result<void> Stream::move_from_server() {
  while (to_peer_.size() < kHighWater && !stopped_ && TRY(from_server_.fill(server_, kChunk))) CHECK_OK(from_server());
  return {};
}

// It may say more than the server takes: never more than a mark of it is kept, and no turn takes more than that.
Result<void> Stream::move_from_peer() {
  while (!over_ && to_server_.size() < kWords && TRY(from_peer_.fill(peer_, kPeerFrame))) CHECK_OK(from_peer());
  return {};
}

Result<void> Stream::flush() {
  const std::size_t before = to_peer_.size();
  auto flushed = to_peer_.flush(peer_);
  written_ += before - to_peer_.size();
  feedback_.written(written_);
  CHECK_OK(std::move(flushed));
  return to_server_.flush(server_);
}

// A certificate may be revoked while its stream goes on for weeks.
Result<void> Stream::see_revoked() {
  if (!rules_.revoked || monotonic_now() < ask_at_) return {};
  ask_at_ = monotonic_now() + kAsk;
  if (!rules_.revoked()) return {};
  return tl::unexpected<Error>(
      refusal(Refusal::certificate, "this certificate was revoked while " + link_.rule.link + " streamed"));
}

Result<void> Stream::cut(const Violation& violation) {
  // The book tells the log; what cannot be kept on the disk is held in memory.
  (void)book_.hold(link_.rule.link, violation);
  return tl::unexpected<Error>(refusal(Refusal::held, fmt::format("{} was cut by rule {}: {}", link_.rule.link,
                                                                  name_of(violation.rule), violation.what)));
}

// Row by row: a transaction that was held back while keep-alives pass would be confirmed by a peer that never got it.
Result<void> Stream::from_server() {
  const std::string_view all = from_server_.view();
  std::string_view left = all;
  std::string pass;
  std::size_t from = 0, messages = 0;
  std::optional<Violation> wrong;
  // Rows that left another way, first rows or a tenant's that moves, may have broken a rule meanwhile.
  if (book_.is_held(link_.rule.link))
    return tl::unexpected<Error>(refusal(Refusal::held, link_.rule.link + " is held until a person has looked"));
  const auto stop = book_.stops_at(link_.rule.link);
  stopped_ = false;
  // Of the frame in hand, which goes on.
  const auto queue = [&](Lsn position, bool confirmed) {
    highest_ = std::max(highest_, position);
    if (confirmed) feedback_.queued(highest_, queued_ + pass.size() + all.size() - left.size() - from);
  };
  while (!wrong && !over_) {
    const auto begin = all.size() - left.size();
    const auto taken = take_frame(left, rules_.largest_row);
    if (!taken) {
      wrong = Violation{Rule::size, taken.error().what};
      break;
    }
    if (!*taken) break;
    ++messages;
    const Frame& frame = **taken;
    switch (frame.type) {
      case 'd': {
        const auto data = server_data(frame.body);
        if (!data) {
          wrong = Violation{Rule::message, data.error().what};
        } else if (const auto* wal = std::get_if<WalData>(&*data)) {
          // Between transactions, and before any of the next one has left.
          stopped_ = stop && wal->message.starts_with('B') && std::max(begun_, check_.committed()) >= *stop;
          if (stopped_) break;
          wrong = check_.look(wal->message);
          // Only a commit's end can be confirmed as flushed, and a keep-alive's.
          if (!wrong) queue(std::max(wal->start, wal->end), wal->message.starts_with('C'));
        } else {
          queue(std::get<KeepAlive>(*data).end, true);
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
        wrong = Violation{Rule::message, fmt::format("PostgreSQL sent a message of type {:#04x} in a stream",
                                                     static_cast<unsigned>(static_cast<std::uint8_t>(frame.type)))};
    }
    if (stopped_) {
      left = all.substr(begin);
      break;
    }
    pass.append(all.substr(from, begin - from));  // without this frame
    from = all.size() - left.size();
  }
  pass.append(all.substr(from, all.size() - left.size() - from));
  CHECK_OK(count());  // before it goes: none crosses uncounted
  to_peer_.append(pass);
  queued_ += pass.size();
  feedback_.queued(highest_, queued_);
  const Micros now = monotonic_now();
  note_progress(now);
  pace_.took(messages, now);
  from_server_.drop(all.size() - left.size());
  if (wrong) return cut(*wrong);
  if (over_) return fail(Kind::unavailable, "PostgreSQL has ended the stream");
  return {};
}

// Once for each batch that was read, so that it costs no row anything. `sent` is what may have been: it is kept before
// it goes, or a peer that got it from a gate that was killed would be called a liar.
void Stream::note_progress(Micros now) {
  const PassedMarker& marker = check_.marker();
  if (marker.commit != 0 && marker.clock_us != progress_.sent_clock) {
    progress_.epoch = marker.epoch;
    progress_.sent_clock = marker.clock_us;
    on_way_.push_back(marker);
    if (on_way_.size() > kOnWay) on_way_.pop_front();
  }
  progress_.sent = highest_;
  progress_.at = now;
  book_.progress(link_.rule.link, progress_);
}

void Stream::note_confirmed(const StatusUpdate& update) {
  progress_.confirmed = std::max(progress_.confirmed, update.flushed);
  while (!on_way_.empty() && on_way_.front().commit <= progress_.confirmed) {
    progress_.confirmed_clock = on_way_.front().clock_us;
    on_way_.pop_front();
  }
  progress_.at = monotonic_now();
  book_.progress(link_.rule.link, progress_);
}

Result<void> Stream::count() {
  for (const auto& [table, passed] : check_.passed()) {
    auto& [place, before] = counted_[table];
    if (passed.rows == before.rows) continue;
    if (place == nullptr) place = book_.transfers().place(link_.rule.link, table, link_.form);
    if (place == nullptr) return fail(Kind::unavailable, "the transfer register is full");
    Register::count(*place, passed.rows - before.rows, passed.bytes - before.bytes, check_.committed(), wall_now());
    before = passed;
  }
  return {};
}

Result<void> Stream::from_peer() {
  while (true) {
    std::string_view view = from_peer_.view();
    const std::size_t before = view.size();
    const auto taken = take_frame(view, kPeerFrame);
    if (!taken) return tl::unexpected<Error>(refusal(Refusal::size, taken.error().what));
    if (!*taken) return {};
    const auto kind = judge_message((*taken)->type, true);
    if (const auto* refused = std::get_if<Refused>(&kind))
      return tl::unexpected<Error>(refusal(refused->rule, refused->what));
    switch (std::get<PeerMessage>(kind)) {
      case PeerMessage::copy_data: {
        const auto update = status_update((*taken)->body);
        if (!update) return tl::unexpected<Error>(refusal(Refusal::message, update.error().what));
        StatusUpdate clamped = feedback_.clamped(*update);
        // What it has not read yet answers it; answers that nobody reads would gather in PostgreSQL's memory.
        if (to_peer_.size() >= kHighWater) clamped.reply = false;
        to_server_.append(to_frame(clamped));
        last_word_ = clamped;
        last_word_.reply = false;
        heard_ = written_;
        word_at_ = monotonic_now();
        note_confirmed(clamped);
        break;
      }
      default:  // done, or gone
        over_ = true;
    }
    from_peer_.drop(before - view.size());
    if (over_) return {};
  }
}

}  // namespace domicile::gate
