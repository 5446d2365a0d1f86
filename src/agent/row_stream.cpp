#include "agent/row_stream.hpp"

namespace domicile::agent {
namespace {
constexpr std::size_t kPiece = 256 << 10;
}

Result<void> GatedRows::add(std::string_view lines) {
  piece_ += lines;
  return piece_.size() < kPiece ? Result<void>() : flush();
}

Result<void> GatedRows::flush() {
  if (piece_.empty()) return {};
  CHECK_OK(gate_.pass(link_, table_, columns_, piece_));  // before any of it leaves
  if (!write_(piece_)) return fail(Kind::unavailable, "the importing agent is gone");
  piece_.clear();
  return {};
}

HttpReply rows_reply(Result<RowsOut> rows) {
  if (!rows) {
    const auto kind = rows.error().kind;
    return {kind == Kind::refused         ? 403
            : kind == Kind::invalid_input ? 400
                                          : 503,
            dump({{"what", one_line(rows.error())}, {"kind", name_of(kind)}})};
  }
  HttpReply reply;
  reply.type = "text/plain";
  reply.stream = *std::move(rows);
  return reply;
}

Result<HttpResponse> receive_lines(HttpClient& client, HttpRequest request, const Lines& sink) {
  std::string pending;
  Result<void> sunk;
  request.on_body = [&](std::string_view piece) {
    pending += piece;
    const auto end = pending.rfind('\n');
    if (end == std::string::npos) return true;
    sunk = sink(std::string_view(pending).substr(0, end + 1));
    pending.erase(0, end + 1);
    return sunk.has_value();
  };
  auto response = client.send(request);
  CHECK_OK(sunk);
  return response;
}

}  // namespace domicile::agent
