// An HTTP/2 client (RFC 9113) that shows the frames it gets, which no library does: among them GOAWAY.
#pragma once
#include <arpa/inet.h>

#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include "support/tls_client.hpp"

namespace domicile {

struct Frame {
  std::uint8_t type = 0, flags = 0;
  std::uint32_t stream = 0;
  std::string payload;
};
inline constexpr std::uint8_t kData = 0, kHeaders = 1, kReset = 3, kSettings = 4, kGoaway = 7, kWindowUpdate = 8;
inline constexpr std::uint8_t kEndStream = 1, kAck = 1, kEndHeaders = 4;

inline std::uint32_t number_at(const std::string& bytes, std::size_t at) {
  std::uint32_t value = 0;
  if (at + sizeof value <= bytes.size()) std::memcpy(&value, bytes.data() + at, sizeof value);
  return ntohl(value);
}

// Of an answer's HEADERS, as nginx writes them: an entry of the static table, or three digits. 0: neither.
inline int status_of(const Frame& headers) {
  const std::string& block = headers.payload;
  std::size_t at = 0;
  while (at < block.size() && (block[at] & 0xe0) == 0x20) ++at;  // the table's size
  if (at >= block.size()) return 0;
  constexpr int known[] = {200, 204, 206, 304, 400, 404, 500};
  const unsigned first = static_cast<unsigned char>(block[at]);
  if (first >= 0x88 && first <= 0x8e) return known[first - 0x88];
  return (first == 0x48 || first == 0x08) && at + 5 <= block.size() ? std::atoi(block.substr(at + 2, 3).c_str()) : 0;
}

class Http2Client {
 public:
  explicit Http2Client(int port) : tls_(port) {}
  bool handshake(const std::string& host, const std::string& ca) {
    // All of the connection's window at once: answers here are short, and nobody is to wait for room.
    return tls_.handshake(host, ca, "h2") && tls_.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") &&
           send({.type = kSettings}) && send({.type = kWindowUpdate, .payload = {'\x7f', '\xff', 0, 0}});
  }
  // Begins a request; its stream. `ends`: it has no body.
  std::uint32_t ask(const std::string& method, const std::string& authority, const std::string& path,
                    bool ends = true) {
    std::string block;
    for (const auto& [name, value] : std::initializer_list<std::pair<std::string, std::string>>{
             {":method", method}, {":scheme", "https"}, {":authority", authority}, {":path", path}})
      block += '\0' + short_string(name) + short_string(value);  // literal, not indexed
    const auto flags = static_cast<std::uint8_t>(kEndHeaders | (ends ? kEndStream : 0));
    const std::uint32_t stream = next_;
    next_ += 2;
    send({.type = kHeaders, .flags = flags, .stream = stream, .payload = block});
    return stream;
  }
  bool body(std::uint32_t stream, const std::string& bytes, bool ends) {
    return send(
        {.type = kData, .flags = static_cast<std::uint8_t>(ends ? kEndStream : 0), .stream = stream, .payload = bytes});
  }
  // The next frame that says something; nothing at the end of the connection or after 20 s.
  std::optional<Frame> read() {
    for (;;) {
      const std::string head = tls_.read_bytes(9);
      if (head.size() < 9) return std::nullopt;
      Frame frame{.type = static_cast<std::uint8_t>(head[3]),
                  .flags = static_cast<std::uint8_t>(head[4]),
                  .stream = number_at(head, 5) & 0x7fffffff};
      frame.payload = tls_.read_bytes(number_at('\0' + head.substr(0, 3), 0));
      if (frame.type == kData || frame.type == kHeaders || frame.type == kReset || frame.type == kGoaway) return frame;
      if (frame.type == kSettings && (frame.flags & kAck) == 0) send({.type = kSettings, .flags = kAck});
    }
  }
  bool send(const Frame& frame) {
    const std::uint32_t size = htonl(static_cast<std::uint32_t>(frame.payload.size())), stream = htonl(frame.stream);
    std::string bytes(reinterpret_cast<const char*>(&size) + 1, 3);
    bytes += static_cast<char>(frame.type);
    bytes += static_cast<char>(frame.flags);
    bytes.append(reinterpret_cast<const char*>(&stream), sizeof stream);
    return tls_.write(bytes + frame.payload);
  }

 private:
  static std::string short_string(const std::string& text) {  // less than 127 bytes, no Huffman code
    return static_cast<char>(text.size()) + text;
  }
  TlsClient tls_;
  std::uint32_t next_ = 1;
};

}  // namespace domicile
