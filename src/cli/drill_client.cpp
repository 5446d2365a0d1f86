#include <signal.h>
#include <sys/prctl.h>

#include "base/file.hpp"
#include "cli/registry.hpp"
#include "drill/load.hpp"

namespace domicile::cli {
namespace {

Result<Exit> run(const Args& args, Io&) {
  sigset_t ends;
  sigemptyset(&ends);
  for (const int number : {SIGINT, SIGTERM}) sigaddset(&ends, number);
  pthread_sigmask(SIG_BLOCK, &ends, nullptr);  // before the load's thread inherits the mask
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);          // a drill that is killed leaves no clients behind
  const auto load = TRY(drill::Load::start(TRY(drill::load_spec_of(TRY(read_file(args.words.at(0)))))));
  int number = 0;
  sigwait(&ends, &number);
  CHECK_OK(write_file(args.words.at(1), drill::to_text(load->stop())));
  return Exit::ok;
}

}  // namespace

Verb drill_client_verb() {
  return {"drill client",
          "Write as drills do, until SIGTERM; drills start it inside a region that they cut off.",
          {"LOAD", "RESULT"},
          {},
          {"domicile drill client load.json writes.txt"},
          run};
}

}  // namespace domicile::cli
