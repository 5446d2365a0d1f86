#include "cli/drill_common.hpp"
#include "cli/registry.hpp"
#include "prove/prove.hpp"

namespace domicile::cli {
namespace {

Result<Exit> run(const Args& args, Io& io) {
  CHECK_OK(prove::make_attempts(args.words.at(0), args.words.at(1), talk_to(io)));
  return Exit::ok;
}

}  // namespace

Verb prove_attempts_verb() {
  return {"prove attempts",
          "Make the attempts of a proof; prove residency starts it inside the region that may not hold the data.",
          {"ORDERS", "RESULT"},
          {},
          {"domicile prove attempts spec.json result.jsonl"},
          run};
}

}  // namespace domicile::cli
