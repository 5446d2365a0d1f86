#include "cli/drill_common.hpp"
#include "cli/registry.hpp"
#include "core/topology/parse.hpp"
#include "lab/platform.hpp"

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
  spec.flat = args.has("flat");
  if (args.has("for")) {
    spec.holder = lab::identify(static_cast<pid_t>(TRY(lab_figure(args.get("for")))));
    if (!lab::alive(spec.holder)) return fail(Kind::conflict, "there is no process " + args.get("for"));
  }
  if (args.has("record")) {
    spec.record = spec.directory / "recorded";
    spec.tls_tap = checkout() / "build/lib/domicile_tls_tap.so";
  }
  if (args.has("instruments"))
    for (const char* instrument : {"full_disk.so", "wall_clock.so"})
      spec.instruments.push_back(checkout() / "build/lib" / instrument);
  // PostgreSQL reads the library and nginx the modules as the engines' user, so they lie in the lab's own folder.
  const fs::path library = spec.directory / "bin" / "domicile_guard.so";
  spec.binaries.push_back(checkout() / "build/lib/domicile_guard.so");
  for (const char* module : {"ngx_domicile_http.so", "ngx_domicile_stream.so"})
    spec.binaries.push_back(checkout() / "build/modules" / module);
  spec.postgres_settings["shared_preload_libraries"] = library.string();
  const lab::PlatformSpec platform{file, file.parent_path() / "schema.sql", file.parent_path() / "grants.sql",
                                   spec.directory / "bin", library};
  const lab::Furnish furnish = [&platform](lab::Lab& lab) { return lab::install_platform(lab, platform); };
  const Micros begin = monotonic_now();
  const auto talk = talk_to(io);
  if (args.has("foreground")) {
    spec.progress = talk;
    CHECK_OK(lab::serve(spec, furnish, [&io] { io.err << "lab is up; Ctrl-C ends it" << std::endl; }));
    lab::clear(spec.directory, lab::Leave::nothing);
    return Exit::ok;
  }
  CHECK_OK(lab::start_daemon(spec, furnish, talk));
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
           {"record", "",
            "keep every byte that crosses between regions, and what is said inside TLS, in the folder recorded"},
           {"instruments", "", "preload what makes a site's disk full and its wall clock wrong, for campaigns"},
           {"flat", "", "all regions on the host's network, as where namespaces are not allowed"},
           {"for", "PID", "end with this process, and leave nothing"},
           {"foreground", "", "stay; Ctrl-C ends the lab"}},
          {"domicile lab up", "domicile lab up --base 100 --topology mine.yaml"},
          run};
}

}  // namespace domicile::cli
