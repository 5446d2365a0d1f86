#include "cli/lab_common.hpp"
#include "cli/registry.hpp"

namespace domicile::cli {

Verb lab_heal_verb() {
  return {"lab heal",
          "End every fault between two regions, or all of them.",
          {"[FROM]", "[TO]"},
          {base_option(), {"one-way", "", "only what goes from FROM to TO"}},
          {"domicile lab heal", "domicile lab heal us-east-1 eu-central-1"},
          [](const Args& args, Io& io) -> Result<Exit> {
            Json body = Json::object();
            if (args.words.size() == 2)
              body = {{"from", args.words[0]}, {"to", args.words[1]}, {"one_way", args.has("one-way")}};
            return lab_do(args, io, "heal", body, "healed");
          },
          [](const Args& args) -> Result<void> {
            if (args.words.size() == 1) return fail(Kind::invalid_input, "name two sites, or none for all");
            return {};
          }};
}

}  // namespace domicile::cli
