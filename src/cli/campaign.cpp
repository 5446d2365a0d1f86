#include "campaign/campaign.hpp"

#include <charconv>
#include <cmath>

#include "campaign/faults.hpp"
#include "cli/campaign_common.hpp"
#include "cli/drill_common.hpp"
#include "core/topology/parse.hpp"

namespace domicile::cli {
namespace {

constexpr int kOwnBase = 211;  // beside the lab that may run: a campaign breaks only its own

Result<double> minutes_of(const std::string& text) {
  double value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc() || end != text.data() + text.size() || !(value >= 0.05) || value > 1440)
    return fail(Kind::invalid_input, "'" + text + "' is no number of minutes", "from 0.05 to 1440");
  return value;
}

Result<void> valid_minutes(const std::string& text) {
  (void)TRY(minutes_of(text));
  return {};
}

Result<void> valid_seed(const std::string& text) {
  const std::int64_t seed = TRY(lab_figure(text));
  return seed < 0 ? Result<void>(fail(Kind::invalid_input, "a seed is not negative")) : Result<void>();
}

Result<Exit> run(const Args& args, Io& io) {
  campaign::Settings asked;
  asked.seed = static_cast<std::uint64_t>(TRY(lab_figure(args.get("seed", "1"))));
  asked.length = static_cast<Micros>(std::llround(TRY(minutes_of(args.get("minutes", "1"))) * 60)) * kSecond;
  asked.per_s = static_cast<double>(TRY(lab_figure(args.get("rate", "40"))));
  asked.clients = static_cast<std::size_t>(TRY(lab_figure(args.get("clients", "12"))));
  asked.history = args.get("history", (checkout() / fmt::format("build/campaign-{}.jsonl", asked.seed)).string());
  DrillSettings settings;
  settings.topology_file = args.get("topology", (checkout() / "examples/campaign/topology.yaml").string());
  settings.topology = TRY(topology::load(TRY(read_file(settings.topology_file)), settings.topology_file.string()));
  const std::string schedule =
      campaign::table(campaign::draw_schedule(asked.seed, asked.length, campaign::ground_of(settings.topology)));
  if (args.has("dry-run")) {
    io.out << schedule;
    return Exit::ok;
  }
  settings.base = TRY(lab_base(args)) + kOwnBase;
  settings.directory = lab::default_directory(checkout(), settings.base);
  settings.spec.program = fs::read_symlink("/proc/self/exe");
  settings.record = !args.has("no-census"), settings.instruments = true;
  const auto talk = talk_to(io);
  io.err << schedule << std::flush;
  talk("bringing a lab up");
  const auto own = TRY(TemporaryLab::up(settings));
  const auto field = TRY(drill::Field::open(settings.directory, settings.topology));
  own->before_end([&field] { (void)campaign::undo_everything(field); });
  auto verdict = campaign::run(field, asked, talk);
  own->before_end({});
  talk("the history is in " + asked.history.string());
  if (!verdict || !verdict->held()) own->keep_logs(talk);
  return show_verdict(io, args.has("json"), TRY(std::move(verdict)));
}

}  // namespace

Verb campaign_verb() {
  return {"campaign",
          "Let clients write and read in a lab of its own while faults happen, and judge what they saw.",
          {},
          {{"minutes", "M", "How long faults happen (default: 1).", false, false, valid_minutes},
           {"seed", "S", "Which faults, and when (default: 1).", false, false, valid_seed},
           {"dry-run", "", "Only print the faults of this seed."},
           {"history", "FILE", "Where every operation is written down (default: build/campaign-SEED.jsonl)."},
           {"clients", "N", "Clients, each one operation at a time (default: 12).", false, false, valid_count},
           {"rate", "N", "Operations per second of all clients together (default: 40).", false, false, valid_count},
           {"no-census", "", "Record nothing that crosses, and search for no personal values."},
           {"topology", "FILE", "Another one with the ledger's tables (default: examples/campaign)."},
           base_option(),
           json_option()},
          {"domicile campaign --minutes 10 --seed 7", "domicile campaign --seed 7 --dry-run"},
          run};
}

}  // namespace domicile::cli
