#include "cli/denial_words.hpp"

#include <algorithm>
#include <array>

#include "base/clock.hpp"
#include "cli/status_view.hpp"

namespace domicile::cli {
namespace {

// No '|' in these texts: they stand in tables.
constexpr std::array kGuard = std::to_array<Meaning>({
    {"DM001", "not owned here, lease over, epoch changed, or rows from elsewhere for an owned residency",
     "repeat it at the owner: `domicile status --writers`"},
    {"DM002", "the tenant is unknown or belongs to another residency", "`domicile tenant show TENANT`"},
    {"DM003", "an UPDATE of the residency",
     "a row's residency is that of its tenant, which `domicile tenant move` changes"},
    {"DM004", "TRUNCATE, which would empty all residencies", "use DELETE with a residency"},
    {"DM005", "a prepared transaction", "commit in one phase; `max_prepared_transactions = 0` in the portable form"},
    {"DM006", "the tenant is moving or has moved (tombstone)", "repeat it after the move"},
    {"DM007", "a stale lease command", "nothing: an agent that is behind has asked, and reads the record again"},
    {"DM008",
     "a value in a personal column, of a residency that this region may hold reduced only; or any row of one "
     "that it may not hold",
     "write it where the residency is held in full: `domicile explain table TABLE`"},
});

constexpr std::array kGateway = std::to_array<Meaning>({
    {"unknown_host", "no tenant has this host", "`domicile tenant show TENANT`; add the host, or correct the name"},
    {"no_snapshot", "the gateway has read no valid snapshot yet",
     "look at the agent of this region, which writes them: `domicile status`"},
    {"unknown_residency", "the tenant's residency has no record", "`domicile status`: nobody has owned it yet"},
    {"unlawful_here", "this region may not hold the residency in full",
     "let the client speak TLS with SNI: then it is passed on undecrypted; `domicile explain tenant TENANT`"},
    {"draining", "a planned switch is under way and the request could not wait", "repeat it in a moment"},
    {"moving", "a switch is under way and the request could not wait", "repeat it in a moment"},
    {"tenant_moving", "the tenant moves to another residency and the request could not wait", "repeat it in a moment"},
    {"down", "no region may own the residency at this moment", "`domicile status` says what it waits for"},
    {"unknown_mode", "the agent cannot tell who owns the residency", "`domicile status`: is there a quorum?"},
    {"lease_over", "this region owned the residency and did not renew its lease",
     "`domicile status`: another region takes over, or the quorum is gone"},
    {"forwarded_already", "a request that a peer has sent here, and the owner is elsewhere again",
     "repeat it: one of the two gateways is behind"},
    {"no_address", "the owner's gateway has no address here", "add it to `sites` in agent.yaml"},
    {"no_certificate", "the gateway has no certificate of the residency: the connection was closed undecrypted",
     "add it to `gateway.certificates` in agent.yaml, where the residency may be held in full"},
    {"host_is_not_sni", "host and SNI name two tenants", "open a connection for each host"},
    {"tenant_header", "the tenant header names another tenant than the host", "send the tenant that the host has"},
    {"hold_full", "a switch or a move is under way, and no request more could be held here", "repeat it in a moment"},
    {"hold_timeout", "a switch or a move took longer than requests are held", "`domicile status`; repeat it"},
    {"outcome_unknown", "the lease ended while the write was under way: done or not, nobody knows here",
     "read whether it is there before it is repeated"},
    {"no_answer", "it was sent and no answer came: done or not, nobody knows here",
     "read whether it is there before it is repeated; look at the application"},
    {"peer_unreachable", "the owner's gateway cannot be reached; nothing was done",
     "look at the network between the regions; repeat it"},
    {"application_unreachable", "the service behind this gateway cannot be reached; nothing was done",
     "look at the application; repeat it"},
});

const Meaning* named(std::span<const Meaning> words, std::string_view name) {
  const auto at = std::ranges::find(words, name, &Meaning::rule);
  return at == words.end() ? nullptr : &*at;
}

void add_words(Facts& facts, const Meaning* words) {
  facts.emplace_back("means", words == nullptr ? "not known to this version" : std::string(words->refuses));
  if (words != nullptr) facts.emplace_back("do", std::string(words->advice));
}

std::string or_unknown(const std::string& text) { return text.empty() ? "not known" : text; }

}  // namespace

std::span<const Meaning> guard_codes() { return kGuard; }
std::span<const Meaning> gateway_reasons() { return kGateway; }

Facts gate_denial(const Json& denial) {
  const auto rule = text_at(denial, "rule"), what = text_at(denial, "what"), region = text_at(denial, "region");
  Facts out{{"denial", text_at(denial, "id")},
            {"by", "the gate, SQLSTATE DM010"},
            {"when", iso8601(number_at(denial, "at_us").value_or(0))},
            {"who", region.empty() ? "not known: refused before its certificate was seen, or by it" : region},
            {"rule", rule},
            {"what", what}};
  const Meaning* cut = gate::cutting_rule(what);
  if (cut == nullptr) {
    add_words(out, gate::session_rule(rule));
    return out;
  }
  const Meaning* held = gate::session_rule(rule);
  if (held != nullptr) out.emplace_back("means", std::string(held->refuses));
  out.emplace_back("cut", std::string(cut->rule) + ": " + std::string(cut->refuses));
  std::string advice(cut->advice);
  if (held != nullptr) advice += "; then " + std::string(held->advice);
  out.emplace_back("do", std::move(advice));
  return out;
}

Facts agent_denial(const Json& denial) {
  Facts out{{"denial", text_at(denial, "id")},
            {"by", fmt::format("the agent's control API, {}", number_at(denial, "status").value_or(0))},
            {"when", iso8601(number_at(denial, "at_us").value_or(0))},
            {"who", or_unknown(text_at(denial, "who"))},
            {"asked", text_at(denial, "asked")},
            {"rule", or_unknown(text_at(denial, "rule"))},
            {"means", text_at(denial, "what")}};
  if (const auto fix = text_at(denial, "fix"); !fix.empty()) out.emplace_back("do", fix);
  return out;
}

Facts gateway_denial(const Json& line) {
  Facts out{
      {"denial", text_at(line, "denial")},
      {"by", fmt::format("the gateway, {}{}", line.contains("method") ? "" : "a connection that it did not decrypt, ",
                         number_at(line, "status").value_or(0))},
      {"when", text_at(line, "time")},
      {"tenant", or_unknown(text_at(line, "tenant"))},
      {"residency", or_unknown(text_at(line, "residency"))},
      {"epoch", or_unknown(text_at(line, "epoch"))},
      {"decision", text_at(line, "decision")},
      {"rule", text_at(line, "reason")}};
  add_words(out, named(kGateway, text_at(line, "reason")));
  return out;
}

Facts guard_denial(const std::string& id, const std::string& line) {
  const std::string before = "domicile: denial " + id + ": ";
  const auto at = line.find(before);
  const auto text = at == line.npos ? std::string() : line.substr(at + before.size());
  const auto code = text.substr(0, 5);
  auto logged = line.substr(0, at);
  logged.erase(logged.find_last_not_of(' ') + 1);
  Facts out{{"denial", id},
            {"by", "the write guard in the database, SQLSTATE " + code},
            {"logged", std::move(logged)},
            {"what", text.size() > 7 ? text.substr(7) : text}};
  add_words(out, named(kGuard, code));
  return out;
}

Facts unlogged_guard_denial(const std::string& id) {
  return {{"denial", id},
          {"by", "the write guard in the database"},
          {"do",
           "its SQLSTATE says the class (domicile explain denial DM00x); table and reason stand in PostgreSQL's log "
           "beside the id: domicile explain denial " +
               id + " --log FILE"}};
}

Facts code_facts(const std::string& code) {
  if (code == "DM010")
    return {{"code", code},
            {"by", "the gate"},
            {"means", "a peer's session was refused by one of the gate's rules"},
            {"do", "its message names a denial: domicile explain denial g-…"}};
  const Meaning* words = named(kGuard, code);
  if (words == nullptr) return {};
  Facts out{{"code", code}, {"by", "the write guard in the database"}};
  add_words(out, words);
  return out;
}

std::string facts_text(const Facts& facts, bool colour) {
  std::string out;
  for (const auto& [name, text] : facts)
    out += colour ? fmt::format("\033[1m{:<10}\033[0m {}\n", name, text) : fmt::format("{:<10} {}\n", name, text);
  return out;
}

Json facts_json(const Facts& facts) {
  Json out = Json::object();
  for (const auto& [name, text] : facts) out[name] = text;
  return out;
}

}  // namespace domicile::cli
