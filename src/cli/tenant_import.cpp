#include <unistd.h>

#include "base/clock.hpp"
#include "base/file.hpp"
#include "base/json.hpp"
#include "cli/databases.hpp"
#include "cli/registry.hpp"
#include "engines/postgres/tenants.hpp"

namespace domicile::cli {
namespace {

// Shown once the work has taken two seconds, and only to a person.
class Bar {
 public:
  Bar(Io& io, std::string what) : io_(io), what_(std::move(what)), on_(::isatty(STDERR_FILENO) == 1) {}
  ~Bar() {
    if (shown_) io_.err << "\r\033[K" << std::flush;
  }
  void at(std::size_t done, std::size_t all) {
    const Micros now = monotonic_now();
    if (!on_ || now - begun_ < 2 * kSecond || now - last_ < 100 * kMillisecond || all == 0) return;
    last_ = now;
    shown_ = true;
    const std::size_t filled = 30 * std::min(done, all) / all;
    io_.err << fmt::format("\r\033[K{} [{}{}] {:3} %", what_, std::string(filled, '#'), std::string(30 - filled, '.'),
                           100 * std::min(done, all) / all)
            << std::flush;
  }

 private:
  Io& io_;
  std::string what_;
  bool on_, shown_ = false;
  Micros begun_ = monotonic_now(), last_ = 0;
};

Result<Exit> run(const Args& args, Io& io) {
  const auto topology = TRY(topology_of(args));
  const std::string& file = args.words[0];
  const std::string text = TRY(read_file(file));
  const Micros begun = monotonic_now();
  tenants::Checked checked;
  {
    Bar bar(io, "checking ");
    checked = tenants::check_csv(text, tenant_residencies(topology),
                                 [&](std::size_t offset) { bar.at(offset, text.size()); });
  }
  if (!checked.problems.empty()) {
    for (const auto& problem : checked.problems)
      io.err << fmt::format("{}:{}: {}: {}\n", file, problem.line, problem.code, problem.cause);
    return tl::unexpected<Error>(tenants::to_error(checked.problems, file));
  }
  const auto directory = TRY(directory_of(args, topology));
  auto connection = TRY(open_database(directory.database, "tenant import"));
  Bar bar(io, "importing");
  const postgres::ImportOptions options{args.has("add-host"), directory.before_agents,
                                        [&](std::size_t entries) { bar.at(entries, checked.entries.size()); }};
  const auto report = TRY(postgres::import_tenants(connection, checked.entries, options, file));
  const double seconds = static_cast<double>(monotonic_now() - begun) / kSecond;
  const double rate = static_cast<double>(checked.entries.size()) / std::max(seconds, 0.001);
  if (args.has("json"))
    io.out << dump({{"tenants_added", report.tenants_added},
                    {"hosts_added", report.hosts_added},
                    {"unchanged", report.unchanged},
                    {"seconds", seconds},
                    {"tenants_per_s", static_cast<std::int64_t>(rate)}})
           << "\n";
  else
    io.out << fmt::format("{} tenants and {} hosts added, {} were there; {:.1f} s, {:.0f} tenants/s\n",
                          report.tenants_added, report.hosts_added, report.unchanged, seconds, rate);
  return Exit::ok;
}

}  // namespace

Verb tenant_import_verb() {
  return {"tenant import",
          "Add all tenants of a CSV file (tenant,residency,hosts), or none of them.",
          {"FILE"},
          database_options({{"add-host", "", "Tenants that are there may get further hosts."},
                            {"json", "", "Print one JSON object."}}),
          {"domicile tenant import tenants.csv"},
          run};
}

}  // namespace domicile::cli
