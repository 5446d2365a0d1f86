#include "base/file.hpp"
#include "cli/campaign_common.hpp"
#include "cli/lab_common.hpp"

namespace domicile::cli {
namespace {

std::optional<history::Model> model_of(const std::string& name) {
  if (name == "registers") return history::Model::registers;
  if (name == "lists") return history::Model::lists;
  if (name == "banks") return history::Model::banks;
  return {};
}

Result<void> valid_model(const std::string& name) {
  if (model_of(name)) return {};
  return fail(Kind::invalid_input, "'" + name + "' is not registers, lists or banks");
}

Result<Exit> run(const Args& args, Io& io) {
  const std::string& file = args.words.at(0);
  const auto operations = history::history_of(TRY(read_file(file)));
  if (!operations) return wrap("cannot judge " + file, operations.error());
  if (args.has("edn")) {
    io.out << history::to_edn(*operations, *model_of(args.get("edn")));
    return Exit::ok;
  }
  return show_verdict(io, args.has("json"), TRY(history::judge(*operations)));
}

}  // namespace

Exit show_verdict(Io& io, bool json, const history::Verdict& verdict) {
  const Json all = history::json_of(verdict);
  if (!json) {
    io.out << fmt::format(
        "{} operations, {} faults, {} epochs\n"
        "writes: {} acknowledged, {} refused, {} unknown; reads: {} answered\n"
        "of the acknowledged {} are not readable: {} salvaged, {} lost\n",
        verdict.operations, verdict.faults, verdict.epochs, verdict.acknowledged, verdict.refused, verdict.unknown,
        verdict.reads, verdict.salvaged + verdict.lost(), verdict.salvaged, verdict.lost());
    if (!verdict.judged_at_end) io.out << "it breaks off: what was found in the end is missing\n";
    for (const auto& key : verdict.undecided) io.out << "undecided: " << key << "\n";
    for (const auto& each : verdict.anomalies)
      io.out << fmt::format("{}: {}{}{}: {}\n", history::name_of(each.rule), each.residency,
                            each.key.empty() ? "" : " " + each.key,
                            each.epoch == 0 ? "" : fmt::format(" epoch {}", each.epoch), each.why);
  }
  // What the line is read for stands first.
  nlohmann::ordered_json line;
  for (const char* name : {"operations", "faults", "anomalies", "lost", "forbidden_bytes"}) line[name] = all[name];
  for (const auto& [name, value] : all.items()) line[name] = value;
  io.out << line.dump() << std::endl;
  return verdict.held() ? Exit::ok : Exit::broken;
}

Verb campaign_check_verb() {
  return {
      "campaign check",
      "Judge a history that a campaign has written, or pass it on to another checker.",
      {"FILE"},
      {{"edn", "MODEL", "Print the operations on registers (Knossos), lists (Elle) or banks (Jepsen) as EDN.", false,
        false, valid_model},
       json_option()},
      {"domicile campaign check build/campaign-7.jsonl", "domicile campaign check build/campaign-7.jsonl --edn lists"},
      run};
}

}  // namespace domicile::cli
