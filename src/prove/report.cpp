#include "prove/report.hpp"

#include <algorithm>
#include <map>

namespace domicile::prove {
namespace {

constexpr std::size_t kTold = 20;  // lines of each kind; the JSON has all

struct Row {
  std::size_t attempted = 0, refused = 0, lawful = 0;
  std::map<std::string, std::size_t> rules;
};

std::map<Layer, Row> rows_of(const std::vector<Judged>& attempts) {
  std::map<Layer, Row> rows;
  for (const Judged& each : attempts) {
    Row& row = rows[each.layer];
    ++row.attempted;
    if (!holds(each.verdict)) continue;
    ++(each.verdict == Verdict::lawful ? row.lawful : row.refused);
    ++row.rules[each.rule];
  }
  return rows;
}

Json json_of(const Row& row) {
  return {{"attempted", row.attempted}, {"refused", row.refused}, {"lawful", row.lawful}, {"rules", row.rules}};
}

Json json_of(const Scope& scope, const std::vector<std::string>& missing) {
  return {{"from", scope.from},   {"layer", scope.layer ? Json(name_of(*scope.layer)) : Json()},
          {"quick", scope.quick}, {"elsewhere", scope.elsewhere},
          {"missing", missing},   {"whole", missing.empty()}};
}

std::size_t count(const std::vector<Judged>& attempts, Verdict verdict) {
  return static_cast<std::size_t>(std::ranges::count(attempts, verdict, &Judged::verdict));
}

std::string grouped(std::uint64_t number) {
  std::string text = std::to_string(number);
  for (int at = static_cast<int>(text.size()) - 3; at > 0; at -= 3) text.insert(static_cast<std::size_t>(at), ",");
  return text;
}

// Words, broken into lines of `width` with the later ones moved in to `indent`.
std::string wrapped(const std::vector<std::string>& words, std::size_t width, std::size_t indent) {
  std::string out, line;
  for (const auto& word : words) {
    if (!line.empty() && line.size() + 1 + word.size() > width) {
      out += line + "\n" + std::string(indent, ' ');
      line.clear();
    }
    line += (line.empty() ? "" : " ") + word;
  }
  return out + line;
}

std::string rules_text(const Row& row) {
  std::vector<std::string> words;
  for (const auto& [rule, count] : row.rules) words.push_back(count == 1 ? rule : fmt::format("{} ({})", rule, count));
  return wrapped(words, 38, 41);
}

std::string cut(const std::string& text, std::size_t width) {
  return text.size() <= width ? text : text.substr(0, width - 3) + "...";
}

std::string leaks_text(const std::vector<Leak>& leaks) {
  std::map<std::string, std::pair<std::size_t, std::size_t>> layers;  // found, made
  for (const Leak& leak : leaks) {
    layers[leak.layer].first += leak.found ? 1 : 0;
    ++layers[leak.layer].second;
  }
  std::vector<std::string> words;
  for (const auto& [layer, count] : layers)
    words.push_back(fmt::format("{} ({} of {})", cut(layer, 60), count.first, count.second));
  return wrapped(words, 76, 2);
}

// The last part of a path is what tells.
std::string cut_front(const std::string& text, std::size_t width) {
  return text.size() <= width ? text : "..." + text.substr(text.size() - width + 3);
}

class Lines {
 public:
  explicit Lines(std::string& out) : out_(out) {}
  template <class List, class Text>
  void each(const List& list, const Text& text) {
    std::size_t told = 0;
    for (const auto& one : list) {
      if (told++ == kTold) {
        out_ += fmt::format("  and {} more: --json has them\n", list.size() - kTold);
        return;
      }
      out_ += text(one);
    }
  }

 private:
  std::string& out_;
};

}  // namespace

std::size_t Report::refused() const { return count(attempts, Verdict::refused); }

std::size_t Report::lawful() const { return count(attempts, Verdict::lawful); }

std::uint64_t Report::bytes_crossed() const {
  std::uint64_t bytes = 0;
  for (const Judged& each : attempts) bytes += each.bytes;
  if (census)
    for (const auto& hit : census->hits) bytes += hit.count * census::kCanaryLength;
  return bytes;
}

bool Report::held() const {
  return trouble.empty() && !attempts.empty() && refused() + lawful() == attempts.size() && census && census->clean() &&
         (!self_test || self_test->held());
}

std::vector<std::string> Report::missing() const {
  std::vector<std::string> parts;
  if (scope.layer) parts.push_back(fmt::format("layers other than {}", name_of(*scope.layer)));
  if (scope.quick) parts.emplace_back("kinds of attempts that are not part of the slice (--quick)");
  if (!left_out.empty())
    parts.push_back(
        fmt::format("{} that break a lab which others use: {}", left_out.size(), fmt::join(left_out, ", ")));
  if (!self_test) parts.emplace_back("whether the census sees (--self-test)");
  for (const std::string& pair : scope.elsewhere) parts.push_back("attempts on " + pair);
  return parts;
}

Json json_of(const Report& report) {
  Json layers = Json::object(), attempts = Json::array(), leaks = Json::array();
  for (const auto& [layer, row] : rows_of(report.attempts)) layers[std::string(name_of(layer))] = json_of(row);
  for (const Judged& each : report.attempts) attempts.push_back(json_of(each));
  if (report.self_test)
    for (const Leak& leak : report.self_test->leaks)
      leaks.push_back({{"layer", leak.layer},
                       {"what", leak.what},
                       {"planted", leak.planted},
                       {"found", leak.found},
                       {"canary", leak.canary},
                       {"places", leak.places},
                       {"where", leak.where}});
  Json census = report.census ? census::to_json(*report.census) : Json();
  return {{"residency", report.residency},
          {"forbidden", report.forbidden},
          {"attempted", report.attempts.size()},
          {"refused", report.refused()},
          {"lawful", report.lawful()},
          {"not_held", report.attempts.size() - report.refused() - report.lawful()},
          {"scope", json_of(report.scope, report.missing())},
          {"bytes_crossed", report.bytes_crossed()},
          {"searched_bytes", report.census ? Json(report.census->searched_bytes) : Json()},
          {"self_test_found", report.self_test ? Json(report.self_test->found()) : Json()},
          {"self_test_planted", report.self_test ? Json(report.self_test->leaks.size()) : Json()},
          {"self_test", report.self_test ? Json(leaks) : Json()},
          {"blind_spots", report.self_test ? Json(report.self_test->blind_spots) : Json()},
          {"phantoms", report.self_test ? Json(report.self_test->phantoms) : Json()},
          {"layers", std::move(layers)},
          {"attempts", std::move(attempts)},
          {"left_out", report.left_out},
          {"census", std::move(census)},
          {"trouble", report.trouble},
          {"held", report.held()}};
}

std::string table(const Report& report, bool colour) {
  const auto paint = [&](const char* code, const std::string& text) {
    return colour ? fmt::format("\033[{}m{}\033[0m", code, text) : text;
  };
  std::string out =
      fmt::format("{} may not lie in full at: {}\n\n", report.residency, fmt::join(report.forbidden, ", "));
  Lines lines(out);
  const auto line = [&](std::string_view layer, auto attempted, auto refused, auto lawful) {
    return fmt::format("{:<13}{:>9}{:>9}{:>8}", layer, attempted, refused, lawful);
  };
  out += line("layer", "attempted", "refused", "lawful") + "  by rule\n";
  for (const auto& [layer, row] : rows_of(report.attempts))
    out += line(name_of(layer), row.attempted, row.refused, row.lawful) + "  " + rules_text(row) + "\n";
  out += line("all", report.attempts.size(), report.refused(), report.lawful()) + "\n\n";

  std::vector<Judged> open;
  std::ranges::copy_if(report.attempts, std::back_inserter(open),
                       [](const Judged& each) { return !holds(each.verdict); });
  lines.each(open, [&](const Judged& each) {
    return paint("31", fmt::format("{:<8}", name_of(each.verdict))) + fmt::format("{}\n", cut(each.id, 70)) +
           fmt::format("        {}\n        {}\n", cut(each.what, 70), cut(each.why, 70));
  });
  if (report.census) {
    const auto& census = *report.census;
    out +=
        fmt::format("{} bytes crossed; {} bytes searched in {} places, {} decoded\n", grouped(report.bytes_crossed()),
                    grouped(census.searched_bytes), census.places.size(), grouped(census.decoded_bytes));
    lines.each(census.hits, [&](const census::Hit& hit) {
      return paint("31", "found   ") + fmt::format("{}, {}\n", cut(hit.canary, 40), cut(hit.place, 28)) +
             fmt::format("        {}, {}\n", cut_front(hit.file, 44), cut(hit.chain, 24));
    });
    lines.each(census.unsearched, [&](const census::Unsearched& gap) {
      return paint("31", "unseen  ") + fmt::format("{}\n", cut_front(gap.place + ": " + gap.file, 70)) +
             fmt::format("        {}\n", cut(gap.why, 70));
    });
  } else {
    out += "nothing was searched\n";
  }
  if (report.self_test) {
    const auto& test = *report.self_test;
    out += fmt::format("self-test: {} of {} leaks found, {} blind spots\n", test.found(), test.leaks.size(),
                       test.blind_spots.size());
    out += "  " + leaks_text(test.leaks) + "\n";
    for (const Leak& leak : test.leaks)
      if (!leak.found)
        out += paint("31", "missed  ") +
               fmt::format("{}\n        {}\n", cut(leak.layer + ": " + leak.what, 70), cut(leak.where, 70));
  }
  for (const auto& trouble : report.trouble) out += paint("31", "trouble ") + cut(trouble, 70) + "\n";
  const auto missing = report.missing();
  lines.each(missing, [&](const std::string& part) { return "without " + cut(part, 70) + "\n"; });
  if (!report.held()) return out + paint("31", "NOT HELD") + "\n";
  return out + paint("32", missing.empty() ? "held" : "held, as far as it was tried") + "\n";
}

}  // namespace domicile::prove
