#include "base/temp_dir.hpp"
#include "cli/drill_common.hpp"
#include "cli/registry.hpp"
#include "core/topology/parse.hpp"
#include "prove/prove.hpp"

namespace domicile::cli {
namespace {

constexpr int kScratchBase = 97;  // the self-test's lab: its ports beside those of the other

Result<void> valid_layer(const std::string& name) {
  const auto layer = prove::layer_of(name);
  if (layer && !prove::chosen({.layer = *layer, .may_break = true}).empty()) return {};
  std::vector<std::string> known;
  for (const prove::Layer each : prove::layers())
    if (!prove::chosen({.layer = each, .may_break = true}).empty()) known.emplace_back(prove::name_of(each));
  return fail(Kind::invalid_input, "'" + name + "' is no layer that is attempted",
              fmt::format("one of: {}", fmt::join(known, ", ")));
}

Result<DrillSettings> lab_settings(const Args& args) {
  DrillSettings settings;
  settings.base = TRY(lab_base(args));
  settings.directory = TRY(lab_directory(args));
  settings.topology_file = args.get("topology", (checkout() / "examples/three-regions/topology.yaml").string());
  settings.topology = TRY(topology::load(TRY(read_file(settings.topology_file)), settings.topology_file.string()));
  settings.spec.program = fs::read_symlink("/proc/self/exe");
  settings.record = true;
  return settings;
}

Result<prove::SelfTest> self_test(DrillSettings settings, const drill::Talk& talk) {
  settings.base += kScratchBase;
  settings.directory = lab::default_directory(checkout(), settings.base);
  const TempDir folder;
  settings.topology_file = TRY(prove::write_widened(settings.topology_file, folder.path()));
  talk("self-test: bringing up a lab of its own, which is thrown away");
  const auto own = TRY(TemporaryLab::up(settings));
  const auto field = TRY(drill::Field::open(settings.directory, settings.topology));
  auto test = prove::self_test(field, talk);
  if (!test) own->keep_logs(talk);
  return test;
}

prove::Settings asked_for(const Args& args, const DrillSettings& settings, bool running) {
  prove::Settings asked;
  asked.residency = args.get("residency");
  asked.from = args.get("from");
  asked.choice.quick = args.has("quick");
  asked.choice.may_break = !running;
  if (args.has("layer")) asked.choice.layer = prove::layer_of(args.get("layer"));
  asked.topology_file = fs::absolute(settings.topology_file);
  asked.program = settings.spec.program;
  return asked;
}

Result<drill::Field> lab_for(const DrillSettings& settings, bool running, std::unique_ptr<TemporaryLab>& own,
                             const drill::Talk& talk) {
  if (!running) {
    talk("no lab runs: bringing one up that records");
    own = TRY(TemporaryLab::up(settings));
  }
  return drill::Field::open(settings.directory, settings.topology);
}

// An error: it could not even begin. What goes wrong afterwards is the report's trouble.
Result<void> proof(const Args& args, const drill::Talk& talk, prove::Report& report) {
  const DrillSettings settings = TRY(lab_settings(args));
  const bool running = lab_runs(settings.directory);
  const auto asked = asked_for(args, settings, running);
  report = TRY(prove::begin_report(settings.topology, asked));
  {
    std::unique_ptr<TemporaryLab> own;
    const auto field = lab_for(settings, running, own, talk);
    if (field)
      report = TRY(prove::prove(*field, asked, talk));
    else
      report.trouble.push_back("the lab: " + one_line(field.error()));
    if (own && !report.trouble.empty()) own->keep_logs(talk);
  }
  if (!args.has("self-test")) return {};
  auto test = self_test(settings, talk);
  if (test)
    report.self_test = std::move(*test);
  else
    report.trouble.push_back("self-test: " + one_line(test.error()));
  return {};
}

// Whoever reads the one line of --json finds it there however the proof ended.
Result<Exit> run(const Args& args, Io& io) {
  const bool json = args.has("json");
  prove::Report report;
  const auto begun = proof(args, talk_to(io), report);
  if (!begun) report.trouble.push_back(one_line(begun.error()));
  if (json || begun) io.out << (json ? dump(json_of(report)) + "\n" : table(report, io.terminal));
  io.out.flush();
  if (!begun) return tl::unexpected<Error>(begun.error());
  return report.held() ? Exit::ok : Exit::broken;
}

}  // namespace

Verb prove_residency_verb() {
  return {"prove residency",
          "Try to bring personal values to where they may not lie, through every layer, and search for them there.",
          {},
          {{"residency", "R", "Whose values (default: the first that some region may not hold in full)."},
           {"from", "REGION", "Which of those regions attempts (default: the first)."},
           {"layer", "L", "Only the attempts of one layer.", false, false, valid_layer},
           {"quick", "", "Fewer kinds of attempts of each layer."},
           {"self-test", "", "Leak on purpose in a second lab: does the census find it?"},
           {"topology", "FILE", "The lab's topology (default: examples/three-regions)."},
           base_option(),
           json_option()},
          {"domicile prove residency", "domicile prove residency --self-test --json",
           "domicile prove residency --layer database"},
          run};
}

}  // namespace domicile::cli
