// What this agent's control API has refused: the last thousand, in memory and in a small file (STATE/denials), so that
// the id that a caller saw is explained after a restart too (`domicile explain denial`). What a caller wrote gets in
// only where it has the shape of a name, as in the log.
#pragma once
#include <deque>
#include <mutex>
#include <optional>
#include <string>

#include "base/file.hpp"
#include "base/http_server.hpp"
#include "base/json.hpp"
#include "base/log.hpp"

namespace domicile::agent {

struct Denial {
  std::string id;          // "a-" and 16 digits, by chance
  std::string who, asked;  // "ann", "POST /v1/switch"
  std::string rule;        // the error's code, else its kind
  std::string what, fix;
  int status = 0;
  Micros at = 0;  // wall clock
};
Json json_of(const Denial& denial);

// Thread-safe.
class Denials {
 public:
  static constexpr std::size_t kKept = 1000;
  // The file's lines at most; then the last kKept are written anew.
  static constexpr std::size_t kLines = 2 * kKept;

  // A file that cannot be opened or written is told to the log; then denials live in memory alone.
  Denials(const fs::path& file, Log log);
  // An answer that refuses (403, 409, 412) gets an id; any other stays as it is. `again`: whoever asks repeats itself,
  // as other agents do, and the same refusal keeps its id.
  void name(const HttpCall& call, const std::string& who, bool again, HttpReply& reply);
  std::optional<Denial> find(const std::string& id) const;

 private:
  void keep(const Denial& denial);
  void write(const Denial& denial);

  Log log_;
  mutable std::mutex mutex_;
  std::deque<Denial> kept_;
  std::optional<Journal> journal_;
  std::size_t lines_ = 0;
  bool trouble_ = false;
};

}  // namespace domicile::agent
