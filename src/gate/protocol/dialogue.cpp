#include "gate/protocol/dialogue.hpp"

#include <algorithm>

#include "core/authority/record.hpp"

namespace domicile::gate {
namespace {

constexpr std::string_view kSearchPath = "SELECT pg_catalog.set_config('search_path', '', false);";
constexpr std::string_view kIdentify = "IDENTIFY_SYSTEM";

// PostgreSQL 15 as recorded on the wire (src/backend/commands/subscriptioncmds.c): the blanks are part of it, and the
// tabs that its log shows are not. What another major version sends is one more of these.
struct Wording {
  std::string_view publication, tables, slot, options;
};
constexpr Wording kVersion15{
    "SELECT t.pubname FROM\n pg_catalog.pg_publication t WHERE\n t.pubname IN ('{}')",
    "SELECT DISTINCT t.schemaname, t.tablename \n, t.attnames\nFROM pg_catalog.pg_publication_tables t\n WHERE "
    "t.pubname IN ('{}')",
    "START_REPLICATION SLOT \"{}\" LOGICAL ", " (proto_version '3', publication_names '\"{}\"')"};
constexpr const Wording* kVersions[] = {&kVersion15};

// The name that stands where `pattern` has its braces; empty when the text is another one.
std::optional<std::string_view> name_in(std::string_view text, std::string_view pattern) {
  const auto at = pattern.find("{}");
  const auto before = pattern.substr(0, at), after = pattern.substr(at + 2);
  if (text.size() <= before.size() + after.size() || !text.starts_with(before) || !text.ends_with(after)) return {};
  return text.substr(before.size(), text.size() - before.size() - after.size());
}

bool of_peer(const PeerRule& peer, std::string_view name) {
  return std::ranges::find(peer.links, name) != peer.links.end();
}

// A slot's name ends at its quote; our links' names hold none.
Judged judge_start(const PeerRule& peer, std::string_view text, const Wording& words) {
  const auto head = words.slot.substr(0, words.slot.find("{}"));
  const auto tail = words.slot.substr(words.slot.find("{}") + 2);
  text.remove_prefix(head.size());
  const auto quote = text.find('"');
  const auto slot = text.substr(0, quote);
  if (quote == std::string_view::npos || !of_peer(peer, slot))
    return Refused{Refusal::slot, "this slot is of no link of " + peer.region};
  text.remove_prefix(quote);
  if (text.starts_with("\" PHYSICAL")) return Refused{Refusal::physical, "no physical replication"};
  if (!text.starts_with(tail)) return Refused{Refusal::option, "only logical replication by a link's slot"};
  text.remove_prefix(tail.size());
  const auto blank = text.find(' ');
  const auto from = authority::lsn_of(text.substr(0, blank));
  if (blank == std::string_view::npos || !from) return Refused{Refusal::statement, "no position to start from"};
  text.remove_prefix(blank);
  const auto published = name_in(text, words.options);
  if (!published) return Refused{Refusal::option, "only protocol version 3 of a link's own publication, without more"};
  if (*published != slot) return Refused{Refusal::publication, "this publication is not the slot's own"};
  return Statement{Statement::Kind::start, std::string(slot), *from};
}

Judged judge_question(const PeerRule& peer, std::string_view publication) {
  if (of_peer(peer, publication)) return Statement{};
  return Refused{Refusal::publication, "this publication is of no link of " + peer.region};
}

bool speaks_of_physical(std::string_view text) {
  constexpr std::string_view kWords[] = {"BASE_BACKUP", "START_REPLICATION", "TIMELINE_HISTORY"};
  for (const auto word : kWords)
    if (text.starts_with(word)) return true;
  return false;
}

}  // namespace

std::string_view name_of(Refusal refusal) {
  constexpr std::string_view names[] = {"tls",         "certificate", "startup",  "statement", "slot",
                                        "publication", "option",      "physical", "message",   "size",
                                        "cancel",      "silent",      "held",     "busy",      "ended"};
  return names[static_cast<std::size_t>(refusal)];
}

std::optional<Refused> judge_startup(const PeerRule& peer, const FirstMessage& first) {
  std::string role, database;
  bool replication = false;
  for (const auto& [name, value] : first.parameters) {
    if (name == "user") {
      role = value;
    } else if (name == "database") {
      database = value;
    } else if (name == "replication") {
      // The one kind of session whose every statement is known; `true` would be physical.
      if (value != "database") return Refused{Refusal::physical, "only sessions with replication=database"};
      replication = true;
    } else if (name.starts_with("_pq_.")) {
      return Refused{Refusal::startup, "no protocol extensions"};
    }
    // Everything else (client_encoding, datestyle, options, application_name …) is replaced, not passed on.
  }
  if (!replication) return Refused{Refusal::startup, "no ordinary session: only replication=database"};
  if (role != peer.role || database != peer.database)
    return Refused{Refusal::startup, "this role and database are not those of the links to " + peer.region};
  return {};
}

Judged judge_statement(const PeerRule& peer, std::string_view text) {
  if (text == kSearchPath || text == kIdentify) return Statement{};
  for (const Wording* words : kVersions) {
    if (const auto name = name_in(text, words->publication)) return judge_question(peer, *name);
    if (const auto name = name_in(text, words->tables)) return judge_question(peer, *name);
    if (text.starts_with(words->slot.substr(0, words->slot.find("{}")))) return judge_start(peer, text, *words);
  }
  if (speaks_of_physical(text)) return Refused{Refusal::physical, "no physical replication and no backups"};
  return Refused{Refusal::statement, "no statement that a subscription of ours sends"};
}

std::variant<PeerMessage, Refused> judge_message(char type, bool streaming) {
  switch (type) {
    case 'X':
      return PeerMessage::terminate;
    case 'Q':
      if (!streaming) return PeerMessage::query;
      break;
    case 'd':
      if (streaming) return PeerMessage::copy_data;
      break;
    case 'c':
      if (streaming) return PeerMessage::copy_done;
      break;
    default:
      break;
  }
  return Refused{Refusal::message, fmt::format("a message of type {:#04x}, which a subscription does not send here",
                                               static_cast<unsigned>(static_cast<std::uint8_t>(type)))};
}

}  // namespace domicile::gate
