#include "engines/postgres/links/repair.hpp"

#include <algorithm>

#include "engines/postgres/links/order.hpp"

namespace domicile::postgres::links {

namespace {

// A part of a table of a million rows has 244 of them; a fine one four.
constexpr int kCoarse = 12, kFine = 6;
// Beyond this a whole copy moves less than sums and rows in parts.
constexpr std::size_t kMostDiffering = (std::size_t{1} << kCoarse) / 2;
constexpr std::int64_t kFewRows = 8;      // of a coarse part: they cost less than finer sums
constexpr std::int64_t kSmall = 100'000;  // rows of a table that is compared whatever differs

// One table in the course of a repair.
struct Work {
  MappedTable table;
  std::vector<std::string> key;
  PartSums theirs;
  Parts differs;      // fine parts whose rows are staged
  std::string stage;  // temporary table; empty: nothing differs
  RepairedTable done;
};

class Repair {
 public:
  Repair(const Sql& sql, const LinkSpec& link, CopySource& source, const RepairOptions& options)
      : sql_(sql), link_(link), source_(source), options_(options) {}

  Result<Repaired> run() {
    CHECK_OK(print_alike(sql_));
    out_.session = TRY(source_.session());
    const auto journal = TRY(read_link_journal(sql_, link_.name, false));
    CHECK_OK(write_link_journal(
        sql_, link_.name, false,
        {out_.session.id, out_.session.position, "resync", journal ? journal->reason : "it is being repaired"}));
    CHECK_OK(gather_tables());
    for (auto& work : works_) {
      if (TRY(compare(work))) continue;
      CHECK_OK(copy_whole(work));
      return std::move(out_);
    }
    if (options_.before_change) CHECK_OK(tell_differences());
    CHECK_OK(apply());
    for (auto& work : works_) CHECK_OK(prove(work));
    CHECK_OK(journal_done());
    return std::move(out_);
  }

 private:
  void say(const Work& work, const std::string& what) const {
    if (options_.progress) options_.progress(work.table.qualified(), what);
  }
  std::string mine(const Work& work) const { return belongs(sql_, link_, work.table); }
  Result<PartSums> my_sums(const Work& work, const Parts& of, int bits) const {
    return read_sums(sql_, work.table, work.key, name_of(sql_, work.table), mine(work), of, bits);
  }
  Result<PartSums> their_sums(const Work& work, const Parts& of, int bits) {
    auto sums = TRY(source_.sums(out_.session.id, work.table, of, bits));
    if (sums.sums.size() != of.numbers.size() << bits)
      return fail(Kind::corrupt, "the source's sums are not of the parts that were asked for");
    return sums;
  }

  Result<void> gather_tables() {
    const auto unordered = tables_of(link_);
    std::vector<std::string> names;
    for (const auto& table : unordered) names.push_back(table.qualified());
    for (const auto at : TRY(parents_first(sql_, names))) {
      Work work;
      work.table = unordered[at];
      work.key = TRY(key_of(sql_, work.table));
      work.done.table = work.table.qualified();
      works_.push_back(std::move(work));
    }
    return {};
  }

  // False: so much differs that everything is copied.
  Result<bool> compare(Work& work) {
    const Parts whole, coarse = split(whole, kCoarse);
    work.theirs = TRY(their_sums(work, whole, kCoarse));
    work.done.rows = work.theirs.rows;
    const Parts differs = differing(coarse, work.theirs, TRY(my_sums(work, whole, kCoarse)));
    say(work, fmt::format("{} of {} parts differ", differs.numbers.size(), coarse.numbers.size()));
    if (differs.numbers.empty()) return true;
    if (differs.numbers.size() > kMostDiffering && work.theirs.rows > kSmall && !options_.before_change) return false;
    work.differs = differs;
    if (work.theirs.rows > kFewRows << kCoarse)
      work.differs =
          differing(split(differs, kFine), TRY(their_sums(work, differs, kFine)), TRY(my_sums(work, differs, kFine)));
    CHECK_OK(fetch(work));
    return true;
  }

  Result<void> fetch(Work& work) {
    work.stage = fmt::format("domicile_repair_{}", &work - works_.data());
    const auto stage = "pg_temp." + sql_.name(work.stage), columns = column_list(sql_, work.table);
    CHECK_OK(sql_.simple("DROP TABLE IF EXISTS " + stage));
    CHECK_OK(sql_.simple(fmt::format("CREATE TEMPORARY TABLE {} AS SELECT {} FROM {} WITH NO DATA",
                                     sql_.name(work.stage), columns, name_of(sql_, work.table))));
    CHECK_OK(sql_.connection().begin_copy_in(fmt::format("COPY {} ({}) FROM STDIN", stage, columns)));
    const auto read = source_.read(out_.session.id, work.table, work.differs,
                                   [&](std::string_view lines) { return sql_.connection().put_copy(lines); });
    if (!read) {
      sql_.connection().abort_copy_in("the source's rows ended early");
      return tl::unexpected<Error>(read.error());
    }
    work.done.fetched = TRY(sql_.connection().end_copy_in());
    say(work, fmt::format("{} rows came", work.done.fetched));
    return {};
  }

  std::string same_key(const Work& work, const char* a, const char* b) const {
    std::string same;
    for (const auto& column : work.key)
      same += fmt::format("{0}{1}.{3} = {2}.{3}", same.empty() ? "" : " AND ", a, b, sql_.name(column));
    return same;
  }

  std::string row_text(const Work& work, const char* prefix) const {
    std::string list;
    for (const auto& column : work.table.columns)
      list += fmt::format("{}{}.{}", list.empty() ? "" : ", ", prefix, sql_.name(column));
    return "ROW(" + list + ")::text";
  }

  Result<void> tell_differences() {
    std::vector<DifferingRows> tables;
    for (auto& work : works_) {
      if (work.stage.empty()) continue;
      DifferingRows out{work.table, work.key, {}};
      std::vector<std::size_t> places;
      std::string key;
      for (const auto& column : work.key) {
        places.push_back(
            static_cast<std::size_t>(std::ranges::find(work.table.columns, column) - work.table.columns.begin()));
        key += (key.empty() ? "" : ", ") + sql_.name(column);
      }
      const auto name = name_of(sql_, work.table), stage = "pg_temp." + sql_.name(work.stage);
      for (auto& row : TRY(sql_.simple(fmt::format(
               "SELECT {0}, EXISTS (SELECT FROM {4} s WHERE {5}) FROM {1} t WHERE {2} AND {3} AND NOT EXISTS (SELECT "
               "FROM "
               "{4} s WHERE {5} AND {6} = {7})",
               column_list(sql_, work.table), name, mine(work), in_parts(sql_, work.key, work.differs, "t."), stage,
               same_key(work, "t", "s"), row_text(work, "t"), row_text(work, "s"))))) {
        Differing differing;
        for (const auto place : places) differing.key.push_back(row[place]);
        differing.theirs = row.back() == "t";
        row.pop_back();
        differing.ours = std::move(row);
        out.rows.push_back(std::move(differing));
      }
      for (auto& row : TRY(sql_.simple(fmt::format("SELECT {} FROM {} s WHERE NOT EXISTS (SELECT FROM {} t WHERE {})",
                                                   key, stage, name, same_key(work, "t", "s")))))
        out.rows.push_back({std::move(row), {}, true});
      tables.push_back(std::move(out));
    }
    return options_.before_change(tables);
  }

  Result<void> remove(Work& work) {
    if (work.stage.empty()) return {};
    const auto rows =
        TRY(sql_.simple(fmt::format("WITH gone AS (DELETE FROM {} t WHERE {} AND {} AND NOT EXISTS (SELECT FROM "
                                    "pg_temp.{} s WHERE {}) RETURNING 1) "
                                    "SELECT pg_catalog.count(*) FROM gone",
                                    name_of(sql_, work.table), mine(work), in_parts(sql_, work.key, work.differs, "t."),
                                    sql_.name(work.stage), same_key(work, "t", "s"))));
    work.done.removed = std::stoll(*rows.at(0).at(0));
    return {};
  }

  Result<void> write(Work& work) {
    if (work.stage.empty()) return {};
    std::string changes, ours, theirs, key;
    for (const auto& column : work.key) key += (key.empty() ? "" : ", ") + sql_.name(column);
    for (const auto& column : work.table.columns) {
      if (std::ranges::find(work.key, column) != work.key.end()) continue;
      const char* comma = changes.empty() ? "" : ", ";
      changes += fmt::format("{0}{1} = excluded.{1}", comma, sql_.name(column));
      ours += fmt::format("{}t.{}", comma, sql_.name(column));
      theirs += fmt::format("{}excluded.{}", comma, sql_.name(column));
    }
    const auto conflict = changes.empty() ? std::string("DO NOTHING")
                                          : fmt::format(
                                                "DO UPDATE SET {} WHERE ROW({})::text IS DISTINCT FROM "
                                                "ROW({})::text",
                                                changes, ours, theirs);
    const auto columns = column_list(sql_, work.table);
    const auto rows = TRY(sql_.simple(
        fmt::format("WITH done AS (INSERT INTO {0} AS t ({1}) OVERRIDING SYSTEM VALUE SELECT {1} FROM pg_temp.{2} "
                    "ON CONFLICT ({3}) {4} RETURNING 1) SELECT pg_catalog.count(*) FROM done",
                    name_of(sql_, work.table), columns, sql_.name(work.stage), key, conflict)));
    work.done.written = std::stoll(*rows.at(0).at(0));
    return {};
  }

  // One transaction, so that whoever reads here sees a copy of one instant.
  Result<void> apply() {
    const auto removals = [&]() -> Result<void> {
      for (auto work = works_.rbegin(); work != works_.rend(); ++work) CHECK_OK(remove(*work));
      return {};
    };
    const auto writes = [&]() -> Result<void> {
      for (auto& work : works_) CHECK_OK(write(work));
      return {};
    };
    const auto run = [&](bool removals_first) {
      return in_transaction(sql_, [&]() -> Result<void> {
        CHECK_OK(sql_.query("SELECT domicile.permit($1, 'link')", {link_.residency}));
        CHECK_OK(removals_first ? removals() : writes());
        return removals_first ? writes() : removals();
      });
    };
    // A row that goes may have a unique value that one which comes needs, or be referenced until that has changed.
    const auto done = run(true);
    if (done || sqlstate_of(done.error()) != "23503") return done;
    return run(false);
  }

  Result<void> prove(Work& work) {
    const auto ours = work.stage.empty() ? work.theirs : TRY(my_sums(work, {}, kCoarse));
    if (ours != work.theirs)
      return fail(Kind::corrupt,
                  fmt::format("table {} is not equal to its source after the repair", work.table.qualified()),
                  "somebody writes here past the guard: domicile plan");
    work.done.digest = digest_of(work.theirs);
    out_.tables.push_back(work.done);
    return {};
  }

  Result<void> copy_whole(const Work& work) {
    const auto why = fmt::format("more than half of {}'s parts differ", work.table.qualified());
    if (options_.before_whole) CHECK_OK(options_.before_whole(why));
    out_.whole = true;
    out_.session = TRY(import_session(sql_, link_, source_, out_.session, options_.import));
    return {};
  }

  Result<void> journal_done() {
    CHECK_OK(journal_without_copy(sql_, link_, out_.session.position, out_.session.id));
    for (const auto& work : works_)
      if (!work.stage.empty()) CHECK_OK(sql_.simple("DROP TABLE pg_temp." + sql_.name(work.stage)));
    return source_.close(out_.session.id);
  }

  const Sql& sql_;
  const LinkSpec& link_;
  CopySource& source_;
  const RepairOptions& options_;
  std::vector<Work> works_;
  Repaired out_;
};

}  // namespace

Result<Repaired> repair_rows(const Sql& sql, const LinkSpec& link, CopySource& source, const RepairOptions& options) {
  return Repair(sql, link, source, options).run();
}

}  // namespace domicile::postgres::links
