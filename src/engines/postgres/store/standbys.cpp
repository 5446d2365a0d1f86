#include "engines/postgres/store/standbys.hpp"

#include <poll.h>

#include <algorithm>

namespace domicile::postgres {

using replication::StandbysLook;

namespace {

constexpr Micros kObeyed = 2 * kSecond;  // until every process has read a new list
constexpr Micros kLook = 3 * kMillisecond;
constexpr Micros kProbed = 20 * kMillisecond;  // longer than a commit that waits for nobody
// Nobody connects by this name: whoever waits for it waits until it is taken off the list.
constexpr const char* kProbe = "domicile_probe";

class PostgresStandbys final : public replication::Standbys {
 public:
  explicit PostgresStandbys(StoreSettings settings) : settings_(std::move(settings)) {}

  Result<StandbysLook> look() override {
    CHECK_OK(connect());
    StandbysLook out;
    const auto now = TRY(connection_->exec(
        "SELECT pg_catalog.current_setting('synchronous_standby_names'), pg_catalog.clock_timestamp(), "
        "pg_catalog.pg_current_wal_insert_lsn(), domicile.standby_waiting(), "
        "pg_catalog.has_parameter_privilege('synchronous_standby_names', 'ALTER SYSTEM'), "
        "(SELECT reset_val FROM pg_catalog.pg_settings WHERE name = 'synchronous_commit')"));
    const auto links = links_in(now.at(0, 0));
    if (!links)
      out.refuses = "synchronous_standby_names is somebody else's";
    else
      out.names = *links;
    if (!now.truth(0, 4)) out.refuses = "the agent may not set synchronous_standby_names: domicile apply";
    out.moment = now.text(0, 1);
    out.written = authority::lsn_of(now.at(0, 2)).value_or(0);
    out.waiting = now.integer_or(0, 3, 0);
    out.others_wait = now.at(0, 5) != "off" && now.at(0, 5) != "local";  // who has switched it off keeps that
    const auto residencies = TRY(connection_->exec("SELECT residency FROM domicile.lease_waiting() AS residency"));
    for (int row = 0; row < residencies.size(); ++row) out.residencies.insert(residencies.text(row, 0));
    const auto senders = TRY(connection_->exec("SELECT link, streaming, confirmed FROM domicile.standby_senders()"));
    for (int row = 0; row < senders.size(); ++row)
      out.senders[senders.text(row, 0)] = {senders.truth(row, 1), authority::lsn_of(senders.at(row, 2)).value_or(0)};
    return out;
  }

  // For what asks for no more than a durable commit, `local` is `on` without a list.
  Result<void> others_do_not_wait() override {
    CHECK_OK(connect());
    CHECK_OK(connection_->exec("ALTER SYSTEM SET synchronous_commit = 'local'"));
    CHECK_OK(connection_->exec("SELECT domicile.standby_reload()"));
    return {};
  }

  // Three things obey the list, each when it reads it: senders, which let commits go; the process that tells sessions
  // whether there is a list at all; and sessions. A sender shows by its priority which list it obeys, so the priorities
  // of the list in between differ from those of both others. That sessions wait shows when one does.
  Result<void> wait_for(const std::vector<std::string>& links) override {
    CHECK_OK(connect());
    const auto before = links_in(TRY(connection_->exec("SHOW synchronous_standby_names")).at(0, 0));
    if (!before) return fail(Kind::refused, "synchronous_standby_names is somebody else's", "ALTER SYSTEM RESET it");
    if (links.empty()) return put(links);
    const auto done = [&]() -> Result<void> {
      std::vector<std::string> probed{kProbe};
      probed.insert(probed.end(), links.begin(), links.end());
      CHECK_OK(put(probed));
      CHECK_OK(senders_obey(probed));
      CHECK_OK(commits_wait());
      CHECK_OK(put(links));
      return senders_obey(links);
    }();
    if (!done) {
      connection_.reset();  // it may stand in a transaction that failed, where no command does anything any more
      CHECK_OK(connect());
      CHECK_OK(put(*before));
    }
    return done;
  }

  Result<void> residency_waits(const std::string& residency, bool waits) override {
    CHECK_OK(connect());
    CHECK_OK(connection_->exec_params("SELECT domicile.lease_waits($1, $2)", {residency, waits ? "true" : "false"}));
    return {};
  }

  Result<std::int64_t> older_than(const std::string& moment) override {
    CHECK_OK(connect());
    return TRY(connection_->exec_params("SELECT domicile.standby_older($1)", {moment})).integer(0, 0);
  }

  Result<void> end_waiting(const std::string& moment) override {
    CHECK_OK(connect());
    CHECK_OK(connection_->exec_params("SELECT domicile.standby_end_waiting($1)", {moment}));
    return {};
  }

  Result<void> end_blockers() override {
    CHECK_OK(connect());
    CHECK_OK(connection_->exec("SELECT domicile.standby_unblock()"));
    return {};
  }

 private:
  Result<void> connect() {
    if (!connection_ || !connection_->alive()) connection_ = TRY(open_session(settings_, "domicile-standbys"));
    return {};
  }

  template <class Done>
  Result<void> until(const char* what, Done done) {
    for (const Micros end = monotonic_now() + kObeyed; !TRY(done());) {
      if (monotonic_now() >= end) return fail(Kind::unavailable, what);
      ::poll(nullptr, 0, static_cast<int>(kLook / kMillisecond));
    }
    return {};
  }

  Result<void> put(const std::vector<std::string>& links) {
    const std::string names = standby_names(links);
    CHECK_OK(connection_->exec("ALTER SYSTEM SET synchronous_standby_names = " + Connection::quote_literal(names)));
    CHECK_OK(connection_->exec("SELECT domicile.standby_reload()"));
    return until("PostgreSQL did not read its list of standbys anew", [&]() -> Result<bool> {
      return TRY(connection_->exec("SHOW synchronous_standby_names")).at(0, 0) == names;
    });
  }

  // Of those that are connected; one that comes later reads the list that stands then.
  Result<void> senders_obey(const std::vector<std::string>& links) {
    return until("a sender does not obey the list of standbys yet", [&]() -> Result<bool> {
      const auto senders = TRY(connection_->exec("SELECT link, priority FROM domicile.standby_senders()"));
      for (int row = 0; row < senders.size(); ++row) {
        const auto place = std::ranges::find(links, senders.text(row, 0));
        if (place != links.end() && senders.integer_or(row, 1, 0) != place - links.begin() + 1) return false;
      }
      return true;
    });
  }

  // Under the list with nobody's name: a commit that had to be called back has waited. It writes no row: another
  // session's commit may wait already, holding its row's lock until this list has gone.
  Result<void> commits_wait() {
    return until("commits do not wait for standbys yet", [&]() -> Result<bool> {
      CHECK_OK(connection_->exec(
          "BEGIN; SELECT pg_catalog.pg_logical_emit_message(true, 'domicile', ''); SET LOCAL synchronous_commit = on"));
      // No statement_timeout ends this wait (PostgreSQL 15 disables it before the commit); a cancel request does.
      const auto committed = connection_->exec("COMMIT", monotonic_now() + kProbed);
      if (committed) return false;
      if (!connection_->alive()) return tl::unexpected<Error>(committed.error());
      return committed.error().kind == Kind::unknown_outcome;
    });
  }

  StoreSettings settings_;
  std::optional<Connection> connection_;
};

}  // namespace

std::string standby_names(const std::vector<std::string>& links) {
  if (links.empty()) return "";
  return fmt::format("FIRST {} ({})", links.size(), fmt::join(links, ", "));
}

std::optional<std::vector<std::string>> links_in(std::string_view names) {
  std::vector<std::string> links;
  const auto begin = names.find('('), end = names.rfind(')');
  if (names.empty()) return links;
  if (!names.starts_with("FIRST ") || begin == names.npos || end == names.npos || end < begin) return {};
  for (auto rest = names.substr(begin + 1, end - begin - 1); !rest.empty();) {
    const auto comma = rest.find(", ");
    const auto name = rest.substr(0, comma);
    if (!name.starts_with("domicile_")) return {};
    links.emplace_back(name);
    rest = comma == rest.npos ? std::string_view() : rest.substr(comma + 2);
  }
  if (standby_names(links) != names) return {};
  return links;
}

std::unique_ptr<replication::Standbys> make_standbys(StoreSettings settings) {
  return std::make_unique<PostgresStandbys>(std::move(settings));
}

}  // namespace domicile::postgres
