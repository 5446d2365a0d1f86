#include "gate/control.hpp"

#include "base/json.hpp"
#include "core/authority/record.hpp"

namespace domicile::gate {
namespace {

HttpReply reply(const Json& json, int status = 200) { return {status, dump(json)}; }

HttpReply refuse(const Error& error) {
  const int status = error.kind == Kind::invalid_input ? 400 : error.kind == Kind::conflict ? 409 : 500;
  return reply({{"what", one_line(error)}, {"fix", error.fix}, {"code", error.id}, {"kind", name_of(error.kind)}},
               status);
}

Json links(Gate& gate) {
  const auto held = gate.book().held();
  Json out = Json::array();
  for (const auto& link : gate.book().links()) {
    Json tables = Json::object();
    for (const auto& table : link.rule.tables) tables[table.qualified()] = table.columns;
    Json why;
    for (const auto& one : held)
      if (one.link == link.rule.link) why = {{"rule", one.rule}, {"what", one.what}, {"at_us", one.at}};
    out.push_back({{"link", link.rule.link},
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

Json denials(Gate& gate) {
  Json out = Json::array();
  for (const auto& one : gate.book().denials())
    out.push_back({{"id", one.id},
                   {"region", one.region.empty() ? Json() : Json(one.region)},
                   {"rule", one.rule},
                   {"what", one.what},
                   {"at_us", one.at}});
  return out;
}

Result<Json> resume(Gate& gate, const Log& log, const std::string& body) {
  const Json order = TRY(parse_json(body, "the order"));
  const auto link = TRY(member<std::string>(order, "link"));
  const auto reason = TRY(member<std::string>(order, "reason"));
  const auto by = TRY(member<std::string>(order, "by"));
  if (reason.empty()) return fail(Kind::invalid_input, "a reason is missing", "say what you have looked at");
  const Held was = TRY(gate.book().resume(link));
  log.warn("gate.resumed", "a person lets a held link go on",
           {{Field::link, link}, {Field::code, was.rule}, {Field::owner, by}, {Field::reason, reason}});
  return Json{{"link", link}, {"rule", was.rule}, {"what", was.what}};
}

}  // namespace

HttpReply answer(Gate& gate, const Log& log, const HttpCall& call) {
  if (call.method == "GET" && call.path == "/healthz") return reply({{"ok", true}});
  if (call.method == "GET" && call.path == "/v1/links") return reply(links(gate));
  if (call.method == "GET" && call.path == "/v1/transfers") return reply(transfers(gate));
  if (call.method == "GET" && call.path == "/v1/denials") return reply(denials(gate));
  if (call.method == "POST" && call.path == "/v1/links/resume") {
    const auto done = resume(gate, log, call.body);
    return done ? reply(*done) : refuse(done.error());
  }
  return reply({{"what", "there is no such page"}, {"kind", "invalid_input"}}, 404);
}

}  // namespace domicile::gate
