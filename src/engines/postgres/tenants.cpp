#include "engines/postgres/tenants.hpp"

#include "base/json.hpp"

namespace domicile::postgres {
namespace {

constexpr std::size_t kChunk = 1 << 18;

// Ids, residencies and hosts are checked: no tab, newline or backslash is among them, so COPY's text format needs no
// escapes.
Result<void> copy(Connection& connection, const std::string& sql, std::span<const tenants::Entry> entries,
                  const std::function<void(std::string&, const tenants::Entry&)>& line,
                  const std::function<void(std::size_t)>& progress) {
  CHECK_OK(connection.begin_copy_in(sql));
  std::string buffer;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    line(buffer, entries[i]);
    if (buffer.size() < kChunk) continue;
    CHECK_OK(connection.put_copy(buffer));
    buffer.clear();
    if (progress) progress(i + 1);
  }
  if (!buffer.empty()) CHECK_OK(connection.put_copy(buffer));
  CHECK_OK(connection.end_copy_in());
  return {};
}

Result<void> stage(Connection& connection, std::span<const tenants::Entry> entries, const ImportOptions& options) {
  CHECK_OK(connection.exec(
      "CREATE TEMPORARY TABLE domicile_new_tenant (tenant_id text, residency text, line bigint) ON COMMIT DROP;"
      "CREATE TEMPORARY TABLE domicile_new_host (host text, tenant_id text, line bigint) ON COMMIT DROP"));
  CHECK_OK(copy(
      connection, "COPY pg_temp.domicile_new_tenant FROM STDIN", entries,
      [](std::string& out, const tenants::Entry& entry) {
        out += entry.tenant + "\t" + entry.residency + "\t" + std::to_string(entry.line) + "\n";
      },
      [&](std::size_t at) {
        if (options.progress) options.progress(at / 2);
      }));
  CHECK_OK(copy(
      connection, "COPY pg_temp.domicile_new_host FROM STDIN", entries,
      [](std::string& out, const tenants::Entry& entry) {
        for (const auto& host : entry.hosts)
          out += host + "\t" + entry.tenant + "\t" + std::to_string(entry.line) + "\n";
      },
      [&](std::size_t at) {
        if (options.progress) options.progress((entries.size() + at) / 2);
      }));
  CHECK_OK(connection.exec("ANALYZE pg_temp.domicile_new_tenant; ANALYZE pg_temp.domicile_new_host"));
  return {};
}

constexpr const char* kContradictions = R"sql(
SELECT * FROM (
  SELECT n.line, 'DOM-T021', pg_catalog.format('tenant ''%s'' is there with residency ''%s'', not ''%s''; moving a tenant is '
    'another command', n.tenant_id, t.residency, n.residency)
  FROM pg_temp.domicile_new_tenant n JOIN domicile.tenant t USING (tenant_id) WHERE t.residency <> n.residency
  UNION ALL
  SELECT n.line, 'DOM-T023', pg_catalog.format('tenant ''%s'' is being removed or moved', n.tenant_id)
  FROM pg_temp.domicile_new_tenant n JOIN domicile.tenant t USING (tenant_id) WHERE t.tombstone OR t.moving IS NOT NULL
  UNION ALL
  SELECT n.line, 'DOM-T020', pg_catalog.format('host ''%s'' belongs to tenant ''%s'', not ''%s''', n.host, h.tenant_id,
    n.tenant_id)
  FROM pg_temp.domicile_new_host n JOIN domicile.host h USING (host) WHERE h.tenant_id <> n.tenant_id
  UNION ALL
  SELECT n.line, 'DOM-T022', pg_catalog.format('tenant ''%s'' is there without host ''%s''; --add-host adds it',
    n.tenant_id, n.host)
  FROM pg_temp.domicile_new_host n JOIN domicile.tenant t USING (tenant_id)
  WHERE NOT $1::bool AND NOT EXISTS (SELECT FROM domicile.host h WHERE h.host = n.host)
) problems ORDER BY 1, 2 LIMIT 100)sql";

Result<std::vector<tenants::Problem>> contradictions(Connection& connection, bool add_hosts) {
  const auto rows = TRY(connection.exec_params(kContradictions, {add_hosts ? "true" : "false"}));
  std::vector<tenants::Problem> problems;
  for (int r = 0; r < rows.size(); ++r)
    problems.push_back({rows.integer_or(r, 0, 0), rows.text(r, 1), rows.text(r, 2)});
  return problems;
}

Result<std::vector<Tenant>> tenants_of(const Rows& rows) {
  std::vector<Tenant> out;
  for (int r = 0; r < rows.size(); ++r) {
    Tenant tenant{rows.text(r, 0), rows.text(r, 1), rows.truth(r, 2), {}};
    for (const auto& host : TRY(parse_json(rows.at(r, 3), "hosts"))) tenant.hosts.push_back(host.get<std::string>());
    out.push_back(std::move(tenant));
  }
  return out;
}

constexpr const char* kTenant =
    "SELECT t.tenant_id, t.residency, t.tombstone, (SELECT coalesce(pg_catalog.json_agg(h.host ORDER BY h.host), '[]') "
    "FROM domicile.host h WHERE h.tenant_id = t.tenant_id) FROM domicile.tenant t ";

constexpr const char* kPermitFirst = R"sql(
DO $do$ BEGIN
  IF pg_catalog.to_regproc('domicile.guard_form') IS NOT NULL
     AND NOT EXISTS (SELECT FROM domicile.guard_state() g WHERE g.residency = 'directory' AND g.epoch > 0) THEN
    PERFORM domicile.permit('directory', 'first tenants');
  END IF;
END $do$)sql";

}  // namespace

Result<ImportReport> import_tenants(Connection& connection, std::span<const tenants::Entry> entries,
                                    const ImportOptions& options, std::string_view file) {
  auto transaction = TRY(Transaction::begin(connection));
  CHECK_OK(stage(connection, entries, options));
  // No other import between the checks and the rows; readers and the apply worker's snapshot go on.
  CHECK_OK(connection.exec("LOCK TABLE domicile.tenant, domicile.host IN SHARE ROW EXCLUSIVE MODE"));
  const auto problems = TRY(contradictions(connection, options.add_hosts));
  if (!problems.empty()) {
    auto error = tenants::to_error(problems, file);
    error.kind = Kind::conflict;
    return tl::unexpected<Error>(std::move(error));
  }
  if (options.before_agents) CHECK_OK(connection.exec(kPermitFirst));
  const auto tenants_added =
      TRY(connection.exec("INSERT INTO domicile.tenant (tenant_id, residency) SELECT n.tenant_id, n.residency FROM "
                          "pg_temp.domicile_new_tenant "
                          "n WHERE NOT EXISTS (SELECT FROM domicile.tenant t WHERE t.tenant_id = n.tenant_id)"));
  const auto hosts_added = TRY(connection.exec(
      "INSERT INTO domicile.host (host, tenant_id) SELECT n.host, n.tenant_id FROM pg_temp.domicile_new_host n "
      "WHERE NOT EXISTS (SELECT FROM domicile.host h WHERE h.host = n.host)"));
  CHECK_OK(transaction.commit());
  return ImportReport{tenants_added.affected(), hosts_added.affected(),
                      static_cast<std::int64_t>(entries.size()) - tenants_added.affected()};
}

Result<std::vector<Tenant>> list_tenants(Connection& connection, const std::string& residency, const std::string& after,
                                         int limit) {
  return tenants_of(TRY(connection.exec_params(
      std::string(kTenant) + "WHERE ($1 = '' OR t.residency = $1) AND t.tenant_id > $2 ORDER BY t.tenant_id LIMIT $3",
      {residency, after, std::to_string(limit)})));
}

Result<std::optional<Tenant>> find_tenant(Connection& connection, const std::string& id) {
  auto found = TRY(tenants_of(TRY(connection.exec_params(std::string(kTenant) + "WHERE t.tenant_id = $1", {id}))));
  if (found.empty()) return std::optional<Tenant>{};
  return std::optional<Tenant>{std::move(found[0])};
}

Result<std::string> directory_version(Connection& connection) {
  const auto rows = TRY(connection.exec("SELECT domicile.directory_version()"));
  return rows.text(0, 0);
}

Result<std::string> read_directory(
    Connection& connection,
    const std::function<Result<void>(std::string_view, std::string_view, std::string_view)>& row) {
  auto transaction = TRY(Transaction::begin(connection, "ISOLATION LEVEL REPEATABLE READ READ ONLY"));
  auto version = TRY(directory_version(connection));
  CHECK_OK(connection.copy_out(
      "COPY (SELECT h.host, t.tenant_id, t.residency FROM domicile.host h JOIN domicile.tenant t USING (tenant_id) "
      "WHERE "
      "NOT t.tombstone OR t.moving IS NOT NULL) TO STDOUT",
      [&](std::string_view line) -> Result<void> {
        const auto first = line.find('\t'), second = line.find('\t', first + 1), end = line.find('\n');
        if (first == line.npos || second == line.npos || end == line.npos)
          return fail(Kind::corrupt, "a row of the directory has no three columns");
        return row(line.substr(0, first), line.substr(first + 1, second - first - 1),
                   line.substr(second + 1, end - second - 1));
      }));
  CHECK_OK(transaction.commit());
  return version;
}

}  // namespace domicile::postgres
