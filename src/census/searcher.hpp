// Finds thousands of needles in one pass. All needles are long, so it is enough to look at every stride-th position: an
// occurrence of a needle of n >= shortest bytes covers exactly one looked-at position within its first `stride` ones,
// and the eight bytes there say which needle it may be. No needle is missed, none is found twice.
#pragma once
#include <array>
#include <bitset>
#include <vector>

#include "census/bytes.hpp"
#include "census/canary.hpp"

namespace domicile::census {

class Searcher {
 public:
  // Every needle has at least kShortestNeedle bytes; shorter ones are a bug and abort.
  explicit Searcher(std::vector<Needle> needles);
  const std::vector<Needle>& all() const { return needles_; }
  std::size_t longest() const { return longest_; }

  // found(position, needle) for each occurrence that begins before `core`.
  template <class Found>
  void each(View text, std::size_t core, const Found& found) const {
    if (needles_.empty() || text.size() < kShortestNeedle) return;
    const std::size_t last = text.size() - kGram;
    for (std::size_t at = 0; at <= last; at += kStride) {
      const auto gram = u64(text, at);
      if (marked_[slot(gram)]) look(text, core, at, gram, found);
    }
  }

 private:
  static constexpr std::size_t kGram = 8;
  static constexpr std::size_t kStride = kShortestNeedle - kGram + 1;
  static constexpr std::size_t kSlotBits = 18;  // 32 KiB: stays in the processor's first caches
  struct Start {
    std::uint64_t gram;
    std::uint32_t needle, offset;  // the gram stands at this offset of that needle
  };
  static std::size_t slot(std::uint64_t gram) { return (gram * 0x9E3779B97F4A7C15ULL) >> (64 - kSlotBits); }
  std::pair<const Start*, const Start*> starts(std::uint64_t gram) const;

  template <class Found>
  void look(View text, std::size_t core, std::size_t at, std::uint64_t gram, const Found& found) const {
    const auto range = starts(gram);
    for (const Start* start = range.first; start != range.second; ++start) {
      if (start->offset > at || at - start->offset >= core) continue;
      const Needle& needle = needles_[start->needle];
      if (text.compare(at - start->offset, needle.bytes.size(), needle.bytes) == 0) found(at - start->offset, needle);
    }
  }

  std::vector<Needle> needles_;
  std::vector<Start> starts_;  // by gram
  std::bitset<1U << kSlotBits> marked_;
  std::size_t longest_ = 0;
};

}  // namespace domicile::census
