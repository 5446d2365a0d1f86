// What lies at a place, as a list of things to search.
#pragma once
#include "census/census.hpp"

namespace domicile::census {

struct Task {
  enum class Kind { file, wal, tape };
  Kind kind = Kind::file;
  std::size_t place = 0;
  std::vector<fs::path> paths;
  std::vector<std::string> shown;  // as `paths`
  std::uint64_t size = 0;          // at the time of the walk
};

struct Walk {
  std::vector<Task> tasks;  // the largest first
  std::vector<PlaceCount> places;
  Findings findings;  // names that are canaries, directories that cannot be read; keys begin with the place's index
};

// Keys of files in findings carry their place: "0/path".
std::string place_key(std::size_t place, const std::string& shown);

Walk walk(const std::vector<Place>& places, const Searcher& searcher);

}  // namespace domicile::census
