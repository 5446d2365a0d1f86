// Structured logs without personal data: a field's name comes from the closed list below, and its shape from the list
// in log.cpp, so that what may be logged is decided here, by type, and not by a pattern that tries to find personal
// data afterwards. Where a name or a number belongs, nothing else gets in. The sentences (a line's text, `reason`,
// `detail`) are our own and those of errors, which take no text from a row, a statement or a request
// (postgres/connection.cpp).
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace domicile {

enum class Level { debug, info, warn, error };

// Everything that a log line may carry besides its event name and its fixed text.
enum class Field {
  region,
  residency,
  epoch,
  switch_id,
  owner,
  from,
  to,
  mode,
  link,
  slot,
  table,
  step,
  peer,
  engine,
  path,
  pid,
  duration_ms,
  lag_ms,
  bytes,
  rows,
  count,
  lsn,
  code,
  reason,
  detail,
  tenant_count
};

std::string_view name_of(Field field);

enum class Shape {
  name,  // of a site, residency, table, position …: letters, digits and _.:/+-, at most 128
  number,
  sentence,
};
Shape shape_of(Field field);

using LogValue = std::variant<std::string, std::int64_t, double, bool>;
struct LogField {
  Field name;
  LogValue value;
};

// A log is an object that is passed on, not a global. Threads may share one.
class Log {
 public:
  enum class Format { text, json };
  // Writes whole lines to `fd` (2 = stderr) with a single write each. `region` is put into every line; may be empty.
  Log(int fd, Format format, Level least, std::string region);
  // `event` is a stable dotted name (switch.step), `text` a sentence for people. A value that has not its field's shape
  // is written as "?".
  void write(Level level, std::string_view event, std::string_view text,
             const std::vector<LogField>& fields = {}) const;
  void info(std::string_view event, std::string_view text, const std::vector<LogField>& fields = {}) const {
    write(Level::info, event, text, fields);
  }
  void warn(std::string_view event, std::string_view text, const std::vector<LogField>& fields = {}) const {
    write(Level::warn, event, text, fields);
  }
  void error(std::string_view event, std::string_view text, const std::vector<LogField>& fields = {}) const {
    write(Level::error, event, text, fields);
  }
  void debug(std::string_view event, std::string_view text, const std::vector<LogField>& fields = {}) const {
    write(Level::debug, event, text, fields);
  }

 private:
  int fd_;
  Format format_;
  Level least_;
  std::string region_;
};

}  // namespace domicile
