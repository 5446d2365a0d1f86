#include "cli/drill_common.hpp"
#include "cli/registry.hpp"

namespace domicile::cli {

Verb drill_explain_verb() {
  return {
      "drill explain",
      "Say what a drill would do, step by step, how each fault is undone, and what must hold. Does nothing.",
      {"DRILL"},
      drill_options({}),
      {"domicile drill explain region-loss-cut", "domicile drill explain ./mine.yaml --residency eu"},
      [](const Args& args, Io& io) -> Result<Exit> {
        const auto plan = TRY(drill_file(args.words.at(0)));
        const std::string text = TRY(explained(TRY(drill_settings(args, plan)), plan));
        io.out << (args.has("json") ? dump({{"drill", plan.name}, {"kind", plan.kind}, {"text", text}}) + "\n" : text);
        return Exit::ok;
      }};
}

}  // namespace domicile::cli
