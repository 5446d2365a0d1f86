#include "cli/lab_common.hpp"
#include "cli/registry.hpp"

namespace domicile::cli {

Verb lab_slow_verb() {
  return {"lab slow",
          "Limit the rate between two regions.",
          {"FROM", "TO", "BYTES_PER_S"},
          {base_option(), {"one-way", "", "only what goes from FROM to TO"}},
          {"domicile lab slow us-east-1 eu-central-1 100000"},
          [](const Args& args, Io& io) -> Result<Exit> {
            Json body{{"from", args.words.at(0)}, {"to", args.words.at(1)}, {"one_way", args.has("one-way")}};
            body["bytes_per_s"] = TRY(lab_figure(args.words.at(2)));
            return lab_do(args, io, "slow", body, "slow");
          },
          [](const Args& args) -> Result<void> {
            (void)TRY(lab_figure(args.words.at(2)));
            return {};
          }};
}

}  // namespace domicile::cli
