#include <charconv>

#include "base/json.hpp"
#include "cli/databases.hpp"
#include "cli/registry.hpp"
#include "engines/postgres/tenants.hpp"

namespace domicile::cli {
namespace {

constexpr int kPage = 1000;

Result<long> limit_of(const std::string& text) {
  long limit = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), limit);
  if (code != std::errc() || end != text.data() + text.size() || limit < 0)
    return fail(Kind::invalid_input, "'" + text + "' is no number of tenants");
  return limit;
}

Result<void> valid_limit(const std::string& text) {
  (void)TRY(limit_of(text));
  return {};
}

Result<Exit> run(const Args& args, Io& io) {
  const auto topology = TRY(topology_of(args));
  const std::string residency = args.get("residency");
  if (!residency.empty() && !tenant_residencies(topology).contains(residency))
    return fail(Kind::invalid_input, "there is no residency '" + residency + "'", "", "DOM-T004");
  const long limit = TRY(limit_of(args.get("limit", "0")));
  const auto directory = TRY(directory_of(args, topology));
  auto connection = TRY(open_database(directory.database, "tenant list"));
  std::string after = args.get("after");
  for (long shown = 0; limit == 0 || shown < limit;) {
    const int page = limit == 0 ? kPage : static_cast<int>(std::min<long>(kPage, limit - shown));
    const auto tenants = TRY(postgres::list_tenants(connection, residency, after, page));
    for (const auto& tenant : tenants) {
      if (args.has("json")) {
        io.out << dump({{"tenant", tenant.id},
                        {"residency", tenant.residency},
                        {"tombstone", tenant.tombstone},
                        {"hosts", tenant.hosts}})
               << "\n";
      } else {
        io.out << fmt::format("{:<24} {:<10}{}", tenant.id, tenant.residency, tenant.tombstone ? " (leaving)" : "");
        for (const auto& host : tenant.hosts) io.out << " " << host;
        io.out << "\n";
      }
    }
    shown += static_cast<long>(tenants.size());
    if (tenants.size() < static_cast<std::size_t>(page)) break;
    after = tenants.back().id;
  }
  return Exit::ok;
}

}  // namespace

Verb tenant_list_verb() {
  return {"tenant list",
          "List the directory's tenants, by id.",
          {},
          database_options({{"residency", "R", "Only these."},
                            {"after", "TENANT", "Begin behind this id."},
                            {"limit", "N", "At most so many (all).", false, false, valid_limit},
                            {"json", "", "One JSON object a line."}}),
          {"domicile tenant list --residency eu --limit 20", "domicile tenant list --json"},
          run};
}

}  // namespace domicile::cli
