// Values that PostgreSQL cuts into chunks of a TOAST table: gathered from pages, from WAL and from page images, in
// whatever order they come, and put together again.
#pragma once
#include <map>
#include <vector>

#include "census/bytes.hpp"

namespace domicile::census {

// One for each file or chain of WAL segments. A chunk is (value's id, number, length, bytes); all but a value's last
// are full (1996 bytes), which tells them from other data.
class ToastShelf {
 public:
  explicit ToastShelf(std::size_t most) : most_(most) {}
  // Takes the chunks that begin before `core`; returns the values that are complete now.
  std::vector<Bytes> collect(View bytes, std::size_t core);
  // What has no end: a value whose last chunk is full, or was not found.
  std::vector<Bytes> rest();
  // Chunks were given up because the shelf was full.
  bool overflowed() const { return overflowed_; }

 private:
  struct Value {
    std::map<std::uint32_t, Bytes> chunks;
    bool ended = false;  // the highest of them is the last
  };
  void put(std::uint32_t id, std::uint32_t number, View chunk, bool last);
  void collect_full(View bytes, std::size_t core);
  void collect_last(View bytes, std::size_t core);
  std::vector<Bytes> complete();

  // Several: an id is given again, in another table, or with another page's image of the same value.
  std::map<std::uint32_t, std::vector<Value>> values_;
  std::size_t most_, size_ = 0;
  bool overflowed_ = false;
};

// The raw value when the assembled chunks are a compressed one; empty: they are not.
Bytes toast_decode(View value, std::size_t most);

}  // namespace domicile::census
