#include "edge/websocket_frames.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <string>
#include <vector>

namespace domicile::edge {
namespace {

std::string frame(std::uint64_t size, bool masked, std::size_t sent) {
  std::string bytes = "\x82";
  const char mask = masked ? '\x80' : 0;
  const unsigned wide = size < 126 ? 0 : size < 65536 ? 2 : 8;
  bytes += static_cast<char>(mask | static_cast<char>(wide == 0 ? size : wide == 2 ? 126 : 127));
  for (unsigned i = wide; i > 0; --i) bytes += static_cast<char>(size >> (8 * (i - 1)));
  if (masked) bytes += "mask";
  return bytes + std::string(sent, 'x');
}
std::string frame(std::uint64_t size, bool masked = false) { return frame(size, masked, size); }

const unsigned char* raw(const std::string& bytes) { return reinterpret_cast<const unsigned char*>(bytes.data()); }
FrameFollower after(const std::string& bytes) {
  FrameFollower follower;
  follower.take(raw(bytes), bytes.size());
  return follower;
}

TEST(FrameFollower, KnowsTheEndOfFramesOfEachLengthAndMask) {
  for (const bool masked : {false, true})
    for (const std::uint64_t size : {0, 1, 125, 126, 127, 1000, 65535, 65536, 70000}) {
      const std::string whole = frame(size, masked);
      EXPECT_TRUE(after(whole).between_frames()) << size;
      EXPECT_FALSE(after(whole.substr(0, whole.size() - 1)).between_frames()) << size;
      EXPECT_FALSE(after(whole + "\x82").between_frames()) << size;
      EXPECT_EQ(FrameFollower().to_end_of_frame(raw(whole + "more"), whole.size() + 4), whole.size());
    }
}

TEST(FrameFollower, AFrameLongerThanAnythingIsNeverAtItsEnd) {
  for (const std::uint64_t size : {UINT64_MAX, UINT64_C(1) << 63, UINT64_C(1) << 32}) {
    const std::string begun = frame(size, true, 100000);
    EXPECT_FALSE(after(begun).between_frames()) << size;
    EXPECT_EQ(after(begun).to_end_of_frame(raw(begun), begun.size()), begun.size()) << size;
  }
}

TEST(FrameFollower, LooksAheadWithoutTakingIn) {
  const std::string two = frame(300) + frame(5);
  FrameFollower follower = after(two.substr(0, 100));
  EXPECT_EQ(follower.to_end_of_frame(raw(two) + 100, two.size() - 100), frame(300).size() - 100);
  EXPECT_FALSE(follower.between_frames());
  follower.take(raw(two) + 100, frame(300).size() - 100);
  EXPECT_TRUE(follower.between_frames());
}

RC_GTEST_PROP(FrameFollower, HowTheBytesArriveMakesNoDifference, (const std::vector<std::uint16_t>& sizes)) {
  std::string all;
  std::vector<std::size_t> ends;
  for (const auto size : sizes) {
    all += frame(size % 70000, size % 2 == 0);
    ends.push_back(all.size());
  }
  FrameFollower follower;
  std::size_t at = 0;
  for (const std::size_t end : ends)
    while (at < end) {
      const auto n = *rc::gen::inRange<std::size_t>(1, end - at + 1);
      RC_ASSERT(follower.to_end_of_frame(raw(all) + at, all.size() - at) == end - at);
      follower.take(raw(all) + at, n);
      at += n;
      RC_ASSERT(follower.between_frames() == (at == end));
    }
}

}  // namespace
}  // namespace domicile::edge
