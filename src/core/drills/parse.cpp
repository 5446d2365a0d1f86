#include "core/drills/parse.hpp"

#include <algorithm>
#include <charconv>

#include "core/topology/reader.hpp"

namespace domicile::drills {
namespace {

using topology::Code;
using topology::yaml::Node;
using Type = Node::Type;

constexpr std::size_t kMostSteps = 100;
constexpr Micros kLongestWrite = 600 * kSecond;

// Everything that stands in a file, by the map that it stands in.
constexpr std::string_view kPlanKeys[] = {"drill", "name",  "kind",           "about",      "residency", "clients",
                                          "rate",  "fresh", "clients_inside", "every_days", "steps",     "hold"};
constexpr std::string_view kCutKeys[] = {"from", "to", "one_way"}, kSlowKeys[] = {"from", "to", "bytes_per_s"},
                           kProgramKeys[] = {"at", "program"}, kRevokeKeys[] = {"whose", "at"};
constexpr std::string_view kHoldKeys[] = {"errors",  "unknown", "missing", "lost",     "pause_p99", "rto_p50",
                                          "rto_p99", "rpo",     "halt",    "diverged", "owner"};

bool is_name(std::string_view text) { return topology::SiteKind::valid(text); }

class Reader {
 public:
  Reader(std::string_view file, std::vector<topology::Problem>& problems) : file_(file), problems_(problems) {}

  void add(std::string_view code, const Node& at, std::string cause, std::string fix) {
    problems_.push_back({std::string(code), std::move(cause), std::move(fix), file_, at.line, at.column});
  }
  void add(Code code, const Node& at, std::string cause, std::string fix) {
    add(text_of(code), at, std::move(cause), std::move(fix));
  }

  // The values of a map, each known key once.
  struct Keys {
    const Node* of(std::string_view key) const {
      for (const auto& [name, value] : found)
        if (name == key) return value;
      return nullptr;
    }
    std::vector<std::pair<std::string_view, const Node*>> found;
  };
  Keys keys(const Node& map, std::span<const std::string_view> known, std::initializer_list<std::string_view> required,
            const std::string& what) {
    Keys out;
    const std::string all = fmt::format("{}", fmt::join(known, ", "));
    if (map.type != Type::map) {
      add(Code::shape, map, what + " must be a map", "write " + all + " below it");
      return out;
    }
    for (const auto& [name, value] : map.entries) {
      const auto key = std::ranges::find(known, shown(name));
      if (key == known.end())
        add(Code::unknown_key, name, "'" + shown(name) + "' is no key of " + what, "its keys are " + all);
      else if (out.of(*key) != nullptr)
        add(Code::duplicate_key, name, "'" + shown(name) + "' stands twice in " + what, "keep one of them");
      else
        out.found.emplace_back(*key, &value);
    }
    for (const auto key : required)
      if (out.of(key) == nullptr)
        add(Code::missing_key, map, fmt::format("{} lacks '{}'", what, key), fmt::format("add {}", key));
    return out;
  }

  std::string text(const Node* at, std::string_view key) {
    if (at == nullptr) return "";
    if (at->type == Type::scalar && !at->text.empty()) return shown(*at);
    add(Code::shape, *at, fmt::format("'{}' must be one value", key), "write it behind the key");
    return "";
  }
  std::string name(const Node* at, std::string_view key, std::string otherwise = {}) {
    if (at == nullptr) return otherwise;
    std::string out = text(at, key);
    if (!out.empty() && !is_name(out))
      add(Code::bad_name, *at, fmt::format("'{}' is no name for '{}'", out, key),
          "use small letters, digits and single '-', at most 32, beginning with a letter");
    return out;
  }
  bool yes(const Node* at, std::string_view key) {
    const std::string word = text(at, key);
    if (at == nullptr || word == "true" || word == "false" || word.empty()) return word == "true";
    add(Code::bad_value, *at, fmt::format("'{}' is neither true nor false", key), "write true or false");
    return false;
  }
  std::size_t number(const Node* at, std::string_view key, std::size_t least, std::size_t most, std::size_t otherwise) {
    if (at == nullptr) return otherwise;
    const std::string word = text(at, key);
    std::size_t value = 0;
    const auto [end, code] = std::from_chars(word.data(), word.data() + word.size(), value);
    if (code == std::errc() && end == word.data() + word.size() && value >= least && value <= most) return value;
    if (!word.empty())
      add(Code::bad_value, *at, fmt::format("'{}' is no number for '{}'", word, key),
          fmt::format("write a whole number from {} to {}", least, most));
    return otherwise;
  }
  Micros duration(const Node* at, std::string_view key, bool or_ttl = false) {
    const std::string word = text(at, key);
    if (or_ttl && word == "ttl") return kTtl;
    const auto value = topology::duration_of(word);
    if (value && *value > 0 && *value <= kLongestWrite) return *value;
    if (!word.empty())
      add(Code::bad_duration, *at, fmt::format("'{}' is no duration for '{}'", word, key),
          or_ttl ? "write 250ms, 5s or ttl, at most 10m" : "write 500ms, 5s or 1m, at most 10m");
    return kSecond;
  }
  // What a file says goes to terminals and logs: no control characters, no endless lines.
  static std::string shown(const Node& node) {
    if (node.type != Type::scalar)
      return node.type == Type::list ? "(a list)" : node.type == Type::map ? "(a map)" : "";
    std::string out;
    for (const char c : node.text.substr(0, 200)) out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
    return out;
  }

 private:
  std::string file_;
  std::vector<topology::Problem>& problems_;
};

class Parser {
 public:
  explicit Parser(Reader& reader) : reader_(reader) {}

  Plan read(const Node& root) {
    const auto keys = reader_.keys(root, kPlanKeys, {"drill", "name", "about", "steps", "hold"}, "the drill");
    if (const Node* version = keys.of("drill"); version != nullptr && Reader::shown(*version) != "1")
      reader_.add(Code::version, *version, "this program reads version 1", "write drill: 1");
    plan_.name = reader_.name(keys.of("name"), "name");
    plan_.kind = reader_.name(keys.of("kind"), "kind");
    plan_.about = reader_.text(keys.of("about"), "about");
    plan_.residency = reader_.name(keys.of("residency"), "residency", "us");
    plan_.clients = reader_.number(keys.of("clients"), "clients", 1, 1000, 20);
    plan_.rate = reader_.number(keys.of("rate"), "rate", 1, 10'000, 500);
    plan_.fresh = reader_.yes(keys.of("fresh"), "fresh");
    plan_.clients_inside = reader_.name(keys.of("clients_inside"), "clients_inside");
    plan_.every_days = reader_.number(keys.of("every_days"), "every_days", 1, 3650, 0);
    if (const Node* list = keys.of("steps")) steps(*list);
    if (const Node* hold = keys.of("hold")) this->hold(*hold);
    if (const Node* list = keys.of("steps"); list != nullptr && list->type == Type::list) check_order(*list, keys);
    if (const Node* hold = keys.of("hold")) check_hold(*hold);
    return std::move(plan_);
  }

 private:
  void steps(const Node& list) {
    if (list.type != Type::list || list.items.empty() || list.items.size() > kMostSteps)
      return reader_.add(Code::shape, list, "'steps' must be a list of 1 to 100 steps", "begin each line with a dash");
    for (const Node& item : list.items) {
      const bool map = item.type == Type::map && item.entries.size() == 1;
      const Node& name = map ? item.entries[0].first : item;
      const StepKind* kind = nullptr;
      for (const StepKind& each : step_kinds())
        if (each.name == Reader::shown(name)) kind = &each;
      if ((!map && item.type != Type::scalar) || kind == nullptr) {
        std::string known;
        for (const StepKind& each : step_kinds()) known += (known.empty() ? "" : ", ") + std::string(each.name);
        reader_.add(map || item.type == Type::scalar ? Code::unknown_key : Code::shape, name,
                    item.type == Type::scalar || map ? "'" + Reader::shown(name) + "' is no step"
                                                     : "a step is one word, or one word and its value",
                    "steps are " + known);
      } else if (map == (kind->takes == Takes::nothing)) {
        reader_.add(Code::shape, name, fmt::format("'{}' takes {} value", kind->name, map ? "no" : "a"),
                    map ? fmt::format("write - {}", kind->name) : std::string(kind->doc));
      } else {
        step(*kind, name, map ? &item.entries[0].second : nullptr);
      }
    }
  }

  void step(const StepKind& kind, const Node& name, const Node* value) {
    Step out;
    out.act = kind.act;
    out.line = name.line;
    switch (kind.takes) {
      case Takes::nothing:
        break;
      case Takes::duration:
        out.length = reader_.duration(value, kind.name);
        break;
      case Takes::place:
        out.at = reader_.name(value, kind.name);
        break;
      case Takes::cut: {
        const auto keys = reader_.keys(*value, kCutKeys, {"from", "to"}, "'cut'");
        ends(keys, out);
        out.one_way = reader_.yes(keys.of("one_way"), "one_way");
        break;
      }
      case Takes::slow: {
        const auto keys = reader_.keys(*value, kSlowKeys, {"from", "to", "bytes_per_s"}, "'slow'");
        ends(keys, out);
        out.bytes_per_s = reader_.number(keys.of("bytes_per_s"), "bytes_per_s", 1, 1'000'000'000, 1);
        break;
      }
      case Takes::program: {
        const auto keys = reader_.keys(*value, kProgramKeys, {"at", "program"}, fmt::format("'{}'", kind.name));
        out.at = reader_.name(keys.of("at"), "at");
        out.program = reader_.name(keys.of("program"), "program");
        break;
      }
      case Takes::revoke: {
        const auto keys = reader_.keys(*value, kRevokeKeys, {"whose", "at"}, "'revoke'");
        out.at = reader_.name(keys.of("at"), "at");
        out.to = reader_.name(keys.of("whose"), "whose");
        break;
      }
    }
    plan_.steps.push_back(std::move(out));
  }

  void ends(const Reader::Keys& keys, Step& out) {
    out.at = reader_.name(keys.of("from"), "from");
    out.to = reader_.name(keys.of("to"), "to");
    if (keys.of("to") != nullptr && out.at == out.to && !out.at.empty())
      reader_.add(Code::bad_value, *keys.of("to"), "both ends are the same", "name two places");
  }

  void hold(const Node& map) {
    const auto keys = reader_.keys(map, kHoldKeys, {}, "'hold'");
    const auto count = [&](std::string_view key, std::optional<std::size_t>& to) {
      if (const Node* at = keys.of(key)) to = reader_.number(at, key, 0, 1'000'000'000, 0);
    };
    const auto time = [&](std::string_view key, std::optional<Micros>& to) {
      if (const Node* at = keys.of(key)) to = reader_.duration(at, key, true);
    };
    Hold& hold = plan_.hold;
    count("errors", hold.errors), count("unknown", hold.unknown), count("missing", hold.missing);
    count("lost", hold.lost);
    time("pause_p99", hold.pause_p99), time("rto_p50", hold.rto_p50), time("rto_p99", hold.rto_p99);
    time("rpo", hold.rpo), time("halt", hold.halt);
    hold.diverged = reader_.yes(keys.of("diverged"), "diverged");
    hold.owner = reader_.text(keys.of("owner"), "owner");
    if (!hold.owner.empty() && hold.owner != "same" && hold.owner != "other")
      reader_.add(Code::bad_value, *keys.of("owner"), "wrong value for 'owner'", "write same or other");
    if (map.type == Type::map && map.entries.empty())
      reader_.add("DOM-E803", map, "the drill demands nothing, so it would show nothing", "say what must hold");
  }

  // Where a step stands decides whether it means anything.
  void check_order(const Node& list, const Reader::Keys& keys) {
    bool writing = false, stopped = false, fault = false, open = false, undone = false;
    const auto misplaced = [&](const Step& step, const char* cause, const char* fix) {
      Node at;
      at.line = step.line;
      reader_.add("DOM-E802", at, fmt::format("'{}' {}", kind_of(step.act).name, cause), fix);
    };
    for (const Step& step : plan_.steps) {
      const bool sets = kind_of(step.act).fault;
      switch (step.act) {
        case Act::write:
          if (stopped) misplaced(step, "stands after the clients have stopped", "move it before stop");
          writing = true;
          break;
        case Act::steady:
        case Act::halted:
          if (!fault || stopped)
            misplaced(step, "is for clients that write and a fault that was set", "move it between a fault and stop");
          break;
        case Act::stop:
          if (!writing || stopped) misplaced(step, "needs clients that write", "one write before it, and one stop");
          stopped = true;
          break;
        case Act::undo:
          if (!open) misplaced(step, "has nothing to undo", "move it behind the fault");
          open = false, undone = true;
          break;
        case Act::follow:
          if (!undone) misplaced(step, "stands before anything was undone", "move it behind undo");
          break;
        default:
          break;
      }
      if (sets && !writing) misplaced(step, "stands before any client writes: nobody would see it", "write first");
      if (sets) fault = open = true;
    }
    if (open) reader_.add("DOM-E801", list, "a fault is not undone by the last step", "add a step: - undo");
    if (!stopped && !plan_.steps.empty())
      reader_.add("DOM-E802", list, "the clients never stop, so that nothing is counted", "add a step: - stop");
    if (!plan_.clients_inside.empty() && !acts(Act::cut))
      reader_.add("DOM-E802", *keys.of("clients_inside"), "clients inside are for a cut", "remove clients_inside");
  }

  bool acts(Act act) const {
    return std::ranges::any_of(plan_.steps, [&](const Step& step) { return step.act == act; });
  }

  // A demand that nothing in the steps can answer would always or never hold.
  void check_hold(const Node& map) {
    const bool fault = std::ranges::any_of(plan_.steps, [](const Step& step) { return kind_of(step.act).fault; });
    const auto demand = [&](bool made, bool answered, const char* key, const char* needs) {
      if (!made || answered) return;
      const Node* at = map.find(key);
      reader_.add("DOM-E803", at == nullptr ? map : *at, fmt::format("nothing answers '{}'", key),
                  fmt::format("it needs {}", needs));
    };
    const Hold& hold = plan_.hold;
    demand(hold.rto_p50.has_value(), fault, "rto_p50", "a fault");
    demand(hold.rto_p99.has_value(), fault, "rto_p99", "a fault");
    demand(hold.rpo.has_value(), fault, "rpo", "a fault");
    demand(hold.lost.has_value(), fault && acts(Act::undo), "lost", "a fault that is undone");
    demand(hold.diverged, fault, "diverged", "a fault");
    demand(hold.pause_p99.has_value(), acts(Act::switch_to), "pause_p99", "a switch");
    demand(hold.halt.has_value(), acts(Act::halted), "halt", "the step halted");
  }

  Reader& reader_;
  Plan plan_;
};

Code code_of(topology::yaml::Fault::Kind kind) {
  using Kind = topology::yaml::Fault::Kind;
  return kind == Kind::syntax ? Code::syntax : kind == Kind::alias ? Code::alias : Code::not_one_document;
}

}  // namespace

Parsed parse(std::string_view text, std::string_view file) {
  std::vector<topology::Problem> problems;
  Reader reader(file, problems);
  const auto root = topology::yaml::parse(text);
  if (!root) {
    Node at;
    at.line = root.error().line, at.column = root.error().column;
    reader.add(code_of(root.error().kind), at, root.error().what, "write one plain YAML document");
    return tl::unexpected(std::move(problems));
  }
  Plan plan = Parser(reader).read(*root);
  if (problems.empty()) return plan;
  std::ranges::stable_sort(
      problems, [](const auto& a, const auto& b) { return std::tie(a.line, a.column) < std::tie(b.line, b.column); });
  return tl::unexpected(std::move(problems));
}

Result<Plan> load(std::string_view text, std::string_view file) {
  auto parsed = parse(text, file);
  if (parsed) return std::move(*parsed);
  Error error = topology::to_error(parsed.error());
  error.what = parsed.error().front().cause;
  if (parsed.error().size() > 1) error.what += fmt::format(" (and {} more problems)", parsed.error().size() - 1);
  return tl::unexpected<Error>(std::move(error));
}

}  // namespace domicile::drills
