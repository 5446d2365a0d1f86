// First rows of a link: the exporting region reads them at the exported snapshot of the link's fresh slot, so that the
// slot continues exactly where they end; the importing region writes them.
//
// A session is one slot with one snapshot, alive as long as its Exporter. An importer that died resumes the same
// session (tables journaled complete are skipped, the others begin again); when the session is gone too, everything
// begins again: tables of two snapshots cannot continue from one slot. "Begin again" deletes the residency's rows
// first. An upsert would leave the rows that the owner deleted between the two attempts.
#pragma once
#include <functional>
#include <set>

#include "base/clock.hpp"
#include "engines/postgres/links/parts.hpp"

namespace domicile::postgres::links {

struct CopySession {
  std::string id;     // names slot and snapshot; never used twice
  Position position;  // the slot's consistent point: the rows are exactly those of every commit before it
};

// Whole lines of COPY's text format, each with its newline. An error ends the table.
using RowSink = std::function<Result<void>(std::string_view lines)>;

// The exporting side as the importing one sees it. The agents put their control API between the two.
class CopySource {
 public:
  virtual ~CopySource() = default;
  virtual Result<CopySession> session() = 0;
  // `conflict` when the session is not this one any more. The rows of `parts`, or the sums of split(parts, bits).
  virtual Result<void> read(const std::string& session, const MappedTable& table, const Parts& parts,
                            const RowSink& sink) = 0;
  virtual Result<PartSums> sums(const std::string& session, const MappedTable& table, const Parts& parts, int bits) = 0;
  virtual Result<void> close(const std::string& session) = 0;  // everything is journaled at the importer
};

struct ExportOptions {
  // A slot of that name from an unfinished session may be dropped. Only the current owner may say so, and never when
  // the slot belongs to an ended epoch: it may hold salvage. A slot journaled `ready` needs `replace_ready` as well.
  bool replace_unfinished = true;
  bool replace_ready = false;
  // Creating a slot waits for every transaction that is open in the database.
  Micros slot_timeout = 30 * kSecond;
};

class Exporter final : public CopySource {
 public:
  // Makes slot and snapshot. `unavailable` when open transactions outlasted the timeout: the error names their number;
  // nothing is left behind.
  static Result<Exporter> begin(const std::string& conninfo, const LinkSpec& link, const ExportOptions& options = {});
  Result<CopySession> session() override { return session_; }
  Result<void> read(const std::string& session, const MappedTable& table, const Parts& parts,
                    const RowSink& sink) override;
  Result<PartSums> sums(const std::string& session, const MappedTable& table, const Parts& parts, int bits) override;
  Result<void> close(const std::string& session) override;

 private:
  Exporter(Connection snapshot, Connection reader, LinkSpec link, CopySession session, std::string snapshot_name);
  Result<MappedTable> own_table(const std::string& session, const MappedTable& table) const;
  // Runs `work` in the session's snapshot as the link's role, with what it may read of the table.
  Result<void> in_snapshot(const MappedTable& table, const std::function<Result<void>(const std::string&)>& work);
  Connection snapshot_;  // holds the snapshot: closing it or sending it a command would end it
  Connection reader_;
  LinkSpec link_;
  CopySession session_;
  std::string snapshot_name_;
};

struct ImportOptions {
  std::size_t batch_bytes = 1 << 20;
  std::function<void(const std::string& table, std::int64_t rows)> progress = {};
};

// Brings all first rows of `link` here and journals each table; returns when every table is complete. Writes under
// domicile.permit(residency, 'link'), so the guard refuses it where the residency is owned.
Result<CopySession> import_first_rows(const Sql& sql, const LinkSpec& link, CopySource& source,
                                      const ImportOptions& options = {});

// The same for a session that the caller has begun.
Result<CopySession> import_session(const Sql& sql, const LinkSpec& link, CopySource& source, const CopySession& session,
                                   const ImportOptions& options);

// Is every table of the link (and the marker) journaled complete here?
Result<bool> copy_complete(const Sql& sql, const LinkSpec& link);
// A region that owned the residency, or followed another owner of it up to the fence, has all rows without a copy.
// `position`: where its history and the source's meet. `session`: by what it is known.
Result<void> journal_without_copy(const Sql& sql, const LinkSpec& link, const Position& position,
                                  const std::string& session = "switch");

}  // namespace domicile::postgres::links
