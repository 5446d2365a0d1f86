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
  talk("self-test: bringing up a lab of its own, which is thrown away");
  const auto own = TRY(TemporaryLab::up(settings));
  const auto field = TRY(drill::Field::open(settings.directory, settings.topology));
  auto test = prove::self_test(field, talk);
  if (!test) own->keep_logs(talk);
  return test;
}

Result<prove::Report> proof(const Args& args, const DrillSettings& settings, const drill::Talk& talk) {
  const bool running = lab_runs(settings.directory);
  std::unique_ptr<TemporaryLab> own;
  if (!running) {
    talk("no lab runs: bringing one up that records");
    own = TRY(TemporaryLab::up(settings));
  }
  const auto field = TRY(drill::Field::open(settings.directory, settings.topology));
  prove::Settings asked;
  asked.residency = args.get("residency");
  asked.choice.quick = args.has("quick");
  asked.choice.may_break = !running;
  if (args.has("layer")) asked.choice.layer = prove::layer_of(args.get("layer"));
  asked.topology_file = fs::absolute(settings.topology_file);
  asked.program = settings.spec.program;
  auto report = prove::prove(field, asked, talk);
  if (own && (!report || !report->trouble.empty())) own->keep_logs(talk);
  return report;
}

Result<Exit> run(const Args& args, Io& io) {
  const DrillSettings settings = TRY(lab_settings(args));
  const auto talk = talk_to(io);
  (void)TRY(prove::subject_of(settings.topology, args.get("residency")));
  auto report = TRY(proof(args, settings, talk));
  if (args.has("self-test")) {
    auto test = self_test(settings, talk);
    if (test)
      report.self_test = std::move(*test);
    else
      report.trouble.push_back("self-test: " + one_line(test.error()));
  }
  io.out << (args.has("json") ? dump(json_of(report)) + "\n" : table(report, io.terminal));
  io.out.flush();
  return report.held() ? Exit::ok : Exit::broken;
}

}  // namespace

Verb prove_residency_verb() {
  return {"prove residency",
          "Try to bring personal values to where they may not lie, through every layer, and search for them there.",
          {},
          {{"residency", "R", "Whose values (default: the first that some region may not hold in full)."},
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
