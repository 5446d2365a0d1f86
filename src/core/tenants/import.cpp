#include "core/tenants/import.hpp"

#include <algorithm>
#include <unordered_map>

namespace domicile::tenants {
namespace {

constexpr std::size_t kMaxLine = 64 * 1024;
constexpr std::size_t kMaxProblems = 100;  // a file of another kind would give a million

bool alnum(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

// What of a foreign text may stand in an error: short and printable.
std::string shown(std::string_view text) {
  std::string out;
  for (const char c : text.substr(0, 80)) out += c >= 0x20 && c < 0x7f ? c : '?';
  return out + (text.size() > 80 ? "…" : "");
}

std::vector<std::string_view> words(std::string_view text) {
  std::vector<std::string_view> out;
  for (std::size_t at = 0; at < text.size();) {
    const auto end = std::min(text.find_first_of(" \t", at), text.size());
    if (end > at) out.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return out;
}

bool has(const std::vector<std::string>& list, const std::string& text) {
  return std::find(list.begin(), list.end(), text) != list.end();
}

// Everything about one entry that needs no other line. The first problem only: the rest follows from it.
std::optional<std::pair<std::string, std::string>> fill(Entry& entry, const std::vector<std::string_view>& hosts,
                                                        const std::set<std::string>& residencies) {
  if (!valid_tenant(entry.tenant))
    return std::pair{std::string("DOM-T003"),
                     "'" + shown(entry.tenant) + "' is no tenant id: 1 to 64 of A–Z a–z 0–9 . _ -"};
  if (!residencies.contains(entry.residency)) {
    std::string known;
    for (const auto& name : residencies) known += (known.empty() ? "" : ", ") + name;
    return std::pair{std::string("DOM-T004"),
                     "unknown residency '" + shown(entry.residency) + "'; the topology has: " + known};
  }
  for (const auto host : hosts) {
    auto checked = host_of(host);
    if (!checked) return std::pair{std::string("DOM-T005"), checked.error().what};
    if (has(entry.hosts, *checked))
      return std::pair{std::string("DOM-T009"), "host '" + *checked + "' is named twice for one tenant"};
    entry.hosts.push_back(*std::move(checked));
  }
  if (entry.hosts.empty()) return std::pair{std::string("DOM-T006"), "tenant '" + entry.tenant + "' has no host"};
  return std::nullopt;
}

}  // namespace

bool valid_tenant(std::string_view id) {
  if (id.empty() || id.size() > 64 || !alnum(id.front())) return false;
  return std::all_of(id.begin(), id.end(), [](char c) { return alnum(c) || c == '.' || c == '_' || c == '-'; });
}

Result<std::string> host_of(std::string_view text) {
  const auto bad = [&](std::string_view why) {
    return fail(Kind::invalid_input, fmt::format("'{}' is no host name: {}", shown(text), why), {}, "DOM-T005");
  };
  if (text.empty()) return bad("it is empty");
  if (text.size() > 253) return bad("it is longer than 253 bytes");
  std::string host(text);
  for (char& c : host)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  std::size_t label = 0, labels = 1;
  bool letters = false;
  for (std::size_t i = 0; i < host.size(); ++i) {
    const char c = host[i];
    if (c == '.') {
      if (label == 0) return bad("a label is empty");
      if (host[i - 1] == '-') return bad("a label ends with a dash");
      label = 0;
      letters = false;
      ++labels;
      continue;
    }
    if (!alnum(c) && c != '-') return bad("only letters, digits, dashes and dots; other scripts as xn--");
    if (c == '-' && label == 0) return bad("a label begins with a dash");
    letters |= !(c >= '0' && c <= '9');
    if (++label > 63) return bad("a label is longer than 63 bytes");
  }
  if (label == 0) return bad("it ends with a dot");
  if (host.back() == '-') return bad("a label ends with a dash");
  if (labels < 2) return bad("it has no domain");
  if (!letters) return bad("it is an address, or its last label is a number");
  return host;
}

CsvReader::CsvReader(std::string_view text, const std::set<std::string>& residencies)
    : text_(text), residencies_(residencies) {
  if (text_.starts_with("\xEF\xBB\xBF")) position_ = 3;
  header();
}

void CsvReader::problem(std::string code, std::string cause) {
  problems_.push_back({line_, std::move(code), std::move(cause)});
  if (problems_.size() >= kMaxProblems) broken_ = true;
}

// One record, or nothing at the end of the text or behind a record that cannot be read.
std::optional<std::vector<std::string>> CsvReader::record() {
  while (!broken_ && position_ < text_.size()) {
    line_ = next_line_;
    const std::size_t begin = position_;
    std::vector<std::string> fields(1);
    bool in_quotes = false, was_quoted = false, bad_quote = false, ended = false;
    while (position_ < text_.size() && !ended) {
      const char c = text_[position_++];
      if (position_ - begin > kMaxLine) {
        problem("DOM-T011", "the line is longer than 64 KiB");
        broken_ = true;  // an unclosed quote would swallow the rest
        return std::nullopt;
      }
      if (c == '\n') ++next_line_;
      if (in_quotes) {
        if (c != '"') {
          fields.back() += c;
        } else if (position_ < text_.size() && text_[position_] == '"') {
          fields.back() += c;
          ++position_;
        } else {
          in_quotes = false;
        }
      } else if (c == '"') {
        if (fields.back().empty() && !was_quoted)
          in_quotes = was_quoted = true;
        else
          bad_quote = true;
      } else if (c == ',') {
        fields.emplace_back();
        was_quoted = false;
      } else if (c == '\n') {
        ended = true;
      } else if (c == '\r' && position_ < text_.size() && text_[position_] == '\n') {
        continue;
      } else {
        bad_quote |= was_quoted;
        fields.back() += c;
      }
    }
    if (in_quotes || bad_quote) {
      problem("DOM-T010", in_quotes ? "a quote is not closed" : "a quote in the middle of a field");
      if (in_quotes) broken_ = true;
      continue;
    }
    if (fields.size() == 1 && fields[0].empty()) continue;  // an empty line
    return fields;
  }
  return std::nullopt;
}

void CsvReader::header() {
  const auto fields = record();
  if (!fields) {
    if (problems_.empty())
      problem("DOM-T001", "the file is empty; its first line names the columns: tenant,residency,hosts");
    broken_ = true;
    return;
  }
  for (std::size_t i = 0; i < fields->size(); ++i) {
    const auto& name = (*fields)[i];
    int* column = name == "tenant"                    ? &tenant_
                  : name == "residency"               ? &residency_
                  : name == "hosts" || name == "host" ? &hosts_
                                                      : nullptr;
    if (!column || *column >= 0) {
      problem("DOM-T001", fmt::format("column '{}' is {}; the first line names the columns: tenant,residency,hosts",
                                      shown(name), column ? "named twice" : "unknown"));
      broken_ = true;
      return;
    }
    *column = static_cast<int>(i);
  }
  fields_ = fields->size();
  if (tenant_ < 0 || residency_ < 0 || hosts_ < 0) {
    problem("DOM-T001", "a column is missing; the first line names the columns: tenant,residency,hosts");
    broken_ = true;
  }
}

std::optional<Entry> CsvReader::next() {
  while (auto fields = record()) {
    if (fields->size() != fields_) {
      problem("DOM-T002", fmt::format("{} fields instead of {}", fields->size(), fields_));
      continue;
    }
    Entry entry{std::move((*fields)[static_cast<std::size_t>(tenant_)]),
                std::move((*fields)[static_cast<std::size_t>(residency_)]),
                {},
                line_};
    const auto hosts = words((*fields)[static_cast<std::size_t>(hosts_)]);
    if (auto bad = fill(entry, hosts, residencies_)) {
      problem(std::move(bad->first), std::move(bad->second));
      continue;
    }
    return entry;
  }
  return std::nullopt;
}

Checked check_csv(std::string_view text, const std::set<std::string>& residencies,
                  const std::function<void(std::size_t)>& progress) {
  CsvReader reader(text, residencies);
  Checked checked;
  std::vector<Problem> contradictions;
  std::unordered_map<std::string, std::size_t> by_tenant, by_host;
  while (auto entry = reader.next()) {
    const auto index = checked.entries.size();
    const auto clash = [&](std::string code, std::string cause) {
      if (contradictions.size() < kMaxProblems)
        contradictions.push_back({entry->line, std::move(code), std::move(cause)});
    };
    const auto [known, is_new] = by_tenant.emplace(entry->tenant, index);
    if (!is_new) {
      const auto& first = checked.entries[known->second];
      if (first.residency != entry->residency)
        clash("DOM-T007", fmt::format("tenant '{}' has residency '{}' here and '{}' in line {}", entry->tenant,
                                      entry->residency, first.residency, first.line));
      else if (first.hosts == entry->hosts)
        clash("DOM-T009", fmt::format("tenant '{}' stands in line {} already", entry->tenant, first.line));
      else
        clash("DOM-T022", fmt::format("tenant '{}' has other hosts in line {}; name all its hosts in one line",
                                      entry->tenant, first.line));
    }
    for (const auto& host : entry->hosts)
      if (const auto [taken, fresh] = by_host.emplace(host, index); !fresh) {
        const auto& first = checked.entries[taken->second];
        if (first.tenant != entry->tenant)
          clash("DOM-T008", fmt::format("host '{}' is given to tenant '{}' here and to '{}' in line {}", host,
                                        entry->tenant, first.tenant, first.line));
      }
    checked.entries.push_back(*std::move(entry));
    if (progress && index % 4096 == 0) progress(reader.offset());
  }
  checked.problems = reader.problems();
  checked.problems.insert(checked.problems.end(), contradictions.begin(), contradictions.end());
  std::stable_sort(checked.problems.begin(), checked.problems.end(),
                   [](const Problem& a, const Problem& b) { return a.line < b.line; });
  if (!checked.problems.empty()) checked.entries.clear();
  return checked;
}

Result<Entry> entry_of(std::string_view tenant, std::string_view residency, const std::vector<std::string>& hosts,
                       const std::set<std::string>& residencies) {
  Entry entry{std::string(tenant), std::string(residency), {}, 0};
  if (auto bad = fill(entry, {hosts.begin(), hosts.end()}, residencies))
    return fail(bad->first == "DOM-T004" ? Kind::refused : Kind::invalid_input, bad->second, {}, bad->first);
  return entry;
}

Error to_error(const std::vector<Problem>& problems, std::string_view file) {
  constexpr std::size_t kShown = 20;
  std::string what =
      fmt::format("{} problem{} in {}; nothing was imported", problems.size(), problems.size() == 1 ? "" : "s", file);
  for (std::size_t i = 0; i < std::min(kShown, problems.size()); ++i)
    what += fmt::format("\n  {}:{}: {} {}", file, problems[i].line, problems[i].code, problems[i].cause);
  if (problems.size() > kShown) what += fmt::format("\n  and {} more", problems.size() - kShown);
  Error error{Kind::invalid_input, what, "mend the lines named and import the file again"};
  if (!problems.empty()) {
    error.id = problems[0].code;
    error.where = fmt::format("{}:{}", file, problems[0].line);
  }
  return error;
}

}  // namespace domicile::tenants
