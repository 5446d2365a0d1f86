// What an agent's status says, for people: tables, and what is unsafe now. Pure. Agents one version older leave members
// out; what is missing is shown as unknown, never as fine.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "base/json.hpp"

namespace domicile::cli {

// Members of `value` where they are there and of the right type.
std::string text_at(const Json& value, const char* key);
std::optional<std::int64_t> number_at(const Json& value, const char* key);
bool true_at(const Json& value, const char* key);
const Json& child_at(const Json& value, const char* key);  // null where absent

// 412 -> "412 ms", 4200 -> "4.2 s"
std::string duration_text(std::int64_t ms);

struct Look {
  bool colour = false;
  std::size_t width = 0;  // lines are cut here; 0: never
};

// Sentences about what is not safe at this moment; empty: nothing is known to be unsafe.
std::vector<std::string> unsafe_now(const Json& status);
// Sentences about what a person may want to do or know, and what is not unsafe by itself.
std::vector<std::string> notes_of(const Json& status);
// Sentences about who might take rows past the gate: nothing is wrong yet.
std::vector<std::string> warned_now(const Json& status);
// Drills that were not held for longer than they may: red, and not unsafe by themselves.
std::vector<std::string> late_drills(const Json& status);
std::string status_text(const Json& status, const Look& look);

struct Writer {
  std::string residency;
  std::string region;  // empty: nobody
  std::optional<std::int64_t>
      until_ms;  // here: until its lease's end. Elsewhere: until it is surely over, seen from here
  bool here = false;
  std::string why;
  std::string guard = {};  // what the database here says: open, fenced, closed; empty: not known
};
std::vector<Writer> writers_of(const Json& status);
Json json_of(const std::vector<Writer>& writers);
std::string writers_text(const Json& status, const Look& look);

// The quorum's own state: members, quota, alarms.
std::string quorum_line(const Json& status);

// Columns as wide as their widest cell; the last one is not padded.
std::string columns_text(const std::vector<std::vector<std::string>>& rows, const Look& look);

}  // namespace domicile::cli
