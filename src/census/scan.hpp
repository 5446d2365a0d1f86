// One source, searched to its end: the needles in its bytes, and in whatever its bytes can be decoded to.
#pragma once
#include <map>
#include <string>
#include <tuple>

#include "census/searcher.hpp"
#include "census/source.hpp"

namespace domicile::census {

// What an unlucky or hostile file may cost. Beyond, the rest of it counts as unsearched.
struct Limits {
  std::size_t stream = 64ULL << 20;          // bytes that one compressed stream or encoded text may give
  int depth = 6;                             // encodings inside each other
  std::size_t toast = 256ULL << 20;          // bytes of unfinished TOAST values, per source
  std::uint64_t decoded_times = 64;          // all that is decoded from a source: so many times its size,
  std::uint64_t decoded_least = 1ULL << 30;  // or so much
  unsigned threads = 0;                      // 0: as many as there are processors
};

struct Hit {
  std::string place, file;
  std::uint64_t offset = 0;  // of the needle, or of the outermost encoding that it is in
  std::string canary;        // id
  std::string form, chain;   // chain: gzip > base64
  std::uint64_t count = 1;   // of the same canary in the same way in this file; offset is the first one's
};

struct Unsearched {
  std::string place, file;
  std::uint64_t offset = 0;
  std::string why;
  std::uint64_t count = 1;
};

class Findings {
 public:
  void hit(const Origin& origin, std::size_t canary, const std::string& form, const std::string& chain);
  void unsearched(const Origin& origin, const std::string& why);

  struct First {
    std::uint64_t offset = 0, count = 0;
  };
  std::map<std::tuple<std::string, std::size_t, std::string, std::string>, First> hits;  // file, canary, form, chain
  std::map<std::pair<std::string, std::string>, First> gaps;                             // file, why
  std::uint64_t searched = 0, decoded = 0;                                               // bytes
};

void scan(Source& source, const Searcher& searcher, const Limits& limits, Findings& findings);
// The same of bytes in memory, for tests and for what was recorded there.
void scan_bytes(View bytes, const Searcher& searcher, const Limits& limits, Findings& findings);

}  // namespace domicile::census
