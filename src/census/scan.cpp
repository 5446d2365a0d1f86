#include "census/scan.hpp"

#include <algorithm>

#include "census/decoder.hpp"
#include "census/toast.hpp"

namespace domicile::census {

namespace {

// Small enough for the processor's caches. What begins in the window and ends behind it is in the bytes ahead; what
// ends behind those too is read anew from its beginning.
constexpr std::size_t kWindow = 1 << 20;
constexpr std::size_t kAhead = 128 << 10;
constexpr std::size_t kMostEncoded = 256 << 20;
constexpr std::size_t kGrowth = 8;

// How the bytes that are looked at came about.
struct Frame {
  const Frame* outer = nullptr;
  std::string_view name;
  int depth = 0;
  bool wal = false;
};

std::string chain_of(const Frame& frame, const std::string& last) {
  std::string chain = last;
  for (const Frame* at = &frame; at != nullptr; at = at->outer)
    if (!at->name.empty()) chain = std::string(at->name) + " > " + chain;
  return chain;
}

struct Window {
  View bytes;
  std::size_t core = 0;    // what begins here is this window's
  bool final = true;       // nothing follows on `bytes`
  std::uint64_t base = 0;  // of the source's; of no meaning in decoded bytes
};

class Scan {
 public:
  Scan(Source& source, const Searcher& searcher, const Limits& limits, Findings& findings)
      : source_(source), searcher_(searcher), limits_(limits), findings_(findings), shelf_(limits.toast) {}

  void run() {
    const Frame top{nullptr, source_.name(), 0, source_.wal()};
    skips_.assign(decoders().size(), 0);
    if (auto done = windows(top); !done) findings_.unsearched(source_.origin(searched_), one_line(done.error()));
    origin_ = source_.origin(0);
    const auto values = shelf_.rest();
    for (const Bytes& value : values) toast(value, top);
    if (shelf_.overflowed()) findings_.unsearched(origin_, "more unfinished TOAST values than are kept");
    findings_.searched += searched_;
    findings_.decoded += decoded_;
  }

 private:
  Result<void> windows(const Frame& top) {
    Bytes buffer(kWindow + kAhead, '\0');
    for (std::uint64_t base = 0;;) {
      base = std::max(base, source_.next_data(base) / kWindow * kWindow);
      const std::size_t got = TRY(source_.read(base, buffer.data(), buffer.size()));
      const bool final = got < buffer.size();
      const std::size_t core = final ? got : kWindow;
      look({View(buffer.data(), got), core, final, base}, top);
      searched_ += core;
      if (final) return {};
      base += kWindow;
    }
  }

  void look(const Window& window, const Frame& frame) {
    search(window, frame);
    for (std::size_t i = 0; i < decoders().size(); ++i)
      if (!decoders()[i].wal_only || frame.wal) undo(i, window, frame);
    const auto values = shelf_.collect(window.bytes, window.core);
    for (const Bytes& value : values) {
      if (frame.depth == 0) origin_ = source_.origin(window.base);
      toast(value, frame);
    }
  }

  void search(const Window& window, const Frame& frame) {
    searcher_.each(window.bytes, window.core, [&](std::size_t at, const Needle& needle) {
      findings_.hit(place(window, frame, at), needle.canary, needle.form, chain_of(frame, needle.form));
    });
  }

  Origin place(const Window& window, const Frame& frame, std::size_t at) const {
    return frame.depth == 0 ? source_.origin(window.base + at) : origin_;
  }

  void undo(std::size_t which, const Window& window, const Frame& frame) {
    const Decoder& decoder = decoders()[which];
    std::size_t at = 0;
    if (frame.depth == 0 && skips_[which] > window.base) at = skips_[which] - window.base;
    while ((at = decoder.next(window.bytes, at)) < window.core) {
      if (frame.depth == 0) origin_ = source_.origin(window.base + at);
      Decoded decoded = decoder.decode(window.bytes.substr(at), limits_.stream);
      if (decoded.cut && !window.final) decoded = decode_further(decoder, window.base + at);
      const bool whole = frame.depth == 0 && source_.whole() && decoder.whole_file && window.base + at == 0;
      take(decoder, decoded, frame, whole);
      at += std::max<std::size_t>(1, decoded.consumed);
    }
    if (frame.depth == 0 && at != kNone) skips_[which] = window.base + at;
  }

  // Only in the source itself are there bytes behind a window.
  Decoded decode_further(const Decoder& decoder, std::uint64_t offset) {
    for (std::size_t size = kWindow;; size = std::min(size * kGrowth, kMostEncoded)) {
      Bytes more(size, '\0');
      const auto got = source_.read(offset, more.data(), size);
      if (!got) {
        findings_.unsearched(origin_, one_line(got.error()));
        return {};
      }
      Decoded decoded = decoder.decode(View(more.data(), *got), limits_.stream);
      if (!decoded.cut || decoded.over || *got < size) return decoded;
      if (size == kMostEncoded) {
        decoded.over = true;
        return decoded;
      }
    }
  }

  void take(const Decoder& decoder, const Decoded& decoded, const Frame& frame, bool whole) {
    const std::string_view name = decoded.name.empty() ? decoder.name : decoded.name;
    if (decoded.over) findings_.unsearched(origin_, fmt::format("{}: larger than is decoded", name));
    if (whole && decoded.damaged) findings_.unsearched(origin_, fmt::format("{}: damaged", name));
    for (const Bytes& output : decoded.outputs)
      inside(output, {&frame, name, frame.depth + 1, decoded.wal}, decoded.sure);
  }

  void toast(const Bytes& value, const Frame& frame) {
    inside(value, {&frame, "toast", frame.depth + 1, false});
    const Bytes raw = toast_decode(value, limits_.stream);
    const std::string_view name = u8(value, 3) >> 6 == 1 ? "toast-lz4" : "toast-pglz";
    if (!raw.empty()) inside(raw, {&frame, name, frame.depth + 1, false});
  }

  void inside(View bytes, const Frame& frame, bool sure = true) {
    if (bytes.size() < kLeastOutput) return;
    if (!sure) return search({bytes, bytes.size()}, frame);
    if (frame.depth > limits_.depth)
      return findings_.unsearched(origin_, "encodings too deep inside each other: " + chain_of(frame, "…"));
    const std::uint64_t most = std::max(limits_.decoded_least, limits_.decoded_times * (searched_ + kWindow));
    if (decoded_ > most) return findings_.unsearched(origin_, "more to decode than its size allows");
    decoded_ += bytes.size();
    look({bytes, bytes.size(), true, 0}, frame);
  }

  Source& source_;
  const Searcher& searcher_;
  const Limits& limits_;
  Findings& findings_;
  ToastShelf shelf_;
  std::vector<std::uint64_t> skips_;  // by decoder: up to where the source was decoded already
  Origin origin_;                     // of what is being decoded
  std::uint64_t searched_ = 0, decoded_ = 0;
};

class MemorySource : public Source {
 public:
  explicit MemorySource(View bytes) : bytes_(bytes) {}
  Result<std::size_t> read(std::uint64_t offset, char* into, std::size_t size) override {
    if (offset >= bytes_.size()) return 0;
    return bytes_.copy(into, size, offset);
  }
  Origin origin(std::uint64_t offset) const override { return {"memory", offset}; }
  bool whole() const override { return true; }
  std::string_view name() const override { return ""; }

 private:
  View bytes_;
};

void count(Findings::First& first, std::uint64_t offset) {
  if (first.count++ == 0 || offset < first.offset) first.offset = offset;
}

}  // namespace

void Findings::hit(const Origin& origin, std::size_t canary, const std::string& form, const std::string& chain) {
  count(hits[{origin.file, canary, form, chain}], origin.offset);
}

void Findings::unsearched(const Origin& origin, const std::string& why) {
  count(gaps[{origin.file, why}], origin.offset);
}

void scan(Source& source, const Searcher& searcher, const Limits& limits, Findings& findings) {
  Scan(source, searcher, limits, findings).run();
}

void scan_bytes(View bytes, const Searcher& searcher, const Limits& limits, Findings& findings) {
  MemorySource source(bytes);
  scan(source, searcher, limits, findings);
}

}  // namespace domicile::census
