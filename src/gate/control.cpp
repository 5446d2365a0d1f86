#include "gate/control.hpp"

#include <algorithm>

#include "base/json.hpp"
#include "core/authority/record.hpp"

namespace domicile::gate {
namespace {

HttpReply reply(const Json& json, int status = 200) { return {status, dump(json)}; }

HttpReply refuse(const Error& error) {
  const int status = error.kind == Kind::invalid_input ? 400
                     : error.kind == Kind::refused     ? 403
                     : error.kind == Kind::conflict    ? 409
                                                       : 500;
  return reply({{"what", one_line(error)}, {"fix", error.fix}, {"code", error.id}, {"kind", name_of(error.kind)}},
               status);
}

// `lag_ms`: by how much what the peer confirmed trails what has left, on the owner's clock; null: not known.
Json json_of(const Progress& progress) {
  const bool known = progress.confirmed_clock != 0;
  return {{"sent", authority::lsn_text(progress.sent)},
          {"confirmed", authority::lsn_text(progress.confirmed)},
          {"epoch", progress.epoch},
          {"marker_us", progress.sent_clock},
          {"confirmed_marker_us", progress.confirmed_clock},
          {"lag_ms", known ? Json((progress.sent_clock - progress.confirmed_clock) / 1000) : Json()}};
}

Json links(Gate& gate) {
  const auto held = gate.book().held();
  const auto progress = gate.book().progress();
  Json out = Json::array();
  for (const auto& link : gate.book().links()) {
    Json tables = Json::object();
    for (const auto& table : link.rule.tables) tables[table.qualified()] = table.columns;
    Json why;
    for (const auto& one : held)
      if (one.link == link.rule.link)
        why = {{"rule", one.rule}, {"what", one.what}, {"at_us", one.at}, {"fresh_slot", one.fresh_slot}};
    const auto at = progress.find(link.rule.link);
    const auto stop = gate.book().stops_at(link.rule.link);
    out.push_back({{"link", link.rule.link},
                   {"progress", at == progress.end() ? Json() : json_of(at->second)},
                   {"stops_at", stop ? Json(authority::lsn_text(*stop)) : Json()},
                   {"residency", link.rule.residency},
                   {"to", link.to},
                   {"form", link.form},
                   {"streams", gate.book().in_use(link.rule.link)},
                   {"tables", tables},
                   {"held", why}});
  }
  return out;
}

Json transfers(Gate& gate) {
  Json out = Json::array();
  for (const auto& one : gate.book().transfers().all())
    out.push_back({{"link", one.link},
                   {"table", one.table},
                   {"form", one.form},
                   {"rows", one.rows},
                   {"bytes", one.bytes},
                   {"first_at_us", one.first_at},
                   {"last_at_us", one.last_at},
                   {"position", authority::lsn_text(one.position)}});
  return out;
}

Json json_of(const Denial& denial) {
  return {{"id", denial.id},
          {"region", denial.region.empty() ? Json() : Json(denial.region)},
          {"rule", denial.rule},
          {"what", denial.what},
          {"at_us", denial.at}};
}

Json denials(Gate& gate) {
  Json out = Json::array();
  for (const auto& one : gate.book().denials().all()) out.push_back(json_of(one));
  return out;
}

HttpReply denial(Gate& gate, const std::string& id) {
  if (const auto found = gate.book().denials().find(id)) return reply(json_of(*found));
  return reply({{"what", "this gate remembers no denial " + id},
                {"fix", "ask the gate that refused; the last thousand are kept, older ones are in its log"},
                {"code", "DOM-E701"},
                {"kind", "invalid_input"}},
               404);
}

Result<Json> resume(Gate& gate, const Log& log, const std::string& body) {
  const Json order = TRY(parse_json(body, "the order"));
  const auto link = TRY(member<std::string>(order, "link"));
  const auto reason = TRY(member<std::string>(order, "reason"));
  const auto by = TRY(member<std::string>(order, "by"));
  if (reason.empty()) return fail(Kind::invalid_input, "a reason is missing", "say what you have looked at");
  const bool fresh_slot = TRY(member_or<bool>(order, "fresh_slot", false));
  const Held was = TRY(gate.book().resume(link, by, reason, fresh_slot));
  log.warn("gate.resumed", "a person lets a held link go on", {{Field::link, link}, {Field::code, was.rule}});
  return Json{{"link", link}, {"rule", was.rule}, {"what", was.what}, {"fresh_slot", fresh_slot}};
}

Result<Json> released(Gate& gate, const std::string& body) {
  const Json order = TRY(parse_json(body, "the order"));
  const auto link = TRY(member<std::string>(order, "link"));
  CHECK_OK(gate.book().released(link));
  return Json{{"link", link}};
}

Result<Json> stop(Gate& gate, const std::string& body) {
  const Json order = TRY(parse_json(body, "the order"));
  const auto link = TRY(member<std::string>(order, "link"));
  const auto at = TRY(member<std::string>(order, "at"));
  const auto lsn = authority::lsn_of(at);
  if (!lsn) return fail(Kind::invalid_input, "'at' is no log position");
  CHECK_OK(gate.book().stop(link, *lsn));
  return Json{{"link", link}, {"stops_at", at}};
}

Result<Json> go(Gate& gate, const std::string& body) {
  const Json order = TRY(parse_json(body, "the order"));
  const auto link = TRY(member<std::string>(order, "link"));
  CHECK_OK(gate.book().go(link));
  return Json{{"link", link}};
}

Result<std::vector<std::string>> columns_in(std::string_view line) {
  const auto list = parse_json(line, "the columns");
  if (!list || !list->is_array() || !std::ranges::all_of(*list, [](const Json& name) { return name.is_string(); }))
    return fail(Kind::invalid_input, "the first line is no JSON list of the rows' columns");
  return list->get<std::vector<std::string>>();
}

// LINK/SCHEMA.TABLE
Result<Json> first_rows(Gate& gate, std::string_view rest, std::string_view piece) {
  const auto slash = rest.find('/'), end = piece.find('\n');
  if (slash == std::string_view::npos) return fail(Kind::invalid_input, "write LINK/SCHEMA.TABLE");
  const std::string link(rest.substr(0, slash));
  const auto table = rest.substr(slash + 1);
  const auto columns = TRY(columns_in(piece.substr(0, end)));
  CHECK_OK(gate.book().match(link, table, columns));
  piece.remove_prefix(end == std::string_view::npos ? piece.size() : end + 1);
  return Json{{"rows", TRY(gate.book().pass(link, table, piece))}};
}

}  // namespace

HttpReply answer(Gate& gate, const std::string& policy, const Log& log, const HttpCall& call) {
  if (call.method == "GET" && call.path == "/healthz") return reply({{"ok", true}});
  if (call.method == "GET" && call.path == "/v1/policy") return reply({{"policy", policy}});
  if (call.method == "GET" && call.path == "/v1/links") return reply(links(gate));
  if (call.method == "GET" && call.path == "/v1/transfers") return reply(transfers(gate));
  if (call.method == "GET" && call.path == "/v1/denials") return reply(denials(gate));
  constexpr std::string_view kDenials = "/v1/denials/";
  if (call.method == "GET" && call.path.starts_with(kDenials)) return denial(gate, call.path.substr(kDenials.size()));
  constexpr std::string_view kFirstRows = "/v1/first-rows/";
  if (call.method == "POST" && call.path.starts_with(kFirstRows)) {
    const auto done = first_rows(gate, std::string_view(call.path).substr(kFirstRows.size()), call.body);
    return done ? reply(*done) : refuse(done.error());
  }
  if (call.method == "POST" && call.path == "/v1/links/resume") {
    const auto done = resume(gate, log, call.body);
    return done ? reply(*done) : refuse(done.error());
  }
  if (call.method == "POST" && call.path == "/v1/links/released") {
    const auto done = released(gate, call.body);
    return done ? reply(*done) : refuse(done.error());
  }
  if (call.method == "POST" && (call.path == "/v1/links/stop" || call.path == "/v1/links/go")) {
    const auto done = call.path == "/v1/links/stop" ? stop(gate, call.body) : go(gate, call.body);
    return done ? reply(*done) : refuse(done.error());
  }
  return reply({{"what", "there is no such page"}, {"kind", "invalid_input"}}, 404);
}

}  // namespace domicile::gate
