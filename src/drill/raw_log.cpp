#include "drill/raw_log.hpp"

#include <sstream>

namespace domicile::drill {
namespace {

constexpr std::string_view kFirst = "domicile-drill-log 1";

Json micros(const std::optional<Micros>& length) { return length ? Json(*length) : Json(); }
Json count_json(const std::optional<std::size_t>& count) { return count ? Json(*count) : Json(); }

Json subject_json(const Subject& subject) {
  const drills::Hold& hold = subject.hold;
  return {{"drill", subject.drill},
          {"kind", subject.kind},
          {"residency", subject.residency},
          {"clients", subject.clients},
          {"per_s", subject.per_s},
          {"fault", subject.fault},
          {"must_hold",
           {{"errors", count_json(hold.errors)},
            {"unknown", count_json(hold.unknown)},
            {"missing", count_json(hold.missing)},
            {"lost", count_json(hold.lost)},
            {"pause_p99", micros(hold.pause_p99)},
            {"rto_p50", micros(hold.rto_p50)},
            {"rto_p99", micros(hold.rto_p99)},
            {"rpo", micros(hold.rpo)},
            {"halt", micros(hold.halt)},
            {"diverged", hold.diverged},
            {"owner", hold.owner}}}};
}

template <class T>
Result<std::optional<T>> number_or_none(const Json& json, const char* key) {
  if (!json.is_object() || !json.contains(key) || json[key].is_null()) return std::optional<T>{};
  const T value = TRY(member<T>(json, key));
  if (value < T{0} || (json[key].is_number_integer() && !json[key].is_number_unsigned()))
    return fail(Kind::corrupt, fmt::format("'{}' is negative", key));
  return std::optional<T>(value);
}

Result<Subject> subject_of(const Json& json) {
  Subject subject;
  subject.drill = TRY(member<std::string>(json, "drill"));
  subject.kind = TRY(member<std::string>(json, "kind"));
  subject.residency = TRY(member<std::string>(json, "residency"));
  subject.clients = TRY(member<std::size_t>(json, "clients"));
  subject.per_s = TRY(member<double>(json, "per_s"));
  subject.fault = TRY(member<bool>(json, "fault"));
  const Json must = TRY(member<Json>(json, "must_hold"));
  drills::Hold& hold = subject.hold;
  hold.errors = TRY(number_or_none<std::size_t>(must, "errors"));
  hold.unknown = TRY(number_or_none<std::size_t>(must, "unknown"));
  hold.missing = TRY(number_or_none<std::size_t>(must, "missing"));
  hold.lost = TRY(number_or_none<std::size_t>(must, "lost"));
  hold.pause_p99 = TRY(number_or_none<Micros>(must, "pause_p99"));
  hold.rto_p50 = TRY(number_or_none<Micros>(must, "rto_p50"));
  hold.rto_p99 = TRY(number_or_none<Micros>(must, "rto_p99"));
  hold.rpo = TRY(number_or_none<Micros>(must, "rpo"));
  hold.halt = TRY(number_or_none<Micros>(must, "halt"));
  hold.diverged = TRY(member<bool>(must, "diverged"));
  hold.owner = TRY(member<std::string>(must, "owner"));
  return subject;
}

// No instant of a log is so far away that computing with it could overflow.
Result<Micros> instant(const Json& json, const char* key) {
  constexpr Micros kMost = Micros{1} << 60;
  const Micros at = TRY(member<Micros>(json, key));
  if (at < 0 || at > kMost) return fail(Kind::corrupt, fmt::format("'{}' is no instant", key));
  return at;
}

Result<RunResult> run_of_json(const Json& json) {
  RunResult run;
  run.fault = TRY(instant(json, "fault"));
  run.begin = TRY(instant(json, "begin"));
  run.undone = TRY(instant(json, "undone"));
  run.followed = TRY(instant(json, "followed"));
  run.switch_id = TRY(member<std::string>(json, "switch"));
  run.owner_before = TRY(member<std::string>(json, "owner_before"));
  run.owner_after = TRY(member<std::string>(json, "owner_after"));
  if (TRY(member<bool>(json, "readable"))) run.readable.emplace();
  if (TRY(member<bool>(json, "salvaged"))) run.salvaged.emplace();
  run.trouble = TRY(member<std::string>(json, "trouble"));
  return run;
}

std::string word(const std::string& text) { return text.empty() ? "-" : text; }
std::string unword(const std::string& text) { return text == "-" ? "" : text; }

Result<void> add_line(RunResult& run, const std::string& kind, const std::string& rest) {
  if (kind == "write" || kind == "inside") {
    const auto writes = TRY(writes_of(rest));
    if (writes.size() != 1) return fail(Kind::corrupt, "no write");
    const Write& write = writes[0];
    if (write.intended < 0 || write.done < 0 || std::max(write.intended, write.done) > (Micros{1} << 60))
      return fail(Kind::corrupt, "a write of no time");
    (kind == "write" ? run.writes : run.inside).push_back(write);
    return {};
  }
  std::istringstream words(rest);
  std::string first, more;
  if (kind == "event") {
    Event event;
    words >> event.at >> event.name >> event.residency >> event.switch_id;
    if (!words || (words >> more) || event.at < 0 || event.at > (Micros{1} << 60))
      return fail(Kind::corrupt, "no event");
    event.residency = unword(event.residency), event.switch_id = unword(event.switch_id);
    run.events.push_back(std::move(event));
    return {};
  }
  if (!(words >> first) || (words >> more)) return fail(Kind::corrupt, "one id was expected");
  auto* ids = kind == "readable" ? &run.readable : kind == "salvaged" ? &run.salvaged : nullptr;
  if (ids == nullptr) return fail(Kind::corrupt, "a line that is not known");
  if (!*ids) return fail(Kind::corrupt, "an id, although nobody could be asked");
  (*ids)->insert(first);
  return {};
}

void lines_of(std::string& out, const char* kind, const std::vector<Write>& writes) {
  for (const Write& write : writes) out += fmt::format("{} {}", kind, to_text({write}));
}

void lines_of(std::string& out, const char* kind, const std::optional<std::set<std::string>>& ids) {
  if (!ids) return;
  for (const auto& id : *ids) out += fmt::format("{} {}\n", kind, id);
}

}  // namespace

std::string raw_log(const Subject& subject, const std::vector<RunResult>& runs) {
  std::string out = fmt::format("{}\nsubject {}\n", kFirst, dump(subject_json(subject)));
  for (const RunResult& run : runs) {
    out += fmt::format("run {}\n", dump({{"fault", run.fault},
                                         {"begin", run.begin},
                                         {"undone", run.undone},
                                         {"followed", run.followed},
                                         {"switch", run.switch_id},
                                         {"owner_before", run.owner_before},
                                         {"owner_after", run.owner_after},
                                         {"readable", run.readable.has_value()},
                                         {"salvaged", run.salvaged.has_value()},
                                         {"trouble", run.trouble}}));
    for (const Event& event : run.events)
      out += fmt::format("event {} {} {} {}\n", event.at, event.name, word(event.residency), word(event.switch_id));
    lines_of(out, "write", run.writes);
    lines_of(out, "inside", run.inside);
    lines_of(out, "readable", run.readable);
    lines_of(out, "salvaged", run.salvaged);
  }
  return out;
}

Result<RawLog> raw_log_of(const std::string& text) {
  RawLog log;
  std::istringstream lines(text);
  std::size_t number = 0;
  bool subject = false;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    const auto space = line.find(' ');
    const std::string kind = line.substr(0, space), rest = space == line.npos ? "" : line.substr(space + 1);
    const auto read = [&]() -> Result<void> {
      if (number == 1) return line == kFirst ? Result<void>() : fail(Kind::corrupt, "this is no log of a drill");
      if (number == 2) {
        if (kind != "subject") return fail(Kind::corrupt, "the subject was expected");
        log.subject = TRY(subject_of(TRY(parse_json(rest, "the subject"))));
        subject = true;
        return {};
      }
      if (kind == "run") {
        log.runs.push_back(TRY(run_of_json(TRY(parse_json(rest, "the run")))));
        return {};
      }
      if (log.runs.empty()) return fail(Kind::corrupt, "a run was expected");
      return add_line(log.runs.back(), kind, rest);
    }();
    if (!read) {
      Error error = read.error();
      error.kind = Kind::corrupt;
      error.what = fmt::format("line {} of the raw log: {}", number, error.what);
      return tl::unexpected<Error>(std::move(error));
    }
  }
  if (!subject || log.runs.empty()) return fail(Kind::corrupt, "the raw log ends before its first run");
  for (RunResult& run : log.runs) derive(run, log.subject.residency);
  return log;
}

std::vector<std::string> disagreements(const Json& report, const RawLog& log) {
  const Json computed = json_of(judge(log.subject, log.runs));
  std::vector<std::string> out;
  if (!report.is_object()) return {"the report is no object"};
  for (const auto& [key, value] : computed.items())
    if (!report.contains(key))
      out.push_back(fmt::format("{}: the report does not say; the log: {}", key, dump(value)));
    else if (report[key] != value)
      out.push_back(fmt::format("{}: the report says {}; the log: {}", key, dump(report[key]), dump(value)));
  return out;
}

}  // namespace domicile::drill
