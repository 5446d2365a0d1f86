#include "cli/lab_common.hpp"
#include "cli/registry.hpp"

namespace domicile::cli {
namespace {

Result<Exit> run(const Args& args, Io& io) {
  const Json status = TRY(lab::ask(TRY(lab_directory(args)), "GET", "/status"));
  if (args.has("json")) {
    io.out << dump(status) << "\n";
    return Exit::ok;
  }
  if (status["isolation"] == "flat")
    io.err << "isolation is off: regions share the host's network, could reach each other directly, and a cut does not "
              "part "
              "the quorum\n";
  for (const Json& site : status["sites"]) {
    std::string programs;
    for (const Json& name : site["running"]) programs += " " + name.get<std::string>();
    const char* state = site["killed"].get<bool>() ? "killed" : site["paused"].get<bool>() ? "paused" : "up";
    io.out << fmt::format("{:<16}{:<13}{:<8}{}\n", site["site"].get<std::string>(), site["address"].get<std::string>(),
                          state, programs);
  }
  for (const Json& path : status["paths"]) {
    std::string faults = path["cut"].get<bool>() ? " cut" : "";
    if (path["bytes_per_s"] != 0) faults += fmt::format(" slow {} bytes/s", path["bytes_per_s"].get<std::int64_t>());
    if (path["flap_ms"] != 0) faults += fmt::format(" flaps every {} ms", path["flap_ms"].get<std::int64_t>());
    io.out << fmt::format("{:<16}-> {:<16}{:>5.0f} ms {:>12} bytes{}\n", path["from"].get<std::string>(),
                          path["to"].get<std::string>(), path["latency_ms"].get<double>(),
                          path["bytes"].get<std::int64_t>(), faults);
  }
  return Exit::ok;
}

}  // namespace

Verb lab_status_verb() {
  return {"lab status",
          "Show the lab's regions, programs and paths.",
          {},
          {base_option(), json_option()},
          {"domicile lab status", "domicile lab status --json"},
          run};
}

}  // namespace domicile::cli
