#include "gate/denials.hpp"

#include <charconv>

#include "base/json.hpp"

namespace domicile::gate {
namespace {

constexpr std::size_t kLongest = 500;  // bytes of a sentence in the file

std::string line_of(const Denial& denial) {
  return dump({{"id", denial.id},
               {"region", denial.region},
               {"rule", denial.rule},
               {"what", denial.what.substr(0, kLongest)},
               {"at_us", denial.at}});
}

Result<Denial> denial_of(const std::string& line) {
  const Json json = TRY(parse_json(line, "a denial"));
  Denial out;
  out.id = TRY(member<std::string>(json, "id"));
  out.region = TRY(member<std::string>(json, "region"));
  out.rule = TRY(member<std::string>(json, "rule"));
  out.what = TRY(member<std::string>(json, "what"));
  out.at = TRY(member<Micros>(json, "at_us"));
  return out;
}

// The number behind the last '-': a gate that starts again in the same second goes on counting.
std::uint64_t number_of(const std::string& id) {
  std::uint64_t number = 0;
  const auto at = id.rfind('-');
  if (at != id.npos) std::from_chars(id.data() + at + 1, id.data() + id.size(), number);
  return number;
}

}  // namespace

Denials::Denials(const fs::path& file, Log log) : log_(std::move(log)) {
  auto journal = Journal::open(file);
  if (!journal) {
    log_.error("gate.state", "denials are not kept on the disk", {{Field::reason, one_line(journal.error())}});
    return;
  }
  lines_ = journal->lines_at_open().size();
  for (const auto& line : journal->lines_at_open()) {
    auto denial = denial_of(line);
    if (!denial) continue;  // one damaged line is no reason to forget the others
    kept_.push_back(*std::move(denial));
    if (kept_.size() > kKept) kept_.pop_front();
  }
  if (!kept_.empty()) last_ = written_ = number_of(kept_.back().id);
  journal_ = *std::move(journal);
  thread_ = std::jthread([this](const std::stop_token& stop) { write_all(stop); });
}

Denials::~Denials() = default;

std::string Denials::add(const std::string& region, std::string_view rule, const std::string& what) {
  std::unique_lock lock(mutex_);
  const Micros now = wall_now();
  const std::uint64_t number = ++last_;
  Denial denial{fmt::format("g-{:x}-{}", now / kSecond, number), region, std::string(rule), what, now};
  const std::string id = denial.id;
  kept_.push_back(denial);
  if (kept_.size() > kKept) kept_.pop_front();
  if (!thread_.joinable()) return id;
  unwritten_.push_back(std::move(denial));
  if (unwritten_.size() > kKept) unwritten_.pop_front();
  rung_.notify_all();
  // The peer is told the id only then: usually it is explained even if this process is killed at once.
  if (!trouble_) rung_.wait_for(lock, std::chrono::microseconds(kPatience), [&] { return written_ >= number; });
  return id;
}

std::vector<Denial> Denials::all() const {
  const std::lock_guard lock(mutex_);
  return {kept_.begin(), kept_.end()};
}

std::optional<Denial> Denials::find(const std::string& id) const {
  const std::lock_guard lock(mutex_);
  for (auto at = kept_.rbegin(); at != kept_.rend(); ++at)
    if (at->id == id) return *at;
  return {};
}

// Not fsynced one by one: a peer that is refused in a loop would cost a sync each time.
Result<void> Denials::write(const Denial& denial) {
  if (lines_ >= kLines) {
    std::vector<std::string> lines;
    for (const auto& each : all()) {
      lines.push_back(line_of(each));
      if (each.id == denial.id) break;  // those behind it come by themselves
    }
    CHECK_OK(journal_->rewrite(lines));
    lines_ = lines.size();
    return {};
  }
  CHECK_OK(journal_->note(line_of(denial)));
  ++lines_;
  return {};
}

void Denials::write_all(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  std::uint64_t tried = written_;  // after a failure the next denial is waited for
  while (true) {
    rung_.wait(lock, stop, [&] { return !unwritten_.empty() && tried != last_; });
    const bool ending = stop.stop_requested();
    tried = last_;
    bool fine = true;
    while (fine && !unwritten_.empty()) {
      const Denial next = unwritten_.front();
      lock.unlock();
      const auto written = write(next);
      lock.lock();
      fine = written.has_value();
      if (fine && !unwritten_.empty() && unwritten_.front().id == next.id) unwritten_.pop_front();
      written_ = number_of(next.id);
      if (!fine && !trouble_)
        log_.error("gate.state", "denials could not be written and are kept in memory",
                   {{Field::reason, one_line(written.error())}});
      trouble_ = !fine;
      rung_.notify_all();
    }
    if (ending) return;
  }
}

}  // namespace domicile::gate
