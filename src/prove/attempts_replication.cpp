// A hostile peer with the certificate of the forbidden region's links, at the gate of home; and first rows.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>

#include "core/residency/links.hpp"
#include "prove/ground.hpp"
#include "prove/hostile.hpp"

namespace domicile::prove {
namespace {

std::string with_role(const Ground& ground, const std::string& more) {
  return ground.config.sites.at(ground.home).link + " " + more;
}
std::string link_of(const Ground& ground) { return residency::link_name(ground.residency, ground.home, ground.here); }
std::string stream(const std::string& slot, const std::string& publication,
                   const std::string& more = "proto_version '3'") {
  return fmt::format("START_REPLICATION SLOT \"{}\" LOGICAL 0/0 ({}, publication_names '\"{}\"')", slot, more,
                     publication);
}

// "domicile gate: refused by rule RULE: …". What the gate remembers of it must say the same.
std::optional<Outcome> told_outcome(const Ground& ground, const std::string& told, const std::string& seen) {
  constexpr std::string_view kBy = "refused by rule ";
  const auto at = told.find(kBy);
  const std::string id = denial_in(told);
  if (at == std::string::npos || id.empty()) return {};
  const std::string rule = told.substr(at + kBy.size(), told.find(':', at) - at - kBy.size());
  const auto kept = rule_of_denial(ground, ground.home, id);
  if (!kept) return in_trouble(one_line(kept.error()));
  if (*kept != rule) return in_trouble("the gate told the rule " + rule + " and remembers " + *kept);
  return refused_by(rule, id, seen);
}

// Who was refused before there was a session to say it in finds it at the gate alone.
Outcome gate_outcome(const Ground& ground, const std::string& told, const std::string& seen, Micros since) {
  if (const auto outcome = told_outcome(ground, told, seen)) return *outcome;
  std::optional<Denied> last;
  eventually(3 * kSecond, [&] { return (last = last_denial(ground, ground.home, since)).has_value(); });
  if (!last) return in_trouble("neither the peer nor the gate was told a rule");
  return refused_by(last->rule, last->id, seen);
}

// The lawful session beside it: who is refused everything shows nothing.
bool lawful_session_answers(const Ground& ground) {
  HostilePeer peer(with_role(ground, "replication=database"));
  return peer.open() && peer.ask("IDENTIFY_SYSTEM").state == "ok";
}

Outcome say(const Ground& ground, const std::string& sql) {
  const Micros begin = wall_now();
  HostilePeer peer(with_role(ground, "replication=database"));
  if (!peer.open()) return in_trouble("no session: " + peer.message());
  const auto answer = peer.ask(sql);
  if (answer.state == "ok") return went_through(answer.seen);
  if (answer.state != "DM010") return in_trouble("the gate answers " + answer.state);
  if (!lawful_session_answers(ground)) return in_trouble("the gate refuses a lawful session as well");
  return gate_outcome(ground, answer.seen + peer.message(), answer.seen, begin);
}

// A session that should not even begin. TLS 1.3: a client learns from its first read what became of its certificate.
Outcome knock(const Ground& ground, const std::string& conninfo) {
  const Micros begin = wall_now();
  HostilePeer peer(conninfo);
  std::string told = peer.message(), seen;
  if (peer.open()) {
    const auto answer = peer.ask("SELECT customer_name, customer_email FROM app.orders");
    if (answer.state == "ok") return went_through(answer.seen);
    told += answer.seen + peer.message(), seen = answer.seen;
  }
  if (!lawful_session_answers(ground)) return in_trouble("the gate refuses a lawful session as well");
  return gate_outcome(ground, told, seen, begin);
}

using Words = std::function<std::string(const Ground&, const Target&)>;

Attempt saying(const char* id, const char* what, const char* rule, bool quick, Words words) {
  return {id,
          Layer::replication,
          what,
          {rule},
          quick,
          false,
          [words = std::move(words)](const Ground& ground, const Target& target) {
            return say(ground, words(ground, target));
          }};
}
Attempt knocking(const char* id, const char* what, const char* rule, bool quick, Words conninfo) {
  return {id,
          Layer::replication,
          what,
          {rule},
          quick,
          false,
          [conninfo = std::move(conninfo)](const Ground& ground, const Target& target) {
            return knock(ground, conninfo(ground, target));
          }};
}

enum class Door { open, closed, silent };
Door door_at(const std::string& address, int port) {
  const Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const timeval patience{3, 0};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  sockaddr_in to{};
  to.sin_family = AF_INET, to.sin_port = htons(static_cast<std::uint16_t>(port));
  ::inet_pton(AF_INET, address.c_str(), &to.sin_addr);
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&to), sizeof to) == 0) return Door::open;
  return errno == ECONNREFUSED ? Door::closed : Door::silent;
}

std::string value_in(const std::string& conninfo, const std::string& key) {
  const auto at = conninfo.find(key + "=");
  if (at == std::string::npos) return {};
  const auto begin = at + key.size() + 1;
  return conninfo.substr(begin, conninfo.find(' ', begin) - begin);
}

// Past the gate, to the PostgreSQL behind it.
Outcome past_the_gate(const Ground& ground, const Target&) {
  const std::string link = ground.config.sites.at(ground.home).link, address = value_in(link, "host");
  if (door_at(address, std::atoi(value_in(link, "port").c_str())) != Door::open)
    return in_trouble("not even the gate can be reached");
  // One network for all: there nothing but its own rules keeps PostgreSQL's door.
  if (ground.field->flat()) {
    HostilePeer peer(with_role(ground, fmt::format("port={} replication=database", lab::postgres + ground.base)));
    return peer.open() ? went_through() : refused_by("no_login", {}, peer.message());
  }
  switch (door_at(address, lab::postgres)) {
    case Door::open:
      return went_through();
    case Door::closed:
      return refused_by("no_way");
    case Door::silent:
      break;
  }
  return in_trouble("neither a way nor a refusal");
}

// ---- first rows, by the agents' API

Attempt fetching(const char* id, const char* what, std::vector<std::string> rules, bool quick,
                 std::function<Result<HttpResponse>(const Ground&)> ask) {
  return {id,
          Layer::first_rows,
          what,
          std::move(rules),
          quick,
          false,
          [ask = std::move(ask)](const Ground& ground, const Target&) { return outcome_of(ask(ground)); }};
}

// Rows with the personal columns, which the link's role may not read. Without a session nothing is sent at all; with
// one of the link's own the columns are compared with the link's.
Outcome personal_rows(const Ground& ground, const Target&) {
  const std::string path = "/v1/first-rows/" + ground.residency + "/rows";
  const auto answer = ask_api(ground, ground.home, own_certificate(ground, "site"), "POST", path,
                              dump({{"session", "prove"},
                                    {"schema", "app"},
                                    {"name", "orders"},
                                    {"columns", {"residency", "tenant_id", "id", "customer_name", "customer_email"}}}));
  if (answer && answer->status < 400 && answer->body.empty()) return refused_by("no_rows");
  if (answer) return outcome_of(answer);
  // The answer begins before its rows are asked for: it breaks off where none may go.
  const auto alive = ask_api(ground, ground.home, own_certificate(ground, "site"), "GET", "/v1/status");
  if (!alive || alive->status != 200) return in_trouble(one_line(answer.error()));
  return refused_by("no_rows");
}

}  // namespace

std::vector<Attempt> replication_attempts() {
  const auto fixed = [](std::string words) { return [words](const Ground&, const Target&) { return words; }; };
  std::vector<Attempt> all = {
      saying("replication.select", "a SELECT of the personal columns", "statement", true,
             [](const Ground&, const Target& target) {
               return "SELECT customer_name, customer_email FROM app.orders WHERE id = '" + target.order + "'";
             }),
      saying("replication.copy", "a COPY of them, as a subscription's initial copy", "statement", true,
             fixed("COPY app.orders (id, customer_name, customer_email) TO STDOUT")),
      saying("replication.two_statements", "a lawful statement with another behind it", "statement", false,
             fixed("SELECT pg_catalog.set_config('search_path', '', false); SELECT customer_email FROM app.orders")),
      saying("replication.read_file", "a file of the server", "statement", false,
             fixed("SELECT pg_read_binary_file('base/1/1259')")),
      saying("replication.peek", "a look into a slot by SQL", "statement", false,
             [](const Ground& g, const Target&) {
               return "SELECT pg_logical_slot_peek_changes('" + link_of(g) + "', NULL, NULL)";
             }),
      saying("replication.own_slot", "a slot of its own, with a plugin that knows no publication", "statement", true,
             fixed("CREATE_REPLICATION_SLOT prove TEMPORARY LOGICAL test_decoding")),
      saying("replication.snapshot", "a slot that exports its snapshot", "statement", false,
             fixed("CREATE_REPLICATION_SLOT prove TEMPORARY LOGICAL pgoutput (SNAPSHOT 'use')")),
      saying("replication.salvage_slot", "the slot of a standby, which gets all columns", "slot", true,
             [](const Ground& g, const Target&) {
               const auto* rules = topology::residency_of(g.field->topology(), g.residency);
               const std::string standby = rules->standby.empty() ? "prove" : rules->standby[0].str();
               return stream(residency::link_name(g.residency, g.home, standby), link_of(g));
             }),
      saying("replication.salvage_publication", "its own slot, with the publication of all columns", "publication",
             true,
             [](const Ground& g, const Target&) {
               return stream(link_of(g), residency::salvage_publication(g.residency));
             }),
      saying("replication.two_publications", "its own publication and another beside it", "publication", false,
             [](const Ground& g, const Target&) {
               return stream(link_of(g), link_of(g) + "\",\"" + residency::salvage_publication(g.residency));
             }),
      saying("replication.messages", "logical messages beside the rows", "option", false,
             [](const Ground& g, const Target&) {
               return stream(link_of(g), link_of(g), "proto_version '3', messages 'true'");
             }),
      saying("replication.physical", "the log as blocks", "physical", true, fixed("START_REPLICATION PHYSICAL 0/0")),
      saying("replication.base_backup", "a base backup", "physical", true, fixed("BASE_BACKUP")),
      knocking("replication.other_role", "the role of a region that may hold it in full", "startup", true,
               [](const Ground& g, const Target&) {
                 const auto* rules = topology::residency_of(g.field->topology(), g.residency);
                 std::string role = "domicile_link_" + (rules->standby.empty() ? g.home : rules->standby[0].str());
                 std::ranges::replace(role, '-', '_');
                 return with_role(g, "replication=database user=" + role);
               }),
      knocking("replication.superuser", "a superuser", "startup", false,
               [](const Ground& g, const Target&) { return with_role(g, "replication=database user=postgres"); }),
      knocking("replication.session", "an ordinary session", "startup", true,
               [](const Ground& g, const Target&) { return with_role(g, ""); }),
      knocking("replication.no_certificate", "no certificate at all", "certificate", false,
               [](const Ground& g, const Target&) {
                 return with_role(g, "replication=database sslmode=require sslcert=/nonexistent sslkey=/nonexistent");
               }),
      knocking("replication.clear", "no TLS", "tls", false,
               [](const Ground& g, const Target&) { return with_role(g, "replication=database sslmode=disable"); }),
  };
  all.push_back({"replication.past_the_gate",
                 Layer::replication,
                 "PostgreSQL itself, past the gate",
                 {"no_way", "no_login"},
                 true,
                 false,
                 past_the_gate});
  all.push_back(
      fetching("first_rows.session", "first rows of a link that has them already", {"409"}, true, [](const Ground& g) {
        return ask_api(g, g.home, own_certificate(g, "site"), "POST", "/v1/first-rows/" + g.residency, "{}");
      }));
  all.push_back({"first_rows.personal",
                 Layer::first_rows,
                 "first rows with the personal columns",
                 {"no_rows"},
                 true,
                 false,
                 personal_rows});
  all.push_back(fetching(
      "first_rows.operator", "first rows by an operator's certificate", {"DOM-E610"}, false, [](const Ground& g) {
        return ask_api(g, g.home, client_certificate(g, "operate"), "POST", "/v1/first-rows/" + g.residency, "{}");
      }));
  all.push_back(fetching(
      "first_rows.link", "first rows by the certificate of the links", {"DOM-E610"}, false, [](const Ground& g) {
        return ask_api(g, g.home, own_certificate(g, "link"), "POST", "/v1/first-rows/" + g.residency, "{}");
      }));
  return all;
}

}  // namespace domicile::prove
