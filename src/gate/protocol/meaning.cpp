#include "gate/protocol/meaning.hpp"

#include <algorithm>
#include <array>

namespace domicile::gate {
namespace {

// Texts stand in a table of docs/gate.md: no '|' in them.
constexpr std::array kSession = std::to_array<Meaning>({
    {"tls", "a session in the clear, or bytes before the handshake", "connect with `sslmode=verify-full`"},
    {"certificate", "none, another authority's, a revoked one, or one of no region that has links",
     "give the peer a certificate of the regions' authority whose name is its link's role; look at the list of revoked "
     "ones"},
    {"startup", "another role or database, or an ordinary session",
     "use the link's own connection string: role `domicile_link_REGION`, the links' database"},
    {"statement", "any other statement, function, COPY, several in one, making or dropping a slot",
     "nothing, if it was a person: the gate is for subscriptions only; a subscription that says it is of another "
     "version than PostgreSQL 15"},
    {"slot", "a slot that is not one of the peer's links'",
     "look at the peer's subscription: its slot is called as the link"},
    {"publication", "a publication that is not the one of the peer's link",
     "look at the peer's subscription: its publication is called as the link"},
    {"option", "another version, `binary`, `streaming`, `two_phase`, `messages`",
     "make the subscription by `domicile apply`"},
    {"physical", "physical replication, base backups, timeline histories",
     "nothing crosses a border as blocks: keep backups and physical standbys inside of the region"},
    {"message",
     "the extended protocol, function calls, COPY data before the stream; a subscriber that says it has more than it "
     "was sent",
     "a subscriber that is ahead of its source has another history: `domicile status` at both ends"},
    {"size", "messages that are too long, cut short or not well formed",
     "look at who connects there: no PostgreSQL does that"},
    {"cancel", "a cancel request: nobody is told a key", "end the subscription at its own end"},
    {"silent", "ten seconds without a whole message before the stream", "look at the network between the regions"},
    {"busy",
     "a second stream of a link, or more connections of one region than it needs; of those without a certificate the "
     "oldest is closed",
     "wait: a dead stream is noticed within seconds; else look for a second subscription of the same link"},
    {"held", "a link that was cut and that nobody has looked at",
     "`domicile link list`; mend what let too much out, then `domicile link resume LINK --reason …`"},
    {"ended", "a link of a residency that this region does not own any more: its log tells the new owner's rows",
     "nothing: the peer's agent follows the new owner as soon as it reaches the quorum"},
});

constexpr std::array kRows = std::to_array<Meaning>({
    {"message", "what is not well formed", "look at the server behind the gate: it is of another version"},
    {"kind", "pieces of streamed or prepared transactions, logical messages",
     "no link asks for those: look at who made the slot"},
    {"order", "what is outside of its transaction", "look at the server behind the gate: it is of another version"},
    {"table", "a table that the link does not carry",
     "`domicile plan`: the publication has a table that is not mapped, or the gate runs with an older topology"},
    {"column", "a column that its form does not let out",
     "`domicile plan`: the publication lets out more than the topology does, or the gate runs with an older one"},
    {"residency-column", "rows that cannot be judged, because the residency's column is missing",
     "`domicile plan`: put the column into the publication and the replica identity"},
    {"relation", "rows of a table that was not described", "look at the server behind the gate"},
    {"shape", "rows with other columns than their table, or in another order",
     "look at the server behind the gate; of first rows: the agent runs with another topology than the gate"},
    {"binary", "a value in binary form", "look at the subscription: `binary` must be off"},
    {"residency", "a row of another residency, or one that does not show it",
     "`domicile plan`: the publication's row filter is missing or another one"},
    {"old-residency", "the same of the old row of an UPDATE or DELETE",
     "`domicile plan`: the replica identity must hold the residency, and the guard must be there"},
    {"truncate", "TRUNCATE, which names no residency",
     "use DELETE with a residency; `domicile plan`: the guard is off"},
    {"size", "a row larger than `largest_row_mb`, which cannot be judged as a whole",
     "look at what wrote such a row; raise `largest_row_mb` of gate.yaml, start the gate again, and resume the link"},
});

const Meaning* named(std::span<const Meaning> rules, std::string_view name) {
  const auto at = std::ranges::find(rules, name, &Meaning::rule);
  return at == rules.end() ? nullptr : &*at;
}

}  // namespace

std::span<const Meaning> session_rules() { return kSession; }
std::span<const Meaning> row_rules() { return kRows; }
const Meaning* session_rule(std::string_view name) { return named(kSession, name); }
const Meaning* row_rule(std::string_view name) { return named(kRows, name); }

const Meaning* cutting_rule(std::string_view sentence) {
  constexpr std::string_view kBy = " by rule ";
  const auto at = sentence.find(kBy);
  if (at == sentence.npos) return nullptr;
  const auto rest = sentence.substr(at + kBy.size());
  return row_rule(rest.substr(0, rest.find_first_of(": ")));
}

}  // namespace domicile::gate
