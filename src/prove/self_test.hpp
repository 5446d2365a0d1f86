// Whether the instrument sees: leaks on purpose through each layer of a scratch lab, one canary each, and the census
// has to find every one of them where it was put.
#pragma once
#include <set>

#include "drill/drills.hpp"
#include "prove/places.hpp"
#include "prove/widened.hpp"

namespace domicile::prove {

struct Leak {
  std::string layer, what;
  bool planted = false;  // false: it could not even be put there, and `where` says why
  bool found = false;
  std::string where;                  // PLACE: FILE, CHAIN of the hit
  std::string canary = {};            // its own, which no other leak has: the id
  std::set<std::string> places = {};  // all where that one was found
};

struct SelfTest {
  std::vector<Leak> leaks;
  std::vector<std::string> blind_spots;  // encodings that the census does not see through, see census::blind_spots
  std::vector<std::string> phantoms;     // where a canary was "found" that nobody planted
  double seconds = 0;
  std::size_t planted() const;
  std::size_t found() const;
  // Every leak was planted and found, nothing else was, and no encoding is a blind spot.
  bool held() const;
};

// `field`: a lab of its own with `--record`, which nobody else uses and which is thrown away afterwards: triggers are
// off in it, nginx logs what it must not, dumps of one region lie in another. It was brought up with what
// write_widened() made of the topology that `field` was opened with. `refused` where breach_of() is. Takes a minute.
Result<SelfTest> self_test(const drill::Field& field, const drill::Talk& talk);

}  // namespace domicile::prove
