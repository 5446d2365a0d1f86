// The port to the quorum: a linearizable register of authority records and beats, and nothing more.
#pragma once
#include <map>
#include <optional>
#include <string>

#include "core/authority/record.hpp"

namespace domicile::authority {

template <class T>
struct Stored {
  T value;
  std::string text;  // exactly what was read: what a later comparison must name
  bool operator==(const Stored&) const = default;
};

// A value that this version cannot parse.
struct Unreadable {
  std::string why;
  std::string text;  // exactly what was read
};

// Everything that the quorum holds, as one linearizable read saw it.
struct View {
  std::map<std::string, Stored<Record>> authorities;  // by residency
  std::map<std::string, Stored<Beat>> beats;          // by region
  std::map<std::string, Unreadable> unreadable;       // by key
};

// The marker of a residency that the last beat of `region` names.
std::optional<Marker> told_marker(const View& view, const std::string& region, const std::string& residency);

// Replaces authority/<residency>, if it and (where given) a region's beat still have the texts that were read.
struct Swap {
  std::string residency;
  std::optional<std::string> expected;  // text of the record; empty: there is none
  Record next;
  std::string beat_of = {};  // with a region here, beat/<region> must still be `expected_beat`
  std::optional<std::string> expected_beat = {};
};

struct SwapOutcome {
  bool applied = false;
  View view;  // after it, in both cases
};

struct BeatRequest {
  std::string region;
  std::optional<std::string> expected;  // text of our last beat; empty: we have none yet
  Beat next;
  std::optional<Swap> ride = {};  // applied in the same transaction, or neither is
};

// What a comparison must name to replace the beat of `region`, readable or not; empty: there is none.
std::optional<std::string> beat_text(const View& view, const std::string& region);

class Quorum {
 public:
  virtual ~Quorum() = default;
  // Errors of both: `unavailable`: surely not applied. `unknown_outcome`: perhaps applied; read, and adopt your own
  // value.
  virtual Result<SwapOutcome> beat(const BeatRequest& request) = 0;
  virtual Result<SwapOutcome> swap(const Swap& swap) = 0;
  virtual Result<View> read() = 0;  // linearizable
  // What the own site's member holds, without asking the others: perhaps old, and there also while they elect a leader.
  virtual Result<View> read_local() = 0;
};

}  // namespace domicile::authority
