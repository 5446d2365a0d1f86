// Rows on their way from one agent to another: whole lines of COPY's text format.
#pragma once
#include <functional>
#include <string>

#include "agent/gate_client.hpp"
#include "base/http_server.hpp"

namespace domicile::agent {

using Lines = std::function<Result<void>(std::string_view)>;

// The sending side: nothing is written that the gate has not judged and counted.
class GatedRows {
 public:
  // `columns`: what stands in the rows, in this order. `write`: false when the other agent is gone.
  GatedRows(GateClient gate, std::string link, std::string table, std::vector<std::string> columns,
            std::function<bool(std::string_view)> write)
      : gate_(std::move(gate)),
        link_(std::move(link)),
        table_(std::move(table)),
        columns_(std::move(columns)),
        write_(std::move(write)) {}
  Result<void> add(std::string_view lines);
  Result<void> flush();  // once at the end

 private:
  GateClient gate_;
  std::string link_, table_;
  std::vector<std::string> columns_;
  std::function<bool(std::string_view)> write_;
  std::string piece_;
};

// Writes rows until it is done or the other agent is gone; false ends the answer as a broken one.
using RowsOut = std::function<bool(const std::function<bool(std::string_view)>& write)>;
// The answer that streams them, or says why not.
HttpReply rows_reply(Result<RowsOut> rows);

// The receiving side: sends `request` and gives `sink` its answer's body, whole lines at a time. The sink's error comes
// first; a status of 400 or more is a response.
Result<HttpResponse> receive_lines(HttpClient& client, HttpRequest request, const Lines& sink);

}  // namespace domicile::agent
