#include "gate/protocol/frames.hpp"

#include "gate/protocol/reader.hpp"

namespace domicile::gate {
namespace {

constexpr std::size_t kFirstLimit = 10'000;  // PostgreSQL's own MAX_STARTUP_PACKET_LENGTH
constexpr std::uint32_t kVersion3 = 3U << 16, kCancel = 80877102, kTls = 80877103, kGssapi = 80877104;

void put(std::string& out, std::uint64_t value, int size) {
  for (int shift = (size - 1) * 8; shift >= 0; shift -= 8) out += static_cast<char>(value >> shift & 0xff);
}

}  // namespace

Result<std::optional<Frame>> take_frame(std::string_view& received, std::size_t limit) {
  if (received.size() < 5) return std::optional<Frame>();
  Reader in(received);
  const char type = static_cast<char>(in.u8());
  const std::uint32_t length = in.u32();
  if (length < 4 || length > limit)
    return fail(Kind::corrupt,
                fmt::format("a message says that it has {} bytes; from 4 to {} are possible", length, limit));
  const std::size_t size = 1 + std::size_t{length};
  if (received.size() < size) return std::optional<Frame>();
  const Frame out{type, received.substr(5, length - 4), received.substr(0, size)};
  received.remove_prefix(size);
  return std::optional(out);
}

Result<std::optional<FirstMessage>> take_first(std::string_view& received) {
  using Kinds = FirstMessage::Kind;
  if (received.size() < 4) return std::optional<FirstMessage>();
  const std::uint32_t length = Reader(received).u32();
  if (length < 8 || length > kFirstLimit)
    return fail(Kind::corrupt, fmt::format("the first message says that it has {} bytes; from 8 to {} are possible",
                                           length, kFirstLimit));
  if (received.size() < length) return std::optional<FirstMessage>();
  Reader in(received.substr(4, length - 4));
  received.remove_prefix(length);
  const std::uint32_t code = in.u32();
  if (code == kTls && in.done()) return std::optional(FirstMessage{Kinds::tls, {}});
  if (code == kGssapi && in.done()) return std::optional(FirstMessage{Kinds::gssapi, {}});
  if (code == kCancel) return std::optional(FirstMessage{Kinds::cancel, {}});
  if (code != kVersion3)
    return fail(Kind::corrupt, fmt::format("protocol {}.{} is not spoken here", code >> 16, code & 0xffff));
  FirstMessage out{Kinds::startup, {}};
  for (auto name = in.text(); in.good() && !name.empty(); name = in.text())
    out.parameters.emplace_back(name, in.text());
  if (!in.done()) return fail(Kind::corrupt, "the first message is not well formed");
  return std::optional(std::move(out));
}

std::string frame(char type, std::string_view body) {
  std::string out(1, type);
  put(out, body.size() + 4, 4);
  return out.append(body);
}

std::string error_frame(std::string_view sqlstate, std::string_view message, std::string_view hint,
                        std::string_view severity) {
  std::string body;
  const auto field = [&](char code, std::string_view text) {
    body += code;
    body.append(text.substr(0, text.find('\0'))) += '\0';
  };
  field('S', severity);
  field('V', severity);
  field('C', sqlstate);
  field('M', message);
  if (!hint.empty()) field('H', hint);
  return frame('E', body += '\0');
}

std::string sqlstate_of_error(std::string_view body) {
  Reader in(body);
  for (char field = static_cast<char>(in.u8()); in.good() && field != '\0'; field = static_cast<char>(in.u8())) {
    const auto text = in.text();
    if (field == 'C' && text.size() == 5) return std::string(text);
  }
  return "XX000";
}

std::string ready_frame() { return frame('Z', "I"); }

Result<ServerData> server_data(std::string_view body) {
  Reader in(body);
  const char type = static_cast<char>(in.u8());
  if (type == 'w') {
    WalData out{in.u64(), in.u64(), in.i64(), {}};
    out.message = in.bytes(in.left());
    if (in.good() && !out.message.empty()) return ServerData(out);
  } else if (type == 'k') {
    const KeepAlive out{in.u64(), in.i64(), in.u8() != 0};
    if (in.done()) return ServerData(out);
  }
  return fail(Kind::corrupt, "the server's stream is not well formed");
}

Result<StatusUpdate> status_update(std::string_view body) {
  Reader in(body);
  if (in.u8() != 'r') return fail(Kind::refused, "only status updates are taken from a subscriber");
  const StatusUpdate out{in.u64(), in.u64(), in.u64(), in.i64(), in.u8() != 0};
  if (!in.done()) return fail(Kind::corrupt, "a status update is not well formed");
  return out;
}

std::string to_frame(const StatusUpdate& update) {
  std::string body = "r";
  put(body, update.written, 8);
  put(body, update.flushed, 8);
  put(body, update.applied, 8);
  put(body, static_cast<std::uint64_t>(update.sent_at), 8);
  body += update.reply ? '\1' : '\0';
  return frame('d', body);
}

}  // namespace domicile::gate
