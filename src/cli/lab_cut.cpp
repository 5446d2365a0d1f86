#include "cli/lab_common.hpp"
#include "cli/registry.hpp"

namespace domicile::cli {

Verb lab_cut_verb() {
  return {"lab cut",
          "Let nothing pass between two regions; host is where the clients are.",
          {"FROM", "TO"},
          {base_option(), {"one-way", "", "only what goes from FROM to TO"}},
          {"domicile lab cut us-east-1 eu-central-1", "domicile lab cut host us-east-1 --one-way"},
          [](const Args& args, Io& io) -> Result<Exit> {
            Json body{{"from", args.words.at(0)}, {"to", args.words.at(1)}, {"one_way", args.has("one-way")}};
            return lab_do(args, io, "cut", body, "cut");
          }};
}

}  // namespace domicile::cli
