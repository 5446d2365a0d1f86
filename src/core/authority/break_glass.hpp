// Opening a residency without a quorum, on a person's word: may it be, and as what? Pure.
//
// Without a quorum nobody can be told that an epoch is over. What stands in for it: each other site either answers that
// it neither writes nor sees a quorum, or a person says, by name, how it is known that the site cannot write.
#pragma once
#include "core/authority/decision.hpp"

namespace domicile::authority {

// What is known of another site at this moment.
struct GlassSite {
  std::string region;
  bool answered = false;        // its agent answered just now; the rest of this line is what it said
  bool quorum_answers = false;  // the quorum answers it
  bool lease_open = false;      // it holds a lease of this residency
  Epoch known_epoch = 0;        // highest on its disk
  std::string known_owner;      // whose
  std::string attested = {};    // a person's words on why it cannot write; empty: nobody says so
};

struct GlassQuestion {
  const Timing& timing;
  const Rules& rules;
  const Local& local;
  std::optional<Record> last;        // the record as it was last read; empty: never by this process
  std::optional<Micros> silent_for;  // since the last answer of the quorum here; empty: there was none
  bool lease_open = false;           // this region still holds a lease of it
  std::vector<GlassSite> sites;      // every other site of the topology
  std::string by, reason;
  std::string fresh_id;
};

struct GlassPlan {
  Record record;                      // moving to this region; its epoch lies above everything that anybody can know
  std::vector<std::string> proofs;    // one sentence for each other site
  std::vector<std::string> warnings;  // what this may cost
};

// What sites that nobody could ask may have gone through since anybody here heard of them. So many switches do not
// happen in the life of a residency, and epochs must never be used twice.
inline constexpr Epoch kGlassLeap = 1000;

// Errors: `invalid_input` (no name, no reason, an attested site that is none), `refused` (not lawful here, copy in
// resync), `conflict` (the quorum answers, somebody writes), `unsafe` (a site without proof: all of them are named),
// `unavailable` (the database here does not commit).
Result<GlassPlan> break_glass(const GlassQuestion& question, const std::vector<std::string>& attested);

}  // namespace domicile::authority
