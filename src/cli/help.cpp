#include "cli/registry.hpp"

namespace domicile::cli {

Verb help_verb() {
  return {"help",
          "List the commands, or explain one.",
          {"[COMMAND...]"},
          {{"reference", "", "Print docs/reference/cli.md."}},
          {"domicile help", "domicile help explain table"},
          [](const Args& args, Io& io) -> Result<Exit> {
            if (args.has("reference")) return io.out << reference(verbs()), Exit::ok;
            if (args.words.empty()) return io.out << overview(verbs()), Exit::ok;
            std::size_t used = 0;
            const Verb* verb = find_verb(verbs(), args.words, used);
            if (!verb && args.words.size() == 1 && is_group(verbs(), args.words[0]))
              return io.out << overview(verbs(), args.words[0]), Exit::ok;
            if (!verb) {
              io.err << "error: there is no command '" << args.words[0] << "'\n  fix: domicile help\n";
              return Exit::usage;
            }
            io.out << usage_of(*verb);
            return Exit::ok;
          }};
}

}  // namespace domicile::cli
