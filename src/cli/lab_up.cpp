#include "cli/lab_common.hpp"
#include "cli/registry.hpp"
#include "core/topology/parse.hpp"

namespace domicile::cli {
namespace {

Result<Exit> run(const Args& args, Io& io) {
  const fs::path file = args.get("topology", (checkout() / "examples/three-regions/topology.yaml").string());
  const auto topology = TRY(topology::load(TRY(read_file(file)), file.string()));
  lab::LabSpec spec;
  spec.directory = TRY(lab_directory(args));
  spec.base = TRY(lab_base(args));
  spec.sites = lab::sites_of(topology);
  spec.binaries = {checkout() / "build/domicile", checkout() / "build/domicile-demo"};
  if (args.has("record")) spec.record = spec.directory / "recorded";
  const fs::path schema = file.parent_path() / "schema.sql";
  const lab::Furnish furnish = [&schema](lab::Lab& lab) -> Result<void> {
    if (fs::exists(schema)) return lab::launch_demo(lab, schema);
    return {};
  };
  const Micros begin = monotonic_now();
  if (args.has("foreground")) {
    CHECK_OK(lab::serve(spec, furnish, [&io] { io.err << "lab is up; Ctrl-C ends it\n"; }));
    return Exit::ok;
  }
  CHECK_OK(lab::start_daemon(spec, furnish));
  io.err << fmt::format("lab is up after {:.1f} s in {}\n", static_cast<double>(monotonic_now() - begin) / kSecond,
                        spec.directory.string());
  return Exit::ok;
}

}  // namespace

Verb lab_up_verb() {
  return {"lab up",
          "Start several regions on this machine, with real engines and a WAN between them.",
          {},
          {base_option(),
           {"topology", "FILE", "which regions (default: examples/three-regions); schema.sql beside it is applied"},
           {"record", "", "keep every byte that crosses between regions"},
           {"foreground", "", "stay; Ctrl-C ends the lab"}},
          {"domicile lab up", "domicile lab up --base 100 --topology mine.yaml"},
          run};
}

}  // namespace domicile::cli
