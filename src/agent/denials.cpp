#include "agent/denials.hpp"

#include <sys/random.h>

#include <algorithm>

#include "base/clock.hpp"
#include "base/name.hpp"

namespace domicile::agent {
namespace {

constexpr std::size_t kLongest = 500;  // bytes of a sentence

std::string fresh_id() {
  std::uint64_t bits = 0;
  if (::getrandom(&bits, sizeof bits, 0) != sizeof bits) bits = static_cast<std::uint64_t>(wall_now());
  return fmt::format("a-{:016x}", bits);
}

Result<Denial> denial_of(const std::string& line) {
  const Json json = TRY(parse_json(line, "a denial"));
  Denial out;
  out.id = TRY(member<std::string>(json, "id"));
  out.who = TRY(member<std::string>(json, "who"));
  out.asked = TRY(member<std::string>(json, "asked"));
  out.rule = TRY(member<std::string>(json, "rule"));
  out.what = TRY(member<std::string>(json, "what"));
  out.fix = TRY(member<std::string>(json, "fix"));
  out.status = TRY(member<int>(json, "status"));
  out.at = TRY(member<Micros>(json, "at_us"));
  return out;
}

void leave_out(std::string& text, const std::string& foreign) {
  if (foreign.empty() || is_name(foreign)) return;
  for (auto at = text.find(foreign); at != text.npos; at = text.find(foreign, at))
    text.replace(at, foreign.size(), 1, '?');
}

void leave_out(std::string& text, const Json& foreign) {
  if (foreign.is_string()) leave_out(text, foreign.get_ref<const std::string&>());
  if (foreign.is_structured())
    for (const auto& [key, value] : foreign.items()) leave_out(text, value);
}

std::string in_words_of_ours(std::string text, const HttpCall& call) {
  if (const auto body = parse_json(call.body, "the question")) leave_out(text, *body);
  for (const auto& [name, value] : call.query) leave_out(text, value);
  leave_out(text, call.path);
  leave_out(text, call.method);
  text.resize(std::min(text.size(), kLongest));
  return text;
}

}  // namespace

Json json_of(const Denial& denial) {
  return {{"id", denial.id},     {"who", denial.who}, {"asked", denial.asked},   {"rule", denial.rule},
          {"what", denial.what}, {"fix", denial.fix}, {"status", denial.status}, {"at_us", denial.at}};
}

Denials::Denials(const fs::path& file, Log log) : log_(std::move(log)) {
  auto journal = Journal::open(file);
  if (!journal) {
    log_.error("api.denials", "denials are not kept on the disk", {{Field::reason, one_line(journal.error())}});
    return;
  }
  lines_ = journal->lines_at_open().size();
  for (const auto& line : journal->lines_at_open())
    if (auto denial = denial_of(line)) keep(*denial);  // one damaged line is no reason to forget the others
  journal_ = *std::move(journal);
}

void Denials::name(const HttpCall& call, const std::string& who, bool again, HttpReply& reply) {
  if (reply.status != 403 && reply.status != 409 && reply.status != 412) return;
  auto body = parse_json(reply.body, "the answer");
  if (!body || !body->is_object()) return;
  const auto text = [&](const char* key) { return member_or<std::string>(*body, key, "").value_or(""); };
  Denial denial;
  denial.id = fresh_id();
  denial.who = who;
  denial.asked = in_words_of_ours(fmt::format("{} {}", call.method, call.path), call);
  denial.rule = text("code").empty() ? text("kind") : text("code");
  denial.what = in_words_of_ours(text("what"), call);
  denial.fix = in_words_of_ours(text("fix"), call);
  denial.status = reply.status;
  denial.at = wall_now();
  const std::lock_guard lock(mutex_);
  const auto same = std::ranges::find_if(kept_, [&](const Denial& each) {
    return each.who == who && each.asked == denial.asked && each.what == denial.what;
  });
  if (again && same != kept_.end()) {
    denial.id = same->id;
  } else {
    keep(denial);
    write(denial);
  }
  (*body)["denial"] = denial.id;
  reply.body = dump(*body);
}

std::optional<Denial> Denials::find(const std::string& id) const {
  const std::lock_guard lock(mutex_);
  const auto found = std::ranges::find(kept_, id, &Denial::id);
  return found == kept_.end() ? std::nullopt : std::optional(*found);
}

void Denials::keep(const Denial& denial) {
  kept_.push_back(denial);
  if (kept_.size() > kKept) kept_.pop_front();
}

// Not fsynced: whoever is refused in a loop would cost a sync each time.
void Denials::write(const Denial& denial) {
  if (!journal_) return;
  Result<void> written;
  if (lines_ < kLines) {
    written = journal_->note(dump(json_of(denial)));
    lines_ += written ? 1 : 0;
  } else {
    std::vector<std::string> lines;
    for (const auto& each : kept_) lines.push_back(dump(json_of(each)));
    written = journal_->rewrite(lines);
    if (written) lines_ = lines.size();
  }
  if (!written && !trouble_)
    log_.error("api.denials", "a denial could not be written and is kept in memory",
               {{Field::reason, one_line(written.error())}});
  trouble_ = !written;
}

}  // namespace domicile::agent
