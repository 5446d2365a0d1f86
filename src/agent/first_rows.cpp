#include "agent/first_rows.hpp"

#include <algorithm>

#include "agent/bodies.hpp"
#include "agent/row_stream.hpp"
#include "base/json.hpp"
#include "engines/postgres/links/subscription.hpp"

namespace domicile::agent {

using postgres::links::CopySession;
using postgres::links::Exporter;
using postgres::links::MappedTable;
using postgres::links::Parts;
using postgres::links::PartSums;
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
  RemoteSource(const AgentConfig& config, const replication::LinkName& link, bool repair)
      : client_(config.api.tls),
        url_(fmt::format("{}/v1/first-rows/{}", config.sites.at(link.from).api, link.residency)),
        repair_(repair) {}

  Result<CopySession> session() override {
    const auto answer = post("", {{"repair", repair_}});
    taken_ = !answer && answer.error().kind == Kind::conflict;
    const Json json = TRY(answer);
    CopySession session;
    session.id = TRY(member<std::string>(json, "session"));
    session.position.system_id = TRY(member<std::string>(json, "system"));
    session.position.timeline = TRY(member<std::int64_t>(json, "timeline"));
    session.position.lsn = authority::lsn_of(TRY(member<std::string>(json, "lsn"))).value_or(0);
    return session;
  }

  Result<void> read(const std::string& session, const MappedTable& table, const Parts& parts,
                    const RowSink& sink) override {
    const auto body = dump(question(session, table, parts));
    bytes_ += static_cast<std::int64_t>(body.size());
    const auto counted = [&](std::string_view lines) {
      bytes_ += static_cast<std::int64_t>(lines.size());
      return sink(lines);
    };
    const auto response = TRY(receive_lines(client_, {"POST", url_ + "/rows", {"Expect:"}, body, kLong}, counted));
    return answered(response);
  }

  Result<PartSums> sums(const std::string& session, const MappedTable& table, const Parts& parts, int bits) override {
    Json body = question(session, table, parts);
    body["split"] = bits;
    const Json json = TRY(post("/sums", body, kLong));
    PartSums sums;
    sums.sums = TRY(postgres::links::sums_of(TRY(member<std::string>(json, "sums"))));
    sums.rows = TRY(member<std::int64_t>(json, "rows"));
    return sums;
  }

  Result<void> close(const std::string& session) override {
    TRY(post("/close", {{"session", session}}));
    return {};
  }
  std::int64_t bytes() const { return bytes_; }
  bool taken() const { return taken_; }  // its slot carries this link already

 private:
  static Json question(const std::string& session, const MappedTable& table, const Parts& parts) {
    Json json{{"session", session}, {"schema", table.schema}, {"name", table.name}, {"columns", table.columns}};
    if (!parts.whole()) json["bits"] = parts.bits, json["parts"] = parts.numbers;
    return json;
  }
  Result<void> answered(const HttpResponse& response) {
    if (response.status < 400) return {};
    const auto json = parse_json(response.body, "the source's answer");
    const auto what = json ? member_or<std::string>(*json, "what", "").value_or("") : "";
    return fail(response.status == 409 ? Kind::conflict : Kind::unavailable,
                fmt::format("the source answered {} {}", response.status, what));
  }
  Result<Json> post(const std::string& path, const Json& body, Micros patience = 60 * kSecond) {
    const auto text = dump(body);
    const auto response = TRY(client_.send({"POST", url_ + path, {"Expect:"}, text, patience}));
    bytes_ += static_cast<std::int64_t>(text.size() + response.body.size());
    CHECK_OK(answered(response));
    return parse_json(response.body, "the source's answer");
  }

  HttpClient client_;
  std::string url_;
  bool repair_, taken_ = false;
  std::int64_t bytes_ = 0;  // of questions and answers, both ways
};

// A question for rows or sums of one table.
struct TableQuestion {
  std::string session;
  MappedTable table;
  Parts parts;
  int split = 0;
};
Result<TableQuestion> table_question(const std::string& body) {
  auto asked = TRY(rows_body(body));
  TableQuestion question{asked.session, {}, {asked.bits, std::move(asked.parts)}, asked.split};
  question.table.schema = asked.schema;
  question.table.name = asked.name;
  question.table.columns = std::move(asked.columns);
  return question;
}

}  // namespace

std::shared_ptr<FirstRowsExports::Running> FirstRowsExports::running(const std::string& residency,
                                                                     const std::string& peer) {
  const std::lock_guard lock(mutex_);
  auto& running = sessions_[residency::link_name(residency, settings_.region, peer)];
  if (!running) running = std::make_shared<Running>();
  return running;
}

HttpReply FirstRowsExports::session(const std::string& residency, const std::string& peer, const std::string& body) {
  const auto repair = repair_body(body);
  if (!repair) return {400, dump({{"what", one_line(repair.error())}})};
  const auto held = running(residency, peer);
  const std::lock_guard lock(held->mutex);
  if (!held->exporter) {
    postgres::links::ExportOptions options;
    options.replace_ready = *repair;
    auto begun = Exporter::begin(
        settings_.database, postgres::link_spec(*settings_.topology, {residency, settings_.region, peer}), options);
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
  const auto asked = table_question(body);
  if (!asked) return {400, dump({{"what", one_line(asked.error())}})};
  const auto link = residency::link_name(residency, settings_.region, peer);
  // From here on the name is the link's own: what a peer calls a table goes into no log.
  const auto spec = postgres::link_spec(*settings_.topology, {residency, settings_.region, peer});
  if (!std::ranges::any_of(postgres::links::tables_of(spec),
                           [&](const MappedTable& own) { return own.qualified() == asked->table.qualified(); }))
    return {403, dump({{"what", "that is no table of link " + link}})};
  HttpReply reply;
  reply.type = "text/plain";
  reply.stream = [this, held, link, asked = *asked](const std::function<bool(std::string_view)>& write) {
    const std::lock_guard lock(held->mutex);
    if (!held->exporter) return false;
    const auto& table = asked.table;
    GatedRows out(gate_, link, table.qualified(), table.columns, write);
    const auto read =
        held->exporter->read(asked.session, table, asked.parts, [&](std::string_view lines) { return out.add(lines); });
    const auto done = read ? out.flush() : read;
    if (!done)
      log_.warn("copy.export", "first rows stop",
                {{Field::link, link}, {Field::table, table.qualified()}, {Field::reason, one_line(done.error())}});
    return done.has_value();
  };
  return reply;
}

HttpReply FirstRowsExports::sums(const std::string& residency, const std::string& peer, const std::string& body) {
  const auto held = running(residency, peer);
  const auto asked = table_question(body);
  if (!asked) return {400, dump({{"what", one_line(asked.error())}})};
  const std::lock_guard lock(held->mutex);
  if (!held->exporter) return {409, dump({{"what", "no session of first rows runs"}})};
  const auto sums = held->exporter->sums(asked->session, asked->table, asked->parts, asked->split);
  if (!sums) return refusal(sums.error());
  return {200, dump({{"sums", postgres::links::text_of(sums->sums)}, {"rows", sums->rows}})};
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

namespace {

// Before a row is read: without an address for the link they would have come for nothing.
Result<std::string> link_address(const AgentConfig& config, const postgres::StoreSettings& settings,
                                 const replication::LinkName& inbound) {
  if (!config.sites.contains(inbound.from)) return fail(Kind::invalid_input, "no address of " + inbound.from);
  const auto address = settings.peers.find(inbound.from);
  if (address == settings.peers.end())
    return fail(Kind::invalid_input, "no address of " + inbound.from + " for links",
                fmt::format("agent.yaml: sites: {}: link: …", inbound.from));
  return address->second;
}

postgres::links::ImportOptions import_options(const replication::LinkName& inbound, const Log& log) {
  postgres::links::ImportOptions options;
  options.progress = [&log, inbound](const std::string& table, std::int64_t rows) {
    log.info("copy.progress", "first rows",
             {{Field::residency, inbound.residency}, {Field::table, table}, {Field::rows, rows}});
  };
  return options;
}

}  // namespace

Result<bool> bring_first_rows(const AgentConfig& config, const postgres::StoreSettings& settings,
                              const replication::LinkName& inbound, const Log& log) {
  const auto address = TRY(link_address(config, settings, inbound));
  auto connection = TRY(postgres::open_session(settings, "domicile-first-rows"));
  const auto link = postgres::link_spec(*settings.topology, inbound);
  RemoteSource source(config, inbound, false);
  const postgres::links::Sql sql(connection);
  const auto brought = postgres::links::import_first_rows(sql, link, source, import_options(inbound, log));
  if (source.taken()) return false;
  TRY(brought);
  CHECK_OK(postgres::links::ensure_subscription(sql, link, address));
  CHECK_OK(postgres::links::enable_subscription(sql, link));
  return true;
}

Result<Repair> repair_copy(const AgentConfig& config, const postgres::StoreSettings& settings,
                           const replication::LinkName& inbound, const Log& log,
                           postgres::links::RepairOptions options) {
  const auto address = TRY(link_address(config, settings, inbound));
  auto connection = TRY(postgres::open_session(settings, "domicile-repair"));
  const auto link = postgres::link_spec(*settings.topology, inbound);
  const postgres::links::Sql sql(connection);
  // Made anew behind the repair: what it had applied is of the slot that is replaced.
  CHECK_OK(postgres::links::drop_subscription(sql, link));
  RemoteSource source(config, inbound, true);
  options.import = import_options(inbound, log);
  options.progress = [&](const std::string& table, const std::string& what) {
    log.info("copy.repair", "comparing with the owner",
             {{Field::residency, inbound.residency}, {Field::table, table}, {Field::detail, what}});
  };
  Repair repair{TRY(postgres::links::repair_rows(sql, link, source, options)), source.bytes()};
  CHECK_OK(postgres::links::ensure_subscription(sql, link, address));
  CHECK_OK(postgres::links::enable_subscription(sql, link));
  return repair;
}

}  // namespace domicile::agent
