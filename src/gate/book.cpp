#include "gate/book.hpp"

#include <algorithm>

#include "base/json.hpp"

namespace domicile::gate {
namespace {

constexpr int kSpare = 8;  // sessions of a region beside those of its links

}  // namespace

Book::Book(fs::path state, std::vector<GateLink> links, Register transfers, Journal resumed, Log log)
    : state_(std::move(state)),
      links_(std::move(links)),
      transfers_(std::move(transfers)),
      resumed_(std::move(resumed)),
      log_(std::move(log)),
      denials_(state_ / "denials", log_) {}

Result<std::unique_ptr<Book>> Book::open(const fs::path& state, std::vector<GateLink> links, Log log) {
  CHECK_OK(make_directories(state, 0700));
  auto transfers = TRY(Register::open(state / "register"));
  auto resumed = TRY(Journal::open(state / "resumed"));
  std::unique_ptr<Book> book(
      new Book(state, std::move(links), std::move(transfers), std::move(resumed), std::move(log)));
  CHECK_OK(book->remember_sent());
  const fs::path file = state / "held.json";
  if (!fs::exists(file)) return book;
  const Json list = TRY(parse_json(TRY(read_file(file)), file.string()));
  if (!list.is_array()) return fail(Kind::corrupt, file.string() + " is no list of held links");
  for (const Json& one : list) {
    Held held{TRY(member<std::string>(one, "link")), TRY(member<std::string>(one, "rule")),
              TRY(member<std::string>(one, "what")), TRY(member<Micros>(one, "at_us")),
              TRY(member_or<bool>(one, "fresh_slot", false))};
    book->held_[held.link] = held;
  }
  return book;
}

// After a crash of the machine the register may be behind what peers have, and would call them liars.
Result<void> Book::remember_sent() {
  const fs::path file = state_ / "boot";
  const std::string boot = host_boot_id();
  const bool same = !boot.empty() && read_file(file).value_or("") == boot;
  for (const auto& link : links_) {
    const auto& name = link.rule.link;
    if (same)
      progress_[name].sent = transfers_.sent(name);
    else
      transfers_.set_sent(name, 0);
  }
  return same ? Result<void>() : write_file(file, boot, 0600);
}

std::vector<std::string> Book::links_to(const std::string& region) const {
  std::vector<std::string> names;
  for (const auto& link : links_)
    if (link.to == region) names.push_back(link.rule.link);
  return names;
}

const GateLink* Book::link(const std::string& name) const {
  const auto at = std::ranges::find_if(links_, [&](const GateLink& link) { return link.rule.link == name; });
  return at == links_.end() ? nullptr : &*at;
}

std::optional<Refused> Book::enter(const std::string& region, int most) {
  if (most == 0) most = kSpare + 2 * static_cast<int>(links_to(region).size());
  const std::lock_guard lock(mutex_);
  int& open = sessions_[region];
  if (open >= most) return Refused{Refusal::busy, fmt::format("{} has {} sessions open already", region, open)};
  ++open;
  return {};
}

void Book::leave(const std::string& region) {
  const std::lock_guard lock(mutex_);
  --sessions_[region];
}

std::optional<Refused> Book::take(const std::string& link, Lsn from) {
  const std::lock_guard lock(mutex_);
  if (const auto held = held_.find(link); held != held_.end())
    return Refused{Refusal::held,
                   fmt::format("{} is held by rule {} until a person has looked", link, held->second.rule)};
  if (in_use_[link]) return Refused{Refusal::busy, link + " is being streamed already"};
  if (const auto known = progress_.find(link);
      known != progress_.end() && known->second.sent != 0 && from > known->second.sent)
    return Refused{Refusal::message, link + ": its subscriber says that it has more than it was sent"};
  in_use_[link] = true;
  return {};
}

bool Book::in_use(const std::string& link) const {
  const std::lock_guard lock(mutex_);
  const auto at = in_use_.find(link);
  return at != in_use_.end() && at->second;
}

void Book::give_back(const std::string& link) {
  const std::lock_guard lock(mutex_);
  in_use_[link] = false;
}

void Book::progress(const std::string& link, const Progress& now) {
  const std::lock_guard lock(mutex_);
  Progress& known = progress_[link];
  const Lsn sent = std::max(known.sent, now.sent), confirmed = std::max(known.confirmed, now.confirmed);
  const Lsn sent_before = known.sent;
  if (now.sent_clock != 0) known = now;  // a session without a marker yet knows less than the last one
  known.sent = sent;
  known.confirmed = confirmed;
  known.at = now.at;
  if (sent != sent_before) transfers_.set_sent(link, sent);
}

std::map<std::string, Progress> Book::progress() const {
  const std::lock_guard lock(mutex_);
  return progress_;
}

Result<void> Book::stop(const std::string& name, Lsn at) {
  if (link(name) == nullptr) return fail(Kind::invalid_input, name + " is no link of this gate");
  const std::lock_guard lock(mutex_);
  stops_[name] = at;
  return {};
}

Result<void> Book::go(const std::string& name) {
  if (link(name) == nullptr) return fail(Kind::invalid_input, name + " is no link of this gate");
  const std::lock_guard lock(mutex_);
  stops_.erase(name);
  return {};
}

std::optional<Lsn> Book::stops_at(const std::string& link) const {
  const std::lock_guard lock(mutex_);
  const auto at = stops_.find(link);
  return at == stops_.end() ? std::nullopt : std::optional(at->second);
}

bool Book::is_held(const std::string& link) const {
  const std::lock_guard lock(mutex_);
  return held_.contains(link);
}

Result<Book::Carried> Book::carried(const std::string& name, std::string_view table) const {
  const GateLink* link = this->link(name);
  if (link == nullptr) return fail(Kind::refused, name + " is no link of this gate", "", "table");
  const auto& tables = link->rule.tables;
  const auto at = std::ranges::find_if(tables, [&](const LinkTable& each) { return each.qualified() == table; });
  if (at == tables.end())
    return fail(Kind::refused, fmt::format("link {} does not carry table {}", name, table), "", "table");
  const std::lock_guard lock(mutex_);
  if (held_.contains(name)) return fail(Kind::refused, name + " is held until a person has looked", "", "held");
  return Carried{link, &*at};
}

Error Book::cut(const std::string& link, const Violation& violation) {
  if (auto held = hold(link, violation); !held) return held.error();
  return {Kind::refused, fmt::format("{} was cut by rule {}: {}", link, name_of(violation.rule), violation.what), "",
          std::string(name_of(violation.rule))};
}

Result<void> Book::match(const std::string& name, std::string_view table, const std::vector<std::string>& columns) {
  const auto carried = TRY(this->carried(name, table));
  const auto wrong = judge_columns(*carried.table, columns);
  return wrong ? tl::unexpected<Error>(cut(name, *wrong)) : Result<void>();
}

Result<std::uint64_t> Book::pass(const std::string& name, std::string_view table, std::string_view lines) {
  const auto carried = TRY(this->carried(name, table));
  {
    const std::lock_guard lock(mutex_);
    // A copy begins anew, at its slot's place, which no stream of this gate has reached.
    progress_.erase(name);
    transfers_.set_sent(name, 0);
  }
  const auto judged = judge_rows(carried.link->rule.residency, *carried.table, lines);
  if (const auto* wrong = std::get_if<Violation>(&judged)) return tl::unexpected<Error>(cut(name, *wrong));
  auto* place = transfers_.place(name, carried.table->qualified(), carried.link->form);
  if (place == nullptr) return fail(Kind::unavailable, "the transfer register is full");
  const auto rows = std::get<std::uint64_t>(judged);
  Register::count(*place, rows, lines.size(), 0, wall_now());
  return rows;
}

Result<void> Book::keep() const {
  Json list = Json::array();
  for (const auto& [link, held] : held_)
    list.push_back({{"link", link},
                    {"rule", held.rule},
                    {"what", held.what},
                    {"at_us", held.at},
                    {"fresh_slot", held.fresh_slot}});
  return write_file(state_ / "held.json", dump(list) + "\n", 0600);
}

Result<void> Book::hold(const std::string& link, const Violation& violation) {
  const std::lock_guard lock(mutex_);
  held_[link] = {link, std::string(name_of(violation.rule)), violation.what, wall_now(), false};
  log_.error(
      "gate.held", "a link was cut and stays cut until a person has looked: domicile link resume",
      {{Field::link, link}, {Field::code, std::string(name_of(violation.rule))}, {Field::reason, violation.what}});
  auto kept = keep();
  if (!kept)
    log_.error("gate.state", "that a link is held could not be written",
               {{Field::link, link}, {Field::reason, one_line(kept.error())}});
  return kept;
}

Result<void> Book::end_hold(const std::string& link) {
  auto was = held_.extract(link);
  auto kept = keep();
  if (!kept) held_.insert(std::move(was));
  return kept;
}

Result<Held> Book::resume(const std::string& link, const std::string& by, const std::string& reason, bool fresh_slot) {
  const std::lock_guard lock(mutex_);
  const auto at = held_.find(link);
  if (at == held_.end()) return fail(Kind::conflict, link + " is not held", "domicile link list");
  const Held was = at->second;
  CHECK_OK(resumed_.append(dump({{"link", link},
                                 {"rule", was.rule},
                                 {"what", was.what},
                                 {"held_at_us", was.at},
                                 {"at_us", wall_now()},
                                 {"by", by},
                                 {"reason", reason},
                                 {"fresh_slot", fresh_slot}})));
  if (!fresh_slot) {
    CHECK_OK(end_hold(link));
    return was;
  }
  at->second.fresh_slot = true;
  if (auto kept = keep(); !kept) {
    at->second = was;
    return tl::unexpected<Error>(kept.error());
  }
  return was;
}

Result<void> Book::released(const std::string& link) {
  const std::lock_guard lock(mutex_);
  const auto at = held_.find(link);
  if (at == held_.end() || !at->second.fresh_slot) return fail(Kind::conflict, link + " waits for no fresh slot");
  // What was sent over the old slot says nothing about the next one.
  progress_.erase(link);
  transfers_.set_sent(link, 0);
  return end_hold(link);
}

std::vector<Held> Book::held() const {
  const std::lock_guard lock(mutex_);
  std::vector<Held> out;
  for (const auto& [link, held] : held_) out.push_back(held);
  return out;
}

// Outside of the lock: streams need it, and this waits for the disk a little.
std::string Book::deny(const std::string& region, std::string_view rule, const std::string& what) {
  const std::string id = denials_.add(region, rule, what);
  log_.warn("gate.refused", "a peer was refused",
            {{Field::peer, region.empty() ? "unknown" : region},
             {Field::code, std::string(rule)},
             {Field::reason, what},
             {Field::detail, id}});
  return id;
}

}  // namespace domicile::gate
