#include "drill/chart.hpp"

#include <algorithm>
#include <cmath>

namespace domicile::drill {
namespace {

constexpr int kWide = 960, kLeft = 170, kRight = 30, kTop = 84, kHigh = 206, kRow = 20;
constexpr int kMarks = 30;  // above the bars, for what the marks are called
constexpr Micros kBucket = 250 * kMillisecond;
constexpr const char *kGreen = "#2e7d32", *kRed = "#c62828", *kOrange = "#ef6c00", *kBlue = "#1565c0",
                     *kGrey = "#616161";

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '&')
      out += "&amp;";
    else if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '"')
      out += "&quot;";
    else
      out += static_cast<unsigned char>(c) < 0x20 ? '?' : c;
  }
  return out;
}

std::string length_of(Micros length) {
  return length < 10 * kSecond ? fmt::format("{:.1f} ms", static_cast<double>(length) / 1000)
                               : fmt::format("{:.1f} s", static_cast<double>(length) / kSecond);
}

std::string words(const char* name, const std::optional<Micros>& length) {
  return length ? fmt::format("{} {}", name, length_of(*length)) : std::string();
}

// The writes of one bucket of time, by what came of them, counted when they fell due.
struct Bucket {
  std::size_t prompt = 0, late = 0, unknown = 0, refused = 0;
  std::size_t all() const { return prompt + late + unknown + refused; }
};

class Drawing {
 public:
  Drawing(const Report& report, const RunResult& run) : report_(report), run_(run) {
    begin_ = run.begin;
    end_ = run.begin;
    for (const auto* writes : {&run.writes, &run.inside})
      for (const Write& write : *writes) {
        if (begin_ == 0 || write.intended < begin_) begin_ = write.intended;
        end_ = std::max(end_, write.intended);
      }
    Micros at = run.begin;
    for (const Phase& phase : run.story.phases) at += phase.length;
    end_ = std::max({end_, at, begin_ + kSecond});
    for (const Micros mark : {run.undone, run.followed})
      if (mark < end_ + 120 * kSecond) end_ = std::max(end_, mark);
    zero_ = run.begin == 0 ? begin_ : run.begin;
  }

  std::string svg() {
    frame();
    writes();
    axis();
    phases();
    marks();
    figures();
    return fmt::format(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} {1}\" "
        "font-family=\"sans-serif\" font-size=\"13\">\n<rect width=\"{0}\" height=\"{1}\" "
        "fill=\"#ffffff\"/>\n{2}</svg>\n",
        kWide, bottom_ + 16, body_);
  }

 private:
  double x(Micros at) const {
    return kLeft + static_cast<double>(at - begin_) / static_cast<double>(end_ - begin_) * (kWide - kLeft - kRight);
  }
  void text(double at_x, double at_y, const std::string& words, const char* colour, const char* more = "") {
    body_ += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" fill=\"{}\"{}>{}</text>\n", at_x, at_y, colour, more,
                         escaped(words));
  }
  void box(double at_x, double at_y, double wide, double high, const char* colour) {
    body_ += fmt::format("<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" fill=\"{}\"/>\n", at_x,
                         at_y, wide, high, colour);
  }
  void line(double x1, double y1, double x2, double y2, const char* colour, const char* more = "") {
    body_ += fmt::format("<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"{}\"{}/>\n", x1, y1,
                         x2, y2, colour, more);
  }

  void frame() {
    const Subject& subject = report_.subject;
    text(20, 30, subject.drill + (subject.kind.empty() ? "" : " " + subject.kind) + ", " + subject.residency, "#000000",
         " font-size=\"20\" font-weight=\"bold\"");
    text(kWide - kRight, 30, report_.held() ? "held" : "BROKEN", report_.held() ? kGreen : kRed,
         " font-size=\"20\" font-weight=\"bold\" text-anchor=\"end\"");
    text(20, 50,
         fmt::format("{} clients, {:g} writes a second; {} run{}{}", subject.clients, subject.per_s, report_.runs,
                     report_.runs == 1 ? "" : "s", report_.runs > 1 ? ", the first one is drawn" : ""),
         kGrey);
    const std::pair<const char*, const char*> legend[] = {
        {"acknowledged within 1 s", kGreen}, {"later", kBlue}, {"unknown", kOrange}, {"refused", kRed}};
    double at = kLeft;
    for (const auto& [name, colour] : legend) {
      box(at, 63, 10, 10, colour);
      text(at + 15, 72, name, kGrey, " font-size=\"12\"");
      at += 30 + 7.2 * static_cast<double>(std::string_view(name).size());
    }
    text(20, 72, "writes, when due", kGrey, " font-size=\"12\"");
  }

  void writes() {
    std::map<Micros, Bucket> buckets;
    for (const auto* writes : {&run_.writes, &run_.inside})
      for (const Write& write : *writes) {
        Bucket& bucket = buckets[(write.intended - begin_) / kBucket];
        if (write.outcome == Outcome::refused)
          ++bucket.refused;
        else if (write.outcome == Outcome::unknown)
          ++bucket.unknown;
        else
          ++(write.done - write.intended <= kPromptly ? bucket.prompt : bucket.late);
      }
    std::size_t most = 1;
    for (const auto& [at, bucket] : buckets) most = std::max(most, bucket.all());
    const double wide = std::max(0.5, x(begin_ + kBucket) - x(begin_) - 0.5);
    for (const auto& [at, bucket] : buckets) {
      double top = kTop + kHigh;
      const std::pair<std::size_t, const char*> parts[] = {
          {bucket.prompt, kGreen}, {bucket.late, kBlue}, {bucket.unknown, kOrange}, {bucket.refused, kRed}};
      for (const auto& [count, colour] : parts) {
        if (count == 0) continue;
        const double high = static_cast<double>(count) / static_cast<double>(most) * (kHigh - kMarks);
        top -= high;
        box(x(begin_ + at * kBucket), top, wide, high, colour);
      }
    }
    text(kLeft - 8, kTop + kMarks + 4, fmt::format("{:g}/s", static_cast<double>(most) * kSecond / kBucket), kGrey,
         " text-anchor=\"end\" font-size=\"12\"");
    text(kLeft - 8, kTop + kHigh, "0", kGrey, " text-anchor=\"end\" font-size=\"12\"");
  }

  void axis() {
    const double y = kTop + kHigh;
    line(kLeft, y, kWide - kRight, y, "#000000");
    const double whole = static_cast<double>(end_ - begin_) / kSecond;
    long step = 1;
    for (int round = 0; whole / static_cast<double>(step) > 14; ++round)
      step = step * (round % 3 == 1 ? 5 : 2) / (round % 3 == 1 ? 2 : 1);
    const auto first =
        static_cast<long>(std::ceil(static_cast<double>(begin_ - zero_) / kSecond / static_cast<double>(step)));
    for (long second = first * step; zero_ + second * kSecond <= end_; second += step) {
      const double at = x(zero_ + second * kSecond);
      line(at, y, at, y + 5, "#000000");
      text(at, y + 18, fmt::format("{} s", second), kGrey, " text-anchor=\"middle\" font-size=\"12\"");
    }
    bottom_ = static_cast<int>(y) + 44;
  }

  // Each phase where it lay, its name before it and its length behind it.
  void phases() {
    Micros at = run_.begin;
    for (const Phase& phase : run_.story.phases) {
      const double from = x(at), to = std::max(x(at + phase.length), from + 1.5);
      text(kLeft - 8, bottom_, phase.name, "#000000", " text-anchor=\"end\"");
      box(from, bottom_ - 11, to - from, 13, kBlue);
      const bool room = to + 70 < kWide - kRight;
      text(room ? to + 5 : from - 5, bottom_, length_of(phase.length), kGrey,
           room ? " font-size=\"12\"" : " font-size=\"12\" text-anchor=\"end\"");
      at += phase.length;
      bottom_ += kRow;
    }
    if (!run_.story.phases.empty()) bottom_ += 8;
  }

  void marks() {
    const auto mark = [&](Micros at, const char* name, const char* colour, int row) {
      if (at == 0 || at < begin_ || at > end_) return;
      line(x(at), kTop - 4 + row * 14, x(at), kTop + kHigh, colour, " stroke-dasharray=\"4 3\"");
      const bool room = x(at) + 90 < kWide - kRight;
      text(x(at) + (room ? 4 : -4), kTop + 8 + row * 14, name, colour,
           room ? " font-size=\"12\"" : " font-size=\"12\" text-anchor=\"end\"");
    };
    mark(run_.fault, "fault", kRed, 0);
    mark(run_.undone, "undone", kGreen, 0);
    mark(run_.followed, "all follow", kGreen, 1);
    if (run_.fault == 0 && run_.begin != 0) mark(run_.begin, "ordered", kBlue, 0);
    if (const auto back = run_.fault == 0 ? std::nullopt : rto(run_.writes, run_.fault); back && *back > 0)
      mark(run_.fault + *back, "served again", kBlue, 1);
  }

  void figures() {
    std::string all;
    for (const std::string& part :
         {words("RTO p50", report_.rto_p50), words("RTO p99", report_.rto_p99), words("RPO", report_.rpo_max),
          words("pause p99", report_.pause_p99), words("pause max", report_.pause_max),
          report_.subject.hold.halt ? words("writes stopped after", report_.halt_max) : std::string(),
          words("back after", report_.return_p50)})
      if (!part.empty()) all += (all.empty() ? "" : ",  ") + part;
    bottom_ += 6;
    if (!all.empty()) text(20, bottom_, all, "#000000"), bottom_ += kRow;
    const auto number = [](const std::optional<std::size_t>& count) { return count ? std::to_string(*count) : "?"; };
    const auto size = [](const auto& list) { return list ? std::optional(list->size()) : std::nullopt; };
    std::string counts = fmt::format("{} acknowledged, {} readable, {} missing", report_.counts.acknowledged,
                                     number(report_.readable), number(size(report_.missing)));
    if (report_.subject.fault)
      counts += fmt::format(", {} salvaged, {} lost", number(report_.salvaged), number(size(report_.lost)));
    counts += fmt::format(", {} unknown, {} refused", report_.counts.unknown, report_.counts.refused);
    text(20, bottom_, counts, "#000000");
    for (const auto& broken : report_.broken) text(20, bottom_ += kRow, "broken: " + broken, kRed);
  }

  const Report& report_;
  const RunResult& run_;
  Micros begin_ = 0, end_ = 0, zero_ = 0;  // of the picture; what is called 0 s
  int bottom_ = 0;
  std::string body_;
};

}  // namespace

std::string chart_svg(const Report& report, const std::vector<RunResult>& runs) {
  static const RunResult nothing;
  return Drawing(report, runs.empty() ? nothing : runs.front()).svg();
}

}  // namespace domicile::drill
