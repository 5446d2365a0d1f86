// Where the frames of a WebSocket begin and end (RFC 6455), followed as their bytes pass: heads only, nothing is kept.
// Any bytes are frames to it. No exceptions, and good when all of it is zero: nginx's module uses it.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace domicile::edge {

class FrameFollower {
 public:
  bool between_frames() const noexcept { return left_ == 0 && head_size_ == 0; }

  void take(const unsigned char* bytes, std::size_t size) noexcept {
    while (size > 0) {
      const std::size_t n = step(bytes, size);
      bytes += n, size -= n;
    }
  }

  // How many of these bytes belong to the present frame, or to the first one when there is none: at least one, and all
  // when it does not end among them.
  std::size_t to_end_of_frame(const unsigned char* bytes, std::size_t size) const noexcept {
    FrameFollower ahead = *this;
    std::size_t at = 0;
    while (at < size) {
      at += ahead.step(bytes + at, size - at);
      if (ahead.between_frames()) break;
    }
    return at;
  }

 private:
  // One byte of a head, or what is there of a payload. `size` is not 0.
  std::size_t step(const unsigned char* bytes, std::size_t size) noexcept {
    if (left_ > 0) {
      const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(left_, size));
      left_ -= n;
      return n;
    }
    head_[head_size_++] = *bytes;
    if (head_size_ < head_length()) return 1;
    left_ = payload_length();
    head_size_ = 0;
    return 1;
  }

  // Bytes that the head has in all, as far as the ones that are known tell.
  std::size_t head_length() const noexcept {
    if (head_size_ < 2) return 2;
    const unsigned length = head_[1] & 0x7f;
    return 2u + (length == 126 ? 2u : length == 127 ? 8u : 0u) + ((head_[1] & 0x80) != 0 ? 4u : 0u);
  }

  std::uint64_t payload_length() const noexcept {
    const unsigned length = head_[1] & 0x7f;
    if (length < 126) return length;
    std::uint64_t value = 0;
    for (unsigned i = 0; i < (length == 126 ? 2u : 8u); ++i) value = value << 8 | head_[2 + i];
    return value;
  }

  std::uint64_t left_ = 0;  // of the present frame's payload
  unsigned char head_[14] = {};
  std::uint8_t head_size_ = 0;
};

}  // namespace domicile::edge
