#include "script.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <unordered_set>

#include "base/file.hpp"

namespace domicile::bench::peers {
namespace {

using drill::Write;

constexpr Micros kLook = 100 * kMillisecond;
constexpr Micros kSettled = 10 * kSecond;  // the longest that a write waits

void append(std::vector<Write>& to, std::vector<Write> more) {
  to.insert(to.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
}

// As the drill warms up: until all that ended within a second was acknowledged in half of one.
Result<void> warm_up(Arm& arm, const Script& script, const Interrupts& interrupts) {
  const auto clients = TRY(arm.clients(script.per_s, false));
  std::vector<Write> recent;
  std::size_t prompt = 0, late = 0;
  for (const Micros deadline = monotonic_now() + 60 * kSecond; monotonic_now() < deadline;) {
    CHECK_OK(interrupts.rest(kSecond / 4));
    append(recent, clients->take());
    const Micros now = wall_now();
    std::erase_if(recent, [&](const Write& write) { return write.done < now - kSecond; });
    prompt = static_cast<std::size_t>(std::ranges::count_if(recent, [](const Write& write) {
      return write.outcome == drill::Outcome::acknowledged && write.done - write.intended < kSecond / 2;
    }));
    late = recent.size() - prompt;
    if (late == 0 && static_cast<double>(prompt) >= 0.9 * script.per_s) {
      (void)TRY(clients->stop());
      return {};
    }
  }
  return fail(Kind::unavailable,
              fmt::format("the clients are not served promptly: in the last second {} of {:g} writes were, {} were not",
                          prompt, script.per_s, late),
              "a busy machine may need a lower --rate, which is then every arm's");
}

// Empty: nobody took over within patience.
Result<std::string> await_successor(Arm& arm, const Script& script, const Interrupts& interrupts) {
  for (const Micros deadline = monotonic_now() + script.patience; monotonic_now() < deadline;) {
    if (std::string successor = arm.successor(); !successor.empty()) return successor;
    CHECK_OK(interrupts.rest(kLook));
  }
  return std::string();
}

// Until service is back, or patience ends: then the RTO stays empty. A write that still waits is not seen, and would
// count against the seconds that look good: so on until the last of those has an outcome.
Result<void> await_service(Clients& outside, History& history, const Script& script, const Interrupts& interrupts) {
  std::optional<Micros> seen;
  for (const Micros deadline = monotonic_now() + script.patience; monotonic_now() < deadline;) {
    CHECK_OK(interrupts.rest(kSecond / 4));
    append(history.outside, outside.take());
    if (!seen && drill::rto(history.outside, history.fault)) seen = monotonic_now();
    if (seen && monotonic_now() - *seen > kSettled) return {};
  }
  return {};
}

// Only what clients saw; the fault is on when it returns.
Result<std::string> fault_under_load(Arm& arm, const Script& script, const Interrupts& interrupts, const Talk& talk,
                                     History& history) {
  const bool cut = script.kind == "cut";
  const double share = cut ? script.per_s / 2 : script.per_s;
  const auto inside = cut ? TRY(arm.clients(share, true)) : nullptr;
  const auto outside = TRY(arm.clients(share, false));
  CHECK_OK(interrupts.rest(script.before));
  talk(fmt::format("the first region is lost now ({})", script.kind));
  history.fault = wall_now();
  CHECK_OK(arm.strike(script.kind));
  history.struck = wall_now();
  std::string successor = TRY(await_successor(arm, script, interrupts));
  const double waited = static_cast<double>(wall_now() - history.fault) / kSecond;
  talk(successor.empty() ? fmt::format("nobody took over within {:.0f} s", waited)
                         : fmt::format("{} took over after {:.1f} s", successor, waited));
  if (!successor.empty()) CHECK_OK(await_service(*outside, history, script, interrupts));
  append(history.outside, TRY(outside->stop()));
  if (inside) history.inside = TRY(inside->stop());
  return successor;
}

using Id = std::array<unsigned char, 16>;
struct HashOf {
  std::size_t operator()(const Id& id) const {
    std::size_t hash = 0;
    std::copy_n(id.begin(), sizeof hash, reinterpret_cast<unsigned char*>(&hash));  // they are random
    return hash;
  }
};

std::optional<Id> bytes_of(std::string_view uuid) {
  Id id{};
  std::size_t digits = 0;
  for (const char c : uuid) {
    if (c == '-') continue;
    const auto digit = std::isdigit(static_cast<unsigned char>(c)) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    if (digit < 0 || digits == 32) return {};
    id[digits / 2] = static_cast<unsigned char>(id[digits / 2] * 16 + digit);
    ++digits;
  }
  if (digits != 32) return {};
  return id;
}

}  // namespace

std::size_t found_in_files(const fs::path& folder, const std::vector<std::string>& uuids) {
  std::unordered_set<Id, HashOf> wanted, found;
  for (const auto& uuid : uuids)
    if (const auto id = bytes_of(uuid)) wanted.insert(*id);
  if (wanted.empty()) return 0;
  std::vector<bool> begins(65536);  // the first two bytes of any
  for (const Id& id : wanted) begins[static_cast<std::size_t>(id[0]) << 8 | id[1]] = true;
  std::error_code code;
  for (const auto& entry : fs::recursive_directory_iterator(folder, code)) {
    if (!entry.is_regular_file(code)) continue;
    const auto text = read_file(entry.path());
    if (!text) continue;
    const auto* bytes = reinterpret_cast<const unsigned char*>(text->data());
    for (std::size_t i = 0; i + sizeof(Id) <= text->size(); ++i) {
      if (begins[static_cast<std::size_t>(bytes[i]) << 8 | bytes[i + 1]]) {
        Id id{};
        std::copy_n(bytes + i, id.size(), id.begin());
        if (wanted.contains(id)) found.insert(id);
      }
      // 8-4-4-4-12
      if (text->size() - i < 36 || bytes[i + 8] != '-' || bytes[i + 13] != '-' || bytes[i + 23] != '-') continue;
      if (const auto id = bytes_of(std::string_view(*text).substr(i, 36)); id && wanted.contains(*id))
        found.insert(*id);
    }
  }
  return found.size();
}

Interrupts::Interrupts() {
  sigemptyset(&ends_);
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&ends_, number);
  pthread_sigmask(SIG_BLOCK, &ends_, nullptr);
}

Result<void> Interrupts::rest(Micros length) const {
  const timespec time{static_cast<time_t>(length / kSecond), static_cast<long>(length % kSecond) * 1000};
  if (::sigtimedwait(&ends_, nullptr, &time) > 0) came_ = true;
  if (came_) return fail(Kind::failed, "interrupted");
  return {};
}

Result<Outcome> lose_region(Arm& arm, const Script& script, const Interrupts& interrupts, const Talk& talk) {
  talk("clients warm up");
  CHECK_OK(warm_up(arm, script, interrupts));
  Outcome outcome;
  History& history = outcome.history;
  std::string successor = TRY(fault_under_load(arm, script, interrupts, talk, history));
  talk("the fault ends; new clients come");
  CHECK_OK(arm.end_fault(script.kind));
  {
    const auto after = TRY(arm.clients(script.per_s, false));
    CHECK_OK(interrupts.rest(script.after));
    history.after = TRY(after->stop());
  }
  if (successor.empty()) successor = arm.successor();
  if (successor.empty()) {
    history.readable = TRY(arm.readable(arm.lost()));
  } else {
    talk("the region is brought back");
    CHECK_OK(arm.bring_back(script.kind, successor));
    history.readable = TRY(arm.readable(successor));
  }
  history.kept = TRY(arm.kept());
  const auto findings = classify(history);
  if (!findings) return fail(Kind::unavailable, "nobody could be asked what there is");
  outcome.findings = *findings;
  outcome.on_disk = found_in_files(arm.lost_files(), outcome.findings.lost);
  return outcome;
}

}  // namespace domicile::bench::peers
