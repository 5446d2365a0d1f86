#include "census/pglz.hpp"

#include <algorithm>

namespace domicile::census {

namespace {

// A tag: four bits of length, twelve of distance; length 18 means that a further byte is added to it.
struct Tag {
  std::size_t length = 0, distance = 0;
};

bool take_tag(View source, std::size_t& at, Tag& tag) {
  if (source.size() - at < 2) return false;
  tag.length = (u8(source, at) & 0x0fU) + 3;
  tag.distance = (u8(source, at) & 0xf0U) << 4 | u8(source, at + 1);
  at += 2;
  if (tag.length == 18) {
    if (at == source.size()) return false;
    tag.length += u8(source, at++);
  }
  return true;
}

}  // namespace

Bytes pglz_decode(View source, std::size_t most, std::size_t* taken) {
  Bytes out;
  std::size_t at = 0;
  bool sound = true;
  while (sound && at < source.size() && out.size() < most) {
    unsigned control = u8(source, at++);
    for (int item = 0; item < 8 && at < source.size() && out.size() < most; ++item, control >>= 1) {
      if ((control & 1) == 0) {
        out += source[at++];
        continue;
      }
      Tag tag;
      sound = take_tag(source, at, tag) && tag.distance != 0 && tag.distance <= out.size();
      if (!sound) break;
      // Byte by byte: a match may overlap what it writes.
      for (std::size_t n = std::min(tag.length, most - out.size()); n > 0; --n) out += out[out.size() - tag.distance];
    }
  }
  if (taken != nullptr) *taken = at;
  return out;
}

}  // namespace domicile::census
