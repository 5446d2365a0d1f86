#include "core/topology/parse.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "core/topology/names.hpp"
#include "core/topology/reader.hpp"
#include "core/topology/rules.hpp"
#include "core/topology/sketch.hpp"

namespace domicile::topology {
namespace {

using Entries = std::vector<Reader::Entry>;
using O = Object;

constexpr const char* kSiteWords = "use small letters, digits and single '-', at most 32, beginning with a letter";
constexpr const char* kColumnWords = "use small letters, digits and '_', at most 63, beginning with a letter or '_'";

class Parser {
 public:
  explicit Parser(Reader& reader) : reader_(reader) {}

  Topology read(const yaml::Node& root) {
    const Entries entries = reader_.entries(root, O::topology, "the topology");
    if (const auto version = reader_.text(entries, O::topology, "domicile"); version && *version != "1")
      reader_.add(Code::version, *Reader::find(entries, "domicile")->value, "this program reads version 1",
                  "write domicile: 1");
    each(entries, "lease", [&](const auto& entry) { lease(*entry.value); });
    each(entries, "regions", [&](const auto& entry) { regions(*entry.value); });
    each(entries, "voters", [&](const auto& entry) { voters(*entry.value); });
    each(entries, "residencies", [&](const auto& entry) {
      for (const auto& one : reader_.entries(*entry.value, O::residencies, "'residencies'")) residency(one);
    });
    each(entries, "data", [&](const auto& entry) {
      for (const auto& one : reader_.entries(*entry.value, O::data, "'data'")) table(one);
    });
    each(entries, "accept", [&](const auto& entry) {
      if (entry.value->type != yaml::Node::Type::list) return accept(*entry.value);
      for (const yaml::Node& item : entry.value->items) accept(item);
    });
    each(entries, "accept_objects", [&](const auto& entry) {
      if (entry.value->type != yaml::Node::Type::list) return accept_object(*entry.value);
      for (const yaml::Node& item : entry.value->items) accept_object(item);
    });
    std::sort(topology_.tables.begin(), topology_.tables.end(),
              [](const Table& a, const Table& b) { return a.qualified() < b.qualified(); });
    return std::move(topology_);
  }

 private:
  template <class F>
  static void each(const Entries& entries, std::string_view key, F&& read) {
    if (const auto* entry = Reader::find(entries, key)) read(*entry);
  }

  void lease(const yaml::Node& node) {
    const Entries entries = reader_.entries(node, O::lease, "'lease'");
    topology_.lease.ttl = reader_.duration(entries, O::lease, "ttl");
    topology_.lease.beat = reader_.duration(entries, O::lease, "beat");
    topology_.lease.margin = reader_.duration(entries, O::lease, "margin");
    topology_.lease.patience = reader_.duration(entries, O::lease, "patience");
  }

  void regions(const yaml::Node& node) {
    for (const auto& entry : reader_.entries(node, O::regions, "'regions'")) {
      const auto name = reader_.name<RegionName>(*entry.name, "a region", kSiteWords);
      const Entries keys = reader_.entries(*entry.value, O::region, "region '" + entry.name->text + "'");
      const auto* written = Reader::find(keys, "jurisdiction");
      if (!written) continue;
      const auto jurisdiction = reader_.name<Jurisdiction>(*written->value, "a jurisdiction", "use capitals: EU");
      if (name && jurisdiction) topology_.regions.push_back({*name, *jurisdiction});
    }
  }

  void voters(const yaml::Node& node) {
    for (const auto& entry : reader_.entries(node, O::voters, "'voters'")) {
      reader_.entries(*entry.value, O::voter, "voter '" + entry.name->text + "'");
      if (const auto name = reader_.name<RegionName>(*entry.name, "a voter", kSiteWords))
        topology_.voters.push_back(*name);
    }
  }

  template <class Choice>
  Choice choice(const Entries& keys, std::string_view key, std::initializer_list<Choice> choices) {
    const auto written = reader_.text(keys, O::residency, key);
    for (const Choice each : choices)
      if (!written || *written == name_of(each)) return each;
    reader_.add(Code::bad_value, *Reader::find(keys, key)->value, fmt::format("wrong value for '{}'", key),
                fmt::format("write {}", describe(key_of(O::residency, key)->type)));
    return *choices.begin();
  }

  void residency(const Reader::Entry& entry) {
    const auto name = reader_.name<ResidencyName>(
        *entry.name, "a residency", std::string(kSiteWords) + "; by, reason, until and salvage are taken");
    const Entries keys = reader_.entries(*entry.value, O::residency, "residency '" + entry.name->text + "'");
    const auto home = reader_.name_in<RegionName>(keys, O::residency, "home", "a region", kSiteWords);
    auto standby = reader_.names<RegionName>(keys, "standby", "a region", kSiteWords);
    std::map<Jurisdiction, Form> forms;
    each(keys, "holds", [&](const auto& written) { forms = holds(*written.value, entry.name->text); });
    const Micros rpo = reader_.duration(keys, O::residency, "rpo");
    const Micros calm = reader_.duration(keys, O::residency, "calm");
    const auto failover = choice(keys, "failover", {Failover::automatic, Failover::approve});
    const auto reads = choice(keys, "reads", {Reads::fresh, Reads::stale});
    const auto failback = choice(keys, "failback", {Failback::manual, Failback::automatic});
    const Micros quiet = reader_.duration(keys, O::residency, "quiet");
    const auto reapply = choice(keys, "reapply", {Reapply::nothing, Reapply::inserts});
    const auto without = choice(keys, "without_standby", {WithoutStandby::stop, WithoutStandby::go_on});
    if (name && home)
      topology_.residencies.push_back(
          {*name, *home, std::move(standby), std::move(forms), rpo, failover, calm, reads, failback, quiet, reapply,
           without});
  }

  std::map<Jurisdiction, Form> holds(const yaml::Node& node, const std::string& residency) {
    std::map<Jurisdiction, Form> forms;
    for (const auto& entry : reader_.entries(node, O::holds, "'holds' of '" + residency + "'")) {
      const auto jurisdiction = reader_.name<Jurisdiction>(*entry.name, "a jurisdiction", "use capitals: EU");
      bool found = false;
      for (const Form form : {Form::none, Form::reduced, Form::full})
        if (entry.value->text == name_of(form)) {
          found = true;
          if (jurisdiction) forms.emplace(*jurisdiction, form);
        }
      if (!found)
        reader_.add(Code::bad_value, *entry.value, "wrong form for '" + entry.name->text + "'",
                    "write full, reduced or none");
    }
    return forms;
  }

  void table(const Reader::Entry& entry) {
    const std::string& text = entry.name->text;
    const auto dot = text.find('.');
    const auto schema = Identifier::of(text.substr(0, dot));
    const auto name = dot == text.npos ? std::nullopt : Identifier::of(text.substr(dot + 1));
    if (!schema || !name)
      reader_.add(Code::bad_table, *entry.name, "a table is named by its schema and its name",
                  std::string("write schema.table: ") + kColumnWords);
    else if (std::ranges::find(kOwnSchemas, schema->str()) != kOwnSchemas.end())
      reader_.add(Code::bad_table, *entry.name, "the schema '" + schema->str() + "' is not for tenants' tables",
                  "remove it");
    const Entries keys = reader_.entries(*entry.value, O::table, "this table");
    const auto tenant = reader_.name_in<Identifier>(keys, O::table, "tenant", "a column", kColumnWords);
    const auto residency = reader_.name_in<Identifier>(keys, O::table, "residency", "a column", kColumnWords);
    auto personal = reader_.names<Identifier>(keys, "personal", "a column", kColumnWords);
    auto shared = reader_.names<Identifier>(keys, "shared", "a column", kColumnWords);
    auto unique = reader_.names<Identifier>(keys, "globally_unique", "a constraint", kColumnWords);
    if (schema && name && tenant && residency)
      topology_.tables.push_back(
          {*schema, *name, *tenant, *residency, std::move(personal), std::move(shared), std::move(unique)});
  }

  struct Signature {
    std::optional<std::string> by, reason;
    std::optional<Date> until;
    bool whole() const { return by && reason && until; }
  };
  Signature signature(const Entries& keys, Object object) {
    const auto said = [&](std::string_view key) {
      const auto value = reader_.text(keys, object, key);
      if (value && value->find_first_not_of(" \t\n") == std::string::npos)
        reader_.add(Code::empty_text, *Reader::find(keys, key)->value, "'" + std::string(key) + "' says nothing",
                    "write who accepted it, and why");
      return value;
    };
    Signature out{said("by"), said("reason"), {}};
    const auto until = reader_.text(keys, object, "until");
    if (until) out.until = date_of(*until);
    if (until && !out.until)
      reader_.add(Code::bad_date, *Reader::find(keys, "until")->value, "'until' is no date", "write 2027-12-31");
    return out;
  }

  void accept(const yaml::Node& node) {
    const Entries keys = reader_.entries(node, O::accept, "'accept'");
    const Signature sign = signature(keys, O::accept);
    for (const auto& entry : keys) {
      if (!entry.key->any()) continue;
      const auto name = reader_.name<ResidencyName>(*entry.name, "a residency", kSiteWords);
      if (entry.value->text != "outage")
        reader_.add(Code::bad_value, *entry.value, "only an outage can be accepted", "write outage");
      else if (name && sign.whole())
        topology_.accepted.push_back({*name, *sign.by, *sign.reason, *sign.until});
    }
  }

  void accept_object(const yaml::Node& node) {
    const Entries keys = reader_.entries(node, O::accept_objects, "'accept_objects'");
    const Signature sign = signature(keys, O::accept_objects);
    for (const auto& entry : keys) {
      if (!entry.key->any()) continue;
      const std::string& name = entry.name->text;
      const auto control = [](unsigned char c) { return c < 0x20; };
      const bool named = !name.empty() && name.size() <= 255 && std::none_of(name.begin(), name.end(), control);
      if (!named)
        reader_.add(Code::bad_name, *entry.name, "this is no name of an object",
                    "write it as `domicile plan` names it");
      const auto kind = object_kind_of(entry.value->text);
      if (!kind)
        reader_.add(Code::bad_value, *entry.value, "wrong kind of object",
                    fmt::format("write {}", describe(Type::object_kind)));
      else if (named && sign.whole())
        topology_.accepted_objects.push_back({name, *kind, *sign.by, *sign.reason, *sign.until});
    }
  }

  Reader& reader_;
  Topology topology_;
};

Code code_of(yaml::Fault::Kind kind) {
  if (kind == yaml::Fault::Kind::syntax) return Code::syntax;
  return kind == yaml::Fault::Kind::alias ? Code::alias : Code::not_one_document;
}

}  // namespace

std::string Problem::where() const { return fmt::format("{}:{}:{}", file, line, column); }

Parsed parse(std::string_view text, std::string_view file, std::optional<Date> today) {
  std::vector<Problem> problems;
  Reader reader{std::string(file), problems};
  const auto root = yaml::parse(text);
  if (!root) {
    yaml::Node at;
    at.line = root.error().line;
    at.column = root.error().column;
    reader.add(code_of(root.error().kind), at, root.error().what, "write one plain YAML document");
    return tl::unexpected(std::move(problems));
  }
  Topology topology = Parser(reader).read(*root);
  if (root->type == yaml::Node::Type::map) check_rules(topology, *root, today, reader);
  if (problems.empty()) return topology;
  std::stable_sort(problems.begin(), problems.end(), [](const Problem& a, const Problem& b) {
    return std::tie(a.line, a.column) < std::tie(b.line, b.column);
  });
  return tl::unexpected(std::move(problems));
}

std::optional<Topology> sketch(std::string_view text, const std::vector<Problem>& problems) {
  // Lease times, acceptances, too few voters, a jurisdiction without a region: they change no answer.
  constexpr std::array kHarmless{"DOM-E016", "DOM-E017", "DOM-E019", "DOM-E026",
                                 "DOM-E027", "DOM-E028", "DOM-E033", "DOM-E034"};
  for (const auto& problem : problems)
    if (std::ranges::find(kHarmless, problem.code) == kHarmless.end()) return {};
  const auto root = yaml::parse(text);
  if (!root) return {};
  std::vector<Problem> ignored;
  Reader reader{"", ignored};
  return Parser(reader).read(*root);
}

Error to_error(const std::vector<Problem>& problems) {
  Error error{Kind::invalid_input, "the topology is wrong"};
  if (problems.empty()) return error;
  const Problem& first = problems.front();
  error.what = first.cause;
  if (problems.size() > 1) error.what += fmt::format(" (and {} more problems: domicile check)", problems.size() - 1);
  error.fix = first.fix;
  error.id = first.code;
  error.where = first.where();
  return error;
}

Result<Topology> load(std::string_view text, std::string_view file, std::optional<Date> today) {
  auto parsed = parse(text, file, today);
  if (!parsed) return tl::unexpected<Error>(to_error(parsed.error()));
  return std::move(*parsed);
}

}  // namespace domicile::topology
