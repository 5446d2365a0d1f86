#include "drill/live_view.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace domicile::drill {
namespace {

enum class Ink { plain, dim, bold, green, yellow, red, chosen };

const char* code_of(Ink ink) {
  switch (ink) {
    case Ink::plain:
      return "\033[0m";
    case Ink::dim:
      return "\033[0;2m";
    case Ink::bold:
      return "\033[0;1m";
    case Ink::green:
      return "\033[0;32m";
    case Ink::yellow:
      return "\033[0;33m";
    case Ink::red:
      return "\033[0;31m";
    case Ink::chosen:
      return "\033[0;7m";
  }
  return "";
}

// Characters as they stand in columns: everything that we print is one column wide.
std::size_t width_of(std::string_view text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

std::string cut_to(std::string_view text, std::size_t width) {
  std::size_t at = 0, seen = 0;
  while (at < text.size()) {
    const bool begins = (static_cast<unsigned char>(text[at]) & 0xC0) != 0x80;
    if (begins && seen == width) break;
    if (begins) ++seen;
    ++at;
  }
  return std::string(text.substr(0, at));
}

// A line that never grows over the terminal's edge, colours not counted.
class Line {
 public:
  explicit Line(std::size_t columns) : left_(columns) {}
  Line& add(std::string_view text, Ink ink = Ink::plain, std::size_t field = 0) {
    std::string shown = cut_to(text, std::min(left_, field == 0 ? left_ : field));
    std::size_t width = width_of(shown);
    for (; width < field && width < left_; ++width) shown += ' ';
    left_ -= width;
    out_ += code_of(ink) + shown;
    return *this;
  }
  std::string str() const { return out_ + "\033[0m"; }

 private:
  std::size_t left_;
  std::string out_;
};

Ink ink_of_state(const std::string& state) {
  return state == "up" ? Ink::green : state == "paused" ? Ink::yellow : Ink::red;
}

std::string clock_of(Micros wall) { return iso8601(wall).substr(11, 8); }

std::string lag_text(const LiveLink& link) {
  const bool follows = link.state.empty() || link.state == "following";
  return fmt::format("{} {} {}", link.to, link.form,
                     !follows   ? link.state
                     : link.lag ? fmt::format("{} ms", *link.lag / kMillisecond)
                                : "lag unknown");
}

constexpr const char* kKeys[] = {
    "1-9 region",     "r residency",         "k kill",     "s start",
    "p pause/resume", "c cut/heal from all", "h heal all", "l then 0-9: cut/heal one link (0: clients)",
    "w switch drill", "x loss drill",        "q quit"};

// The keys in as many lines as they need; an entry is never torn apart.
std::vector<std::string> key_lines(std::size_t wide) {
  std::vector<std::string> lines;
  for (const std::string key : kKeys) {
    if (lines.empty() || width_of(lines.back()) + 2 + key.size() > wide)
      lines.push_back(" " + key);
    else
      lines.back() += "  " + key;
  }
  return lines;
}

}  // namespace

std::string sparkline(const std::vector<double>& values, double whole, std::size_t width) {
  static constexpr const char* kBlocks[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  std::string out;
  for (std::size_t i = values.size() > width ? values.size() - width : 0; i < values.size(); ++i) {
    if (!(values[i] > 0) || !(whole > 0)) {
      out += " ";
      continue;
    }
    out += kBlocks[std::clamp(static_cast<int>(values[i] / whole * 8), 0, 7)];
  }
  return out;
}

std::string picture(const LiveState& state, int columns, int rows) {
  const auto wide = static_cast<std::size_t>(std::max(columns, 20));
  const auto high = static_cast<std::size_t>(std::max(rows, 10));
  std::vector<std::string> lines;
  const auto line = [&] { return Line(wide); };
  lines.push_back(line().add("Domicile  ", Ink::bold).add(state.title, Ink::dim).str());
  lines.push_back("");
  lines.push_back(line()
                      .add("   region", Ink::dim, 22)
                      .add("law", Ink::dim, 6)
                      .add("state", Ink::dim, 11)
                      .add("owns", Ink::dim, wide < 100 ? 16 : 24)
                      .add("cut off from", Ink::dim)
                      .str());
  for (std::size_t i = 0; i < state.regions.size(); ++i) {
    const LiveRegion& region = state.regions[i];
    std::string owns, cut;
    for (const auto& residency : state.residencies)
      if (residency.owner == region.name) owns += (owns.empty() ? "" : ", ") + residency.name;
    for (const auto& other : region.cut_from) cut += (cut.empty() ? "" : ", ") + other;
    lines.push_back(line()
                        .add(fmt::format(" {} ", i + 1), Ink::dim)
                        .add(region.name, i == state.region ? Ink::chosen : Ink::plain)
                        .add("", Ink::plain, 19 - std::min<std::size_t>(18, region.name.size()))
                        .add(region.jurisdiction, Ink::plain, 6)
                        .add(region.state, ink_of_state(region.state), 11)
                        .add(owns, Ink::plain, wide < 100 ? 16 : 24)
                        .add(cut, Ink::red)
                        .str());
  }
  lines.push_back("");
  lines.push_back(line()
                      .add("   residency", Ink::dim, 15)
                      .add("owner", Ink::dim, 16)
                      .add("epoch", Ink::dim, 7)
                      .add("mode", Ink::dim, 10)
                      .add("writes/s", Ink::dim, 10)
                      .add("wait", Ink::dim, 6)
                      .add("errors/min", Ink::dim)
                      .str());
  for (std::size_t i = 0; i < state.residencies.size(); ++i) {
    const LiveResidency& each = state.residencies[i];
    Line row = line();
    row.add("   ").add(each.name, i == state.residency ? Ink::chosen : Ink::plain);
    row.add("", Ink::plain, 12 - std::min<std::size_t>(11, each.name.size()));
    row.add(each.owner.empty() ? "nobody" : each.owner, each.owner.empty() ? Ink::red : Ink::plain, 16);
    row.add(std::to_string(each.epoch), Ink::plain, 7);
    row.add(each.mode, each.mode == "serving" ? Ink::green : Ink::yellow, 10);
    if (each.writes_per_s) {
      row.add(fmt::format("{:.0f}", *each.writes_per_s), Ink::plain, 10);
      row.add(std::to_string(each.waiting), each.waiting > 20 ? Ink::yellow : Ink::plain, 6);
      row.add(std::to_string(each.errors), each.errors == 0 ? Ink::plain : Ink::red, 6);
      row.add(sparkline(each.history, each.offered_per_s, 30), Ink::green);
    }
    lines.push_back(row.str());
    std::string links;
    for (const LiveLink& link : each.links) links += (links.empty() ? "→ " : "   → ") + lag_text(link);
    if (!links.empty()) lines.push_back(line().add("     " + links, Ink::dim).str());
    if (!each.note.empty()) lines.push_back(line().add("     " + each.note, Ink::yellow).str());
  }
  std::vector<std::string> bottom{""};
  // On a low terminal only the newest: what happens is worth more.
  const std::size_t newest = high < 30 ? 2 : 5;
  const std::size_t skipped = state.message.size() > newest ? state.message.size() - newest : 0;
  for (const auto& text :
       std::vector(state.message.begin() + static_cast<std::ptrdiff_t>(skipped), state.message.end()))
    bottom.push_back(line().add(" " + text, Ink::bold).str());
  if (wide >= 80) bottom.emplace_back();
  for (const auto& keys : key_lines(wide)) bottom.push_back(line().add(keys, Ink::dim).str());
  // What is left between is for what happened last.
  lines.push_back("");
  const std::size_t used = lines.size() + bottom.size();
  const std::size_t room = used < high ? high - used : 0;
  const std::size_t first = state.events.size() > room ? state.events.size() - room : 0;
  for (std::size_t i = first; i < state.events.size(); ++i)
    lines.push_back(line()
                        .add(" " + clock_of(state.events[i].at) + " ", Ink::dim)
                        .add(state.events[i].region, Ink::dim, 14)
                        .add(state.events[i].text)
                        .str());
  while (lines.size() + bottom.size() < high) lines.emplace_back();
  lines.insert(lines.end(), bottom.begin(), bottom.end());
  if (lines.size() > high) lines.resize(high);
  std::string out;
  for (std::size_t i = 0; i < lines.size(); ++i) out += (i == 0 ? "" : "\r\n") + lines[i] + "\033[K";
  return out;
}

}  // namespace domicile::drill
