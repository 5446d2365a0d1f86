#include "gate/book.hpp"

#include <algorithm>

#include "base/json.hpp"

namespace domicile::gate {
namespace {

constexpr std::size_t kDenials = 1000;

}  // namespace

Book::Book(fs::path state, std::vector<GateLink> links, Register transfers, Log log)
    : state_(std::move(state)), links_(std::move(links)), transfers_(std::move(transfers)), log_(std::move(log)) {}

Result<std::unique_ptr<Book>> Book::open(const fs::path& state, std::vector<GateLink> links, Log log) {
  CHECK_OK(make_directories(state, 0700));
  auto transfers = TRY(Register::open(state / "register"));
  std::unique_ptr<Book> book(new Book(state, std::move(links), std::move(transfers), std::move(log)));
  const fs::path file = state / "held.json";
  if (!fs::exists(file)) return book;
  const Json list = TRY(parse_json(TRY(read_file(file)), file.string()));
  if (!list.is_array()) return fail(Kind::corrupt, file.string() + " is no list of held links");
  for (const Json& one : list) {
    Held held{TRY(member<std::string>(one, "link")), TRY(member<std::string>(one, "rule")),
              TRY(member<std::string>(one, "what")), TRY(member<Micros>(one, "at_us"))};
    book->held_[held.link] = held;
  }
  return book;
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

std::optional<Refused> Book::take(const std::string& link, Lsn from) {
  const std::lock_guard lock(mutex_);
  if (const auto held = held_.find(link); held != held_.end())
    return Refused{Refusal::held,
                   fmt::format("{} is held by rule {} until a person has looked", link, held->second.rule)};
  if (in_use_[link]) return Refused{Refusal::busy, link + " is being streamed already"};
  // Only as far as this process remembers; a gate that has just started knows nothing yet.
  if (const auto sent = sent_.find(link); sent != sent_.end() && from > sent->second)
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

void Book::sent(const std::string& link, Lsn position) {
  const std::lock_guard lock(mutex_);
  sent_[link] = std::max(sent_[link], position);
}

Result<void> Book::keep() const {
  Json list = Json::array();
  for (const auto& [link, held] : held_)
    list.push_back({{"link", link}, {"rule", held.rule}, {"what", held.what}, {"at_us", held.at}});
  return write_file(state_ / "held.json", dump(list) + "\n", 0600);
}

Result<void> Book::hold(const std::string& link, const Violation& violation) {
  const std::lock_guard lock(mutex_);
  held_[link] = {link, std::string(name_of(violation.rule)), violation.what, wall_now()};
  log_.error(
      "gate.held", "a link was cut and stays cut until a person has looked: domicile link resume",
      {{Field::link, link}, {Field::code, std::string(name_of(violation.rule))}, {Field::reason, violation.what}});
  return keep();
}

Result<Held> Book::resume(const std::string& link) {
  const std::lock_guard lock(mutex_);
  const auto at = held_.find(link);
  if (at == held_.end()) return fail(Kind::conflict, link + " is not held", "domicile link list");
  const Held was = at->second;
  held_.erase(at);
  if (const auto kept = keep(); !kept) {
    held_[link] = was;
    return tl::unexpected<Error>(kept.error());
  }
  return was;
}

std::vector<Held> Book::held() const {
  const std::lock_guard lock(mutex_);
  std::vector<Held> out;
  for (const auto& [link, held] : held_) out.push_back(held);
  return out;
}

std::string Book::deny(const std::string& region, std::string_view rule, const std::string& what) {
  const std::lock_guard lock(mutex_);
  const Micros now = wall_now();
  const std::string id = fmt::format("g-{:x}-{}", now / kSecond, ++denied_);
  denials_.push_back({id, region, std::string(rule), what, now});
  if (denials_.size() > kDenials) denials_.pop_front();
  log_.warn("gate.refused", "a peer was refused",
            {{Field::peer, region.empty() ? "unknown" : region},
             {Field::code, std::string(rule)},
             {Field::reason, what},
             {Field::detail, id}});
  return id;
}

std::vector<Denial> Book::denials() const {
  const std::lock_guard lock(mutex_);
  return {denials_.begin(), denials_.end()};
}

}  // namespace domicile::gate
