// The census: every byte that a side holds, searched for canaries that must not be there.
#pragma once
#include "base/json.hpp"
#include "census/canary.hpp"
#include "census/scan.hpp"

namespace domicile::census {

// A file or a directory tree. Links are not followed: a tablespace elsewhere is a place of its own.
struct Place {
  std::string name;
  fs::path path;
};

struct PlaceCount {
  std::string name;
  std::uint64_t bytes = 0, files = 0;
  std::uint64_t vanished = 0;  // listed, and gone before they were opened: they hold nothing any more
  std::uint64_t special = 0;   // sockets, pipes, devices: they hold no bytes
  std::uint64_t links = 0;     // not followed; their target's name was searched
};

struct Report {
  std::uint64_t searched_bytes = 0, decoded_bytes = 0;
  double seconds = 0;
  std::vector<std::string> canaries;  // ids
  std::vector<PlaceCount> places;
  std::vector<Hit> hits;
  std::vector<Unsearched> unsearched;
  // Nothing found, and nothing left out: only then it says something.
  bool clean() const { return hits.empty() && unsearched.empty(); }
};

// A place that is not there, and a file that cannot be read, are unsearched. Never throws; never tells a canary's
// value, not even where a file's name is one.
Report census(const std::vector<Place>& places, const std::vector<Canary>& canaries, const Limits& limits = {});

// {clean, searched_bytes, decoded_bytes, seconds, canaries, places, hits, unsearched}
Json to_json(const Report& report);

}  // namespace domicile::census
