// Any bytes as frames of a WebSocket, in pieces of any size: their ends lie where they lie byte by byte.
#include <cstdlib>
#include <vector>

#include "edge/websocket_frames.hpp"

using domicile::edge::FrameFollower;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::size_t piece = 1 + data[0];
  const std::vector<std::uint8_t> bytes(data + 1, data + size);  // of its own, so that a read behind it is seen
  FrameFollower single, pieces;
  std::vector<bool> ends;
  for (const std::uint8_t byte : bytes) {
    single.take(&byte, 1);
    ends.push_back(single.between_frames());
  }
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t here = std::min(piece, bytes.size() - at), n = pieces.to_end_of_frame(&bytes[at], here);
    if (n == 0 || n > here) std::abort();
    for (std::size_t i = at; i + 1 < at + n; ++i)
      if (ends[i]) std::abort();
    if (n < here && !ends[at + n - 1]) std::abort();
    pieces.take(&bytes[at], n);
    at += n;
    if (pieces.between_frames() != ends[at - 1]) std::abort();
  }
  return 0;
}
