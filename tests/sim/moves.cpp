#include "moves.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <queue>
#include <set>

#include "core/moves/move.hpp"

namespace domicile::sim {

using moves::Move;
using moves::Phase;

namespace {

constexpr Micros kFaults = 20 * kSecond, kEnd = 120 * kSecond;
constexpr Micros kHold = 3 * kSecond, kSealed = 10 * kSecond;  // as move_actor.hpp has them
const std::string kFrom = "from", kTo = "to";
using Ids = std::set<std::int64_t>;

// What an owner's link carries, in order: a row, or the end of all of the tenant's rows.
struct Change {
  std::int64_t id = 0;  // 0: the end of all
};

struct Region {
  std::string name;
  std::size_t directory = 0;  // which of the directory's versions it has
  std::size_t gateway = 0;    // and its gateway
  int in_flight = 0;          // writes that the gateway has let through
  int open = 0;               // transactions that have written
  bool stuck = false;         // its gateway takes nothing new
  std::map<std::string, Ids> rows;
  std::map<std::string, std::vector<Change>> log;  // of what it owns
  std::map<std::string, std::size_t> applied;      // of what others own
};

class Moving {
 public:
  Moving(std::uint64_t seed, const MovePolicy& policy, bool tell) : policy_(policy), tell_(tell), rng_{seed} {
    for (const auto* name : {"a", "b", "c"}) regions_[name].name = name;
    Move served{"acme", "m", kFrom, kTo, Phase::aborted};  // as if an earlier one had been taken back
    directory_.push_back(served);
  }
  MoveOutcome run();

 private:
  using Fn = std::function<void()>;
  void at(Micros delay, Fn fn) { events_.push({now_ + delay, ++order_, std::move(fn)}); }
  void tell(const std::string& line) {
    if (tell_) outcome_.story.push_back(fmt::format("{:>9.3f} {}", static_cast<double>(now_) / 1e6, line));
  }
  void violated(const std::string& what) {
    if (outcome_.violation.empty()) outcome_.violation = what;
    tell("VIOLATION: " + what);
  }
  Micros soon(Micros low, Micros high) { return rng_.between(low, high) * kMillisecond; }
  bool cut(const std::string& one, const std::string& other) const {
    return cuts_.contains({std::min(one, other), std::max(one, other)});
  }
  const Move& row(const Region& r) const { return directory_[r.directory]; }
  const Move& obeyed_by_gateway(const Region& r) const { return directory_[r.gateway]; }
  Region& owner(const std::string& residency) { return regions_.at(residency == kFrom ? "a" : "b"); }

  void directory_link(Region& r);
  void gateway(Region& r);
  void link(Region& r, const std::string& residency);
  void change(Region& r, const std::string& residency, Change change);
  void apply(Region& r, const std::string& residency, Change change);
  void client(Region& r);
  void arrives(Region& first, Region& last, const std::string& residency);
  void commit(Region& r, const std::string& residency, Fn then);
  void session();
  void fault();
  void person();

  void actor();
  void step(const Move& move);
  void everywhere(const Move& move, std::function<void(bool)> done);
  bool obeys(const Region& r, const Move& move) const;
  void copy(std::function<void(bool equal)> done);
  void advance(const Move& now, Phase phase);
  void restart();

  struct Event {
    Micros at;
    std::int64_t order;
    Fn fn;
    bool operator<(const Event& o) const { return at != o.at ? at > o.at : order > o.order; }
  };
  MovePolicy policy_;
  bool tell_;
  Rng rng_;
  MoveOutcome outcome_;
  std::priority_queue<Event> events_;
  Micros now_ = 0;
  std::int64_t order_ = 0, ids_ = 0;
  std::map<std::string, Region> regions_;
  std::vector<Move> directory_;  // all that it said, at its owner
  std::set<std::pair<std::string, std::string>> cuts_;
  Ids acknowledged_;
  Ids compared_;           // what the digest of the flip stands for
  int process_ = 0;        // of the actor
  bool busy_ = false;      // it waits for something
  Micros held_since_ = 0;  // as this process knows
};

// ---- regions

void Moving::directory_link(Region& r) {
  at(soon(20, 200), [this, &r] { directory_link(r); });
  if (r.name != "a" && !cut("a", r.name) && r.directory + 1 < directory_.size()) ++r.directory;
}

void Moving::gateway(Region& r) {
  at(soon(5, 100), [this, &r] { gateway(r); });
  if (!r.stuck) r.gateway = r.directory;
}

void Moving::change(Region& r, const std::string& residency, Change change) {
  r.log[residency].push_back(change);
  apply(r, residency, change);
}

void Moving::apply(Region& r, const std::string& residency, Change change) {
  auto& rows = r.rows[residency];
  if (change.id != 0) {
    rows.insert(change.id);
    return;
  }
  if (!rows.empty() && row(r).residency() == residency)
    violated(fmt::format("the rows are deleted in {}, whose directory still names {}", r.name, residency));
  rows.clear();
}

void Moving::link(Region& r, const std::string& residency) {
  at(soon(20, 150), [this, &r, residency] { link(r, residency); });
  Region& source = owner(residency);
  if (&source == &r || cut(source.name, r.name)) return;
  for (auto& n = r.applied[residency]; n < source.log[residency].size(); ++n)
    apply(r, residency, source.log[residency][n]);
}

// ---- clients

void Moving::client(Region& r) {
  at(soon(40, 250), [this, &r] { client(r); });
  const Move& move = obeyed_by_gateway(r);
  Region& last = owner(move.residency());
  if (moves::held(move.phase) || (&last != &r && cut(r.name, last.name))) return;
  ++r.in_flight;
  if (&last == &r) return arrives(r, last, move.residency());
  at(soon(5, 60), [this, &r, &last, residency = move.residency()] { arrives(r, last, residency); });
}

// At the gateway of the owner's region, which may know more than the one that sent it here, or less.
void Moving::arrives(Region& first, Region& last, const std::string& residency) {
  const Move& move = obeyed_by_gateway(last);
  // Sent back: the first one holds it, or asks its own directory again.
  if (&first != &last && (moves::held(move.phase) || move.residency() != residency)) {
    --first.in_flight;
    return;
  }
  if (&first != &last) ++last.in_flight;
  if (moves::sealed(row(last).phase) || row(last).residency() != residency)
    violated(fmt::format("a write that the gateways of {} and {} let through is refused", first.name, last.name));
  commit(last, residency, [&first, &last] {
    --first.in_flight;
    if (&first != &last) --last.in_flight;
  });
}

void Moving::commit(Region& r, const std::string& residency, Fn then) {
  ++r.open;
  at(soon(1, 150), [this, &r, residency, then = std::move(then)] {
    --r.open;
    change(r, residency, {++ids_});
    ++outcome_.writes;
    // Whoever writes at the owner reads there all that was acknowledged.
    const auto& rows = r.rows[residency];
    if (!std::ranges::includes(rows, acknowledged_))
      violated(fmt::format("{} serves {} without an acknowledged write", r.name, residency));
    acknowledged_.insert(ids_);
    then();
  });
}

// Straight at the database, by no gateway: what the guard refuses is refused.
void Moving::session() {
  at(soon(50, 600), [this] { session(); });
  for (auto* r : {&regions_.at("a"), &regions_.at("b")}) {
    const Move& move = row(*r);
    if (&owner(move.residency()) == r && !moves::sealed(move.phase)) commit(*r, move.residency(), [] {});
  }
}

// ---- faults and people

void Moving::fault() {
  if (now_ >= kFaults) return;
  at(soon(300, 8'000), [this] { fault(); });
  const Micros duration = soon(50, 4'000);
  const std::string names = "abc";
  const auto n = rng_.next() % 3;
  Region& r = regions_.at(names.substr(n, 1));
  switch (rng_.next() % 3) {
    case 0: {
      const std::string other = names.substr((n + 1) % 3, 1);
      const std::pair pair{std::min(r.name, other), std::max(r.name, other)};
      tell(fmt::format("{} and {} are cut off", r.name, other));
      cuts_.insert(pair);
      at(duration, [this, pair] { cuts_.erase(pair); });
      return;
    }
    case 1:
      tell(r.name + "'s gateway takes nothing new");
      r.stuck = true;
      at(duration, [&r] { r.stuck = false; });
      return;
    default:
      restart();
  }
}

void Moving::restart() {
  tell("the actor dies");
  ++process_;
  busy_ = true;
  held_since_ = 0;
  at(soon(50, 3'000), [this, process = process_] {
    if (process == process_) busy_ = false;
  });
}

void Moving::person() {
  const Move& now = directory_.back();
  if (!moves::live(now.phase) || now.phase == Phase::aborting ||
      (!moves::abortable(now.phase) && !policy_.abort_flipped))
    return;
  tell("a person takes it back");
  Move next = now;
  next.phase = Phase::aborting;
  directory_.push_back(next);
  regions_.at("a").directory = directory_.size() - 1;
}

// ---- the actor, in b

void Moving::actor() {
  at(soon(10, 80), [this] { actor(); });
  if (busy_ || cut("a", "b") || !moves::live(directory_.back().phase)) return;
  step(directory_.back());
}

bool Moving::obeys(const Region& r, const Move& move) const {
  const auto awaited = moves::awaited_everywhere(move);
  if (row(r).phase != move.phase) return false;
  if (awaited.gateway && r.gateway != r.directory) return false;
  if (awaited.gateway && move.phase == Phase::holding && r.in_flight > 0) return false;
  const auto rows = r.rows.find(awaited.gone);
  return rows == r.rows.end() || rows->second.empty();
}

// Each region answers for its own moment.
void Moving::everywhere(const Move& move, std::function<void(bool)> done) {
  struct Asked {
    int left = 3;
    bool all = true;
  };
  auto asked = std::make_shared<Asked>();
  busy_ = true;
  for (auto& [name, r] : regions_)
    at(name == "b" ? 0 : soon(2, 80), [this, &r, move, asked, done, process = process_] {
      if (process != process_) return;
      asked->all = asked->all && !cut("b", r.name) && obeys(r, move);
      if (--asked->left > 0) return;
      busy_ = false;
      done(asked->all);
    });
}

// A pass: what differs comes, perhaps not all of it; then both sides are compared by what the source had at its begin.
void Moving::copy(std::function<void(bool)> done) {
  busy_ = true;
  const Ids theirs = regions_.at("a").rows[kFrom];
  at(soon(10, 300), [this, theirs, done = std::move(done), process = process_] {
    if (process != process_) return;
    busy_ = false;
    Region& b = regions_.at("b");
    const auto some = rng_.one_in(3) ? theirs.size() / 2 : theirs.size();
    std::size_t n = 0;
    for (const auto id : theirs)
      if (n++ < some && !b.rows[kTo].contains(id)) change(b, kTo, {id});
    const bool equal = b.rows[kTo] == theirs;
    if (equal) compared_ = theirs;
    done(equal);
  });
}

void Moving::advance(const Move& now, Phase phase) {
  busy_ = true;
  at(soon(2, 60), [this, now, phase, process = process_] {
    const bool lost = cut("a", "b");  // the question, or only its answer
    const bool arrives = !lost || rng_.one_in(2);
    const Move& held = directory_.back();
    const bool may = held == now && moves::follows(held.phase, phase);
    if (arrives && (may || policy_.blind_advance)) {
      Move next = now;
      next.phase = phase;
      directory_.push_back(next);
      regions_.at("a").directory = directory_.size() - 1;
      tell(fmt::format("the directory says {}", moves::name_of(phase)));
    }
    if (process == process_) busy_ = false;
  });
}

void Moving::step(const Move& move) {
  Region &a = regions_.at("a"), &b = regions_.at("b");
  if (moves::held(move.phase) && held_since_ == 0) held_since_ = now_;
  if (!moves::held(move.phase)) held_since_ = 0;
  const auto then = [this, move](Phase phase) {
    return [this, move, phase](bool all) {
      if (all) advance(move, phase);
    };
  };
  switch (move.phase) {
    case Phase::copying:
      return everywhere(move, [this, move](bool all) {
        if (all)
          copy([this, move](bool equal) {
            if (equal || rng_.one_in(2)) advance(move, Phase::holding);
          });
      });
    case Phase::holding:
      if (now_ - held_since_ > kHold) return advance(move, Phase::aborting);
      if (policy_.hold_unasked) return advance(move, Phase::sealed);
      return everywhere(move, then(Phase::sealed));
    case Phase::sealed:
      if (now_ - held_since_ > kSealed) return advance(move, Phase::aborting);
      return everywhere(move, [this, move, &a](bool all) {
        if (!all || (a.open > 0 && !policy_.seal_at_once)) return;
        copy([this, move](bool equal) {
          if (equal || policy_.flip_uncompared) advance(move, Phase::flipped);
        });
      });
    case Phase::flipped:
      if (policy_.delete_unasked) return advance(move, Phase::releasing);
      return everywhere(move, then(Phase::releasing));
    case Phase::releasing: {
      // What has changed since the flip stops it here for good.
      const auto equal = [this, &a] { return a.rows[kFrom] == compared_ || policy_.flip_uncompared; };
      if (policy_.delete_unasked) return advance(move, Phase::deleting);
      return everywhere(move, [this, move, equal](bool all) {
        if (all && !equal()) violated("the old rows are not those that were compared");
        if (all) advance(move, Phase::deleting);
      });
    }
    case Phase::deleting:
      if (!a.rows[kFrom].empty()) change(a, kFrom, {});
      return everywhere(move, then(Phase::done));
    case Phase::aborting:
      if (!b.rows[kTo].empty()) change(b, kTo, {});
      return everywhere(move, then(Phase::aborted));
    case Phase::done:
    case Phase::aborted:
      return;
  }
}

MoveOutcome Moving::run() {
  for (auto& [name, r] : regions_) {
    directory_link(r), gateway(r), client(r);
    link(r, kFrom), link(r, kTo);
  }
  session();
  actor();
  at(2 * kSecond, [this] {
    Move move = directory_.back();
    move.phase = Phase::copying;
    directory_.push_back(move);
    regions_.at("a").directory = directory_.size() - 1;
    if (rng_.one_in(3)) at(soon(0, 6'000), [this] { person(); });
  });
  at(2 * kSecond + soon(0, 4'000), [this] { fault(); });
  at(kFaults, [this] { cuts_.clear(); });
  Micros ended = 0;
  while (now_ < kEnd && outcome_.violation.empty()) {
    Event event = events_.top();
    events_.pop();
    now_ = event.at;
    event.fn();
    const bool over = directory_.size() > 1 && !moves::live(directory_.back().phase);
    if (!over) ended = 0;
    if (over && ended == 0) ended = now_;
    // Some more writes, and the time for what came last to be everywhere.
    if (over && now_ > kFaults + 7 * kSecond && now_ - ended > 3 * kSecond) break;
  }
  const Move& last = directory_.back();
  outcome_.done = last.phase == Phase::done;
  if (!outcome_.violation.empty()) return outcome_;
  if (moves::live(last.phase)) violated(fmt::format("it never ends: {}", moves::name_of(last.phase)));
  const std::string left = outcome_.done ? kFrom : kTo;
  for (auto& [name, r] : regions_)
    if (!r.rows[left].empty()) violated(fmt::format("rows are left in {} in {}", left, name));
  if (!std::ranges::includes(owner(last.residency()).rows[last.residency()], acknowledged_))
    violated("an acknowledged write is lost");
  return outcome_;
}

}  // namespace

MoveOutcome run_move(std::uint64_t seed, const MovePolicy& policy, bool tell) {
  return Moving(seed, policy, tell).run();
}

}  // namespace domicile::sim
