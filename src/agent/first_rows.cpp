#include "agent/first_rows.hpp"

#include "agent/bodies.hpp"
#include "agent/row_stream.hpp"
#include "base/json.hpp"
#include "engines/postgres/links/subscription.hpp"

namespace domicile::agent {

using postgres::links::CopySession;
using postgres::links::Exporter;
using postgres::links::MappedTable;
using postgres::links::RowSink;

namespace {

constexpr Micros kLong = 3600 * kSecond;  // a large table takes its time

HttpReply refusal(const Error& error) {
  const int status = error.kind == Kind::refused ? 403 : error.kind == Kind::conflict ? 409 : 503;
  return {status, dump({{"what", one_line(error)}})};
}

// The exporting agent as a CopySource.
class RemoteSource final : public postgres::links::CopySource {
 public:
  RemoteSource(const AgentConfig& config, const replication::LinkName& link)
      : client_(config.api.tls),
        url_(fmt::format("{}/v1/first-rows/{}", config.sites.at(link.from).api, link.residency)) {}

  Result<CopySession> session() override {
    const Json json = TRY(post("", Json::object()));
    CopySession session;
    session.id = TRY(member<std::string>(json, "session"));
    session.position.system_id = TRY(member<std::string>(json, "system"));
    session.position.timeline = TRY(member<std::int64_t>(json, "timeline"));
    session.position.lsn = authority::lsn_of(TRY(member<std::string>(json, "lsn"))).value_or(0);
    return session;
  }

  Result<void> read(const std::string& session, const MappedTable& table, const RowSink& sink) override {
    const auto response = TRY(receive_lines(
        client_,
        {"POST",
         url_ + "/rows",
         {"Expect:"},
         dump({{"session", session}, {"schema", table.schema}, {"name", table.name}, {"columns", table.columns}}),
         kLong},
        sink));
    return answered(response);
  }

  Result<void> close(const std::string& session) override {
    TRY(post("/close", {{"session", session}}));
    return {};
  }

 private:
  Result<void> answered(const HttpResponse& response) {
    if (response.status < 400) return {};
    const auto json = parse_json(response.body, "the source's answer");
    const auto what = json ? member_or<std::string>(*json, "what", "").value_or("") : "";
    return fail(response.status == 409 ? Kind::conflict : Kind::unavailable,
                fmt::format("the source answered {} {}", response.status, what));
  }
  Result<Json> post(const std::string& path, const Json& body) {
    const auto response = TRY(client_.send({"POST", url_ + path, {"Expect:"}, dump(body), 60 * kSecond}));
    CHECK_OK(answered(response));
    return parse_json(response.body, "the source's answer");
  }

  HttpClient client_;
  std::string url_;
};

}  // namespace

std::shared_ptr<FirstRowsExports::Running> FirstRowsExports::running(const std::string& residency,
                                                                     const std::string& peer) {
  const std::lock_guard lock(mutex_);
  auto& running = sessions_[residency::link_name(residency, settings_.region, peer)];
  if (!running) running = std::make_shared<Running>();
  return running;
}

HttpReply FirstRowsExports::session(const std::string& residency, const std::string& peer) {
  const auto held = running(residency, peer);
  const std::lock_guard lock(held->mutex);
  if (!held->exporter) {
    auto begun = Exporter::begin(settings_.database,
                                 postgres::link_spec(*settings_.topology, {residency, settings_.region, peer}));
    if (!begun) return refusal(begun.error());
    held->exporter = std::make_unique<Exporter>(std::move(*begun));
  }
  const auto session = held->exporter->session();
  if (!session) return refusal(session.error());
  return {200, dump({{"session", session->id},
                     {"system", session->position.system_id},
                     {"timeline", session->position.timeline},
                     {"lsn", authority::lsn_text(session->position.lsn)}})};
}

HttpReply FirstRowsExports::rows(const std::string& residency, const std::string& peer, const std::string& body) {
  const auto held = running(residency, peer);
  const auto asked = rows_body(body);
  if (!asked) return {400, dump({{"what", one_line(asked.error())}})};
  HttpReply reply;
  reply.type = "text/plain";
  MappedTable table;
  table.schema = asked->schema;
  table.name = asked->name;
  table.columns = asked->columns;
  const auto link = residency::link_name(residency, settings_.region, peer);
  reply.stream = [this, held, link, session = asked->session,
                  table](const std::function<bool(std::string_view)>& write) {
    const std::lock_guard lock(held->mutex);
    if (!held->exporter) return false;
    GatedRows out(gate_, link, table.qualified(), write);
    const auto read = held->exporter->read(session, table, [&](std::string_view lines) { return out.add(lines); });
    const auto done = read ? out.flush() : read;
    if (!done)
      log_.warn("copy.export", "first rows stop",
                {{Field::link, link}, {Field::table, table.qualified()}, {Field::reason, one_line(done.error())}});
    return done.has_value();
  };
  return reply;
}

HttpReply FirstRowsExports::close(const std::string& residency, const std::string& peer, const std::string& body) {
  const auto held = running(residency, peer);
  const std::lock_guard lock(held->mutex);
  if (!held->exporter) return {409, dump({{"what", "no session of first rows runs"}})};
  const auto session = session_body(body);
  if (!session) return {400, dump({{"what", one_line(session.error())}})};
  const auto closed = held->exporter->close(*session);
  if (!closed) return refusal(closed.error());
  held->exporter.reset();
  return {200, "{}"};
}

Result<void> bring_first_rows(const AgentConfig& config, const postgres::StoreSettings& settings,
                              const replication::LinkName& inbound, const Log& log) {
  if (!config.sites.contains(inbound.from)) return fail(Kind::invalid_input, "no address of " + inbound.from);
  // Before a row is read: without it they would have come for nothing.
  const auto address = settings.peers.find(inbound.from);
  if (address == settings.peers.end())
    return fail(Kind::invalid_input, "no address of " + inbound.from + " for links",
                fmt::format("agent.yaml: sites: {}: link: …", inbound.from));
  auto connection = TRY(postgres::open_session(settings, "domicile-first-rows"));
  const auto link = postgres::link_spec(*settings.topology, inbound);
  RemoteSource source(config, inbound);
  postgres::links::ImportOptions options;
  options.progress = [&](const std::string& table, std::int64_t rows) {
    log.info("copy.progress", "first rows",
             {{Field::residency, inbound.residency}, {Field::table, table}, {Field::rows, rows}});
  };
  const postgres::links::Sql sql(connection);
  TRY(postgres::links::import_first_rows(sql, link, source, options));
  CHECK_OK(postgres::links::ensure_subscription(sql, link, address->second));
  return postgres::links::enable_subscription(sql, link);
}

}  // namespace domicile::agent
