// What the census reads was written by somebody else: its decoders take any bytes, at any candidate and at any cut.
#include <algorithm>

#include "census/decoder.hpp"
#include "census/pglz.hpp"
#include "census/scan.hpp"
#include "census/toast.hpp"
#include "census/wal.hpp"

using namespace domicile::census;

namespace {

const Searcher& searcher() {
  static const Searcher all(needles({{"c", "abcdefghijklmnopqrstuvwxyz0123"}}));
  return all;
}

constexpr std::size_t kMost = 1 << 16;

void each_decoder(View bytes) {
  for (const Decoder& decoder : decoders()) {
    int tries = 0;
    for (std::size_t at = 0; ++tries < 50 && (at = decoder.next(bytes, at)) < bytes.size();) {
      const Decoded decoded = decoder.decode(bytes.substr(at), kMost);
      for (const Bytes& output : decoded.outputs)
        if (output.size() > kMost + kPageSize) __builtin_trap();
      at += std::max<std::size_t>(1, decoded.consumed);
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const View bytes(reinterpret_cast<const char*>(data), size);
  each_decoder(bytes);
  if (pglz_decode(bytes, kMost).size() > kMost) __builtin_trap();
  if (toast_decode(bytes, kMost).size() > kMost) __builtin_trap();
  ToastShelf shelf(kMost);
  (void)shelf.collect(bytes, bytes.size());
  (void)shelf.rest();
  Limits limits;
  limits.stream = kMost;
  limits.depth = 3;
  limits.decoded_least = 1 << 20;
  limits.decoded_times = 0;
  Findings findings;
  scan_bytes(bytes, searcher(), limits, findings);
  return 0;
}
