#include "census/searcher.hpp"

#include <algorithm>
#include <cstdlib>

namespace domicile::census {

Searcher::Searcher(std::vector<Needle> needles) : needles_(std::move(needles)) {
  for (std::uint32_t n = 0; n < needles_.size(); ++n) {
    const View bytes = needles_[n].bytes;
    if (bytes.size() < kShortestNeedle) std::abort();
    longest_ = std::max(longest_, bytes.size());
    for (std::uint32_t offset = 0; offset < kStride; ++offset) {
      starts_.push_back({u64(bytes, offset), n, offset});
      marked_.set(slot(starts_.back().gram));
    }
  }
  std::sort(starts_.begin(), starts_.end(), [](const Start& a, const Start& b) { return a.gram < b.gram; });
}

std::pair<const Searcher::Start*, const Searcher::Start*> Searcher::starts(std::uint64_t gram) const {
  const auto less = [](const Start& start, std::uint64_t wanted) { return start.gram < wanted; };
  const Start* first = std::lower_bound(starts_.data(), starts_.data() + starts_.size(), gram, less);
  const Start* last = first;
  while (last != starts_.data() + starts_.size() && last->gram == gram) ++last;
  return {first, last};
}

}  // namespace domicile::census
