// May this message of a link's stream pass? Judged message by message, before any of it is forwarded.
//
// A message that does not fit names a rule (docs/gate.md lists them) and never a row's value. After the first one the
// link stands still: what follows it in the log would be read against a table that nobody has looked at.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "gate/protocol/pgoutput.hpp"

namespace domicile::gate {

struct LinkTable {
  std::string schema, name;
  std::string residency_column;      // empty: the table's rows have none and all of them belong
  std::vector<std::string> columns;  // what the link's form lets out
  std::string qualified() const { return schema + "." + name; }
};

// What one link may carry.
struct LinkRule {
  std::string link, residency;
  std::vector<LinkTable> tables;
};

enum class Rule {
  message,           // not well formed
  kind,              // streamed, prepared or logical: never asked for
  order,             // outside of its transaction
  table,             // a table that the link does not carry
  column,            // a column that the link's form does not let out
  residency_column,  // the table's residency column is not in the stream, so that no row can be judged
  relation,          // a row of a table that was not described before
  shape,             // a row with other columns than its table was described with
  binary,            // a value in binary form
  residency,         // a row of another residency, or of one that cannot be seen
  old_residency,     // the same of a row as it was before
  truncate,          // TRUNCATE
  size,              // larger than the gate may keep in memory, and so not judged
};
std::string_view name_of(Rule rule);

struct Violation {
  Rule rule;
  std::string what;  // a sentence; names of tables and columns only
};

// Since the link began: what the transfer register adds up.
struct Passed {
  std::uint64_t rows = 0, bytes = 0;
};

// A marker of the owner's clock that has passed (core/authority: markers are committed five times a second).
struct PassedMarker {
  Lsn commit = 0;  // the end of its transaction
  std::int64_t clock_us = 0, epoch = 0;
};

class Check {
 public:
  explicit Check(LinkRule rule) : rule_(std::move(rule)) {}

  // Empty: it may pass, and is counted.
  std::optional<Violation> look(std::string_view message);
  // The end of the last transaction that was looked at whole; 0 at first. Between transactions iff !in_transaction().
  Lsn committed() const { return committed_; }
  bool in_transaction() const { return in_transaction_; }
  const std::map<std::string, Passed>& passed() const { return passed_; }  // by schema.table
  // The last marker whose transaction was looked at whole; commit 0: none yet.
  const PassedMarker& marker() const { return marker_; }

 private:
  struct Known {  // a table as the stream has described it
    const LinkTable* table;
    std::size_t columns;
    std::optional<std::size_t> residency;     // the place of its residency column
    std::optional<std::size_t> clock, epoch;  // of the marker table's columns
    Passed* passed;
  };
  std::optional<Violation> see(const Begin& begin);
  std::optional<Violation> see(const Commit& commit);
  std::optional<Violation> see(const Origin&);
  std::optional<Violation> see(const Relation& relation);
  std::optional<Violation> see(const Type&) { return {}; }
  std::optional<Violation> see(const Insert& insert);
  std::optional<Violation> see(const Update& update);
  std::optional<Violation> see(const Delete& removal);
  std::optional<Violation> see(const Truncate&);
  std::optional<Violation> see(const Foreign& foreign);
  std::optional<Violation> judge(std::uint32_t relation, Tuple row, Rule rule);
  void count(std::uint32_t relation, std::size_t bytes);
  void note_marker(std::uint32_t relation, Tuple row);

  LinkRule rule_;
  Decoder decoder_;
  std::unordered_map<std::uint32_t, Known> known_;
  std::map<std::string, Passed> passed_;
  std::size_t size_ = 0;  // of the message in hand
  Lsn committed_ = 0;
  PassedMarker marker_, open_marker_;  // open: of the transaction in hand
  bool in_transaction_ = false;
};

}  // namespace domicile::gate
