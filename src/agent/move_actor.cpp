#include "agent/move_actor.hpp"

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <future>
#include <thread>

#include "agent/row_stream.hpp"

namespace domicile::agent {

using moves::Move;
using moves::Phase;

namespace {

constexpr Micros kAnswer = 5 * kSecond, kLong = 600 * kSecond;
constexpr Micros kRetry = 200 * kMillisecond;

Move in_phase(Move move, Phase phase, std::string note = {}) {
  move.phase = phase;
  move.note = std::move(note);
  return move;
}

PhaseQuestion question_about(const Move& move, Micros patience = kSecond) {
  auto awaited = moves::awaited_everywhere(move);
  return {move, awaited.gateway, awaited.settled, std::move(awaited.gone), patience};
}

Result<void> accepted(const HttpResponse& response, const std::string& region) {
  if (response.status < 400) return {};
  const auto json = parse_json(response.body, "the answer");
  const auto what = json ? member_or<std::string>(*json, "what", "").value_or("") : "";
  const auto kind = response.status == 403   ? Kind::refused
                    : response.status == 409 ? Kind::conflict
                    : response.status == 400 ? Kind::invalid_input
                    : response.status == 500 ? Kind::corrupt
                                             : Kind::unavailable;
  const auto code = json ? member_or<std::string>(*json, "code", "").value_or("") : "";
  return fail(kind, fmt::format("{} answers: {}", region, what), "", code);
}

Result<bool> certificate_names(const fs::path& file, const std::string& host) {
  const auto text = TRY(read_file(file));
  const std::unique_ptr<BIO, decltype(&BIO_free)> bytes(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())),
                                                        &BIO_free);
  const std::unique_ptr<X509, decltype(&X509_free)> certificate(
      bytes ? PEM_read_bio_X509(bytes.get(), nullptr, nullptr, nullptr) : nullptr, &X509_free);
  if (!certificate) return fail(Kind::failed, file.string() + " is no certificate");
  return X509_check_host(certificate.get(), host.data(), host.size(), 0, nullptr) == 1;
}

// Waiting mends these; anything else means that this move cannot go on.
bool passes(const Error& error) { return error.kind == Kind::unavailable || error.kind == Kind::unknown_outcome; }

}  // namespace

Result<Json> MoveActor::ask(const std::string& region, const std::string& what, const Json& body, Micros timeout) {
  const auto& config = *calls_.setup().config;
  if (region == config.region) {
    if (what == "find") return calls_.find(body);
    if (what == "advance") return calls_.advance(body);
    if (what == "obeyed") return calls_.obeyed(body);
    if (what == "summary") return calls_.summary(body, region);
    if (what == "seal") return calls_.seal(body, region);
    if (what == "compare") return calls_.compare(body, region);
    return calls_.remove(body, region);
  }
  const auto site = config.sites.find(region);
  if (site == config.sites.end()) return fail(Kind::invalid_input, "no address of " + region);
  const auto response =
      TRY(http_.send({"POST", site->second.api + "/v1/moves/" + what, {"Expect:"}, dump(body), timeout}));
  CHECK_OK(accepted(response, region));
  return parse_json(response.body, "the answer of " + region);
}

Result<void> MoveActor::fetch(const std::string& region, const Move& move, const postgres::MoveTable& table,
                              const std::vector<int>& buckets, const postgres::RowSink& sink) {
  const auto& config = *calls_.setup().config;
  if (region == config.region) {
    auto rows = TRY(calls_.open_rows(move, region, region, false));
    const auto same = std::ranges::find_if(
        rows.tables(), [&](const postgres::MoveTable& each) { return each.qualified() == table.qualified(); });
    if (same == rows.tables().end()) return fail(Kind::failed, table.qualified() + " is gone");
    return rows.read(*same, move.from, move.tenant, buckets, sink);
  }
  const auto response =
      TRY(receive_lines(http_,
                        {"POST",
                         config.sites.at(region).api + "/v1/moves/rows",
                         {"Expect:"},
                         dump({{"move", moves::json_of(move)}, {"table", table.qualified()}, {"buckets", buckets}}),
                         patience()},
                        sink));
  return accepted(response, region);
}

// The directory's owner has the only true one.
Result<std::optional<Move>> MoveActor::find(const std::string& tenant) {
  const auto answer =
      TRY(ask(TRY(calls_.owner_of(std::string(topology::kDirectory))), "find", {{"tenant", tenant}}, kAnswer));
  const Json move = TRY(member<Json>(answer, "move"));
  if (move.is_null()) return std::optional<Move>();
  return std::optional<Move>(TRY(moves::move_of(move)));
}

Result<Move> MoveActor::advance(const Move& now, const Move& next) {
  stall_.reach(fmt::format("move.{}.done", moves::name_of(now.phase)));
  return moves::move_of(TRY(ask(TRY(calls_.owner_of(std::string(topology::kDirectory))), "advance",
                                {{"now", moves::json_of(now)}, {"next", moves::json_of(next)}}, kAnswer)));
}

// All regions at once; the first that does not obey is told.
Result<void> MoveActor::everywhere(PhaseQuestion question) {
  const auto& config = *calls_.setup().config;
  const Json body = json_of(question);
  std::vector<std::future<Result<Json>>> asked;
  std::vector<std::string> regions;
  for (const auto& region : calls_.setup().topology->regions) {
    regions.push_back(region.name);
    auto& http = peers_.try_emplace(region.name, config.api.tls).first->second;
    asked.push_back(std::async(std::launch::async, [&, name = region.name.str()]() -> Result<Json> {
      if (name == config.region) return calls_.obeyed(body);
      const auto response = TRY(http.send({"POST",
                                           config.sites.at(name).api + "/v1/moves/obeyed",
                                           {"Expect:"},
                                           dump(body),
                                           question.patience + kAnswer}));
      CHECK_OK(accepted(response, name));
      return parse_json(response.body, "the answer of " + name);
    }));
  }
  std::string missing;
  for (std::size_t i = 0; i < asked.size(); ++i) {
    const auto answer = asked[i].get();
    const bool obeyed = answer && member_or<bool>(*answer, "obeyed", false).value_or(false);
    if (obeyed || !missing.empty()) continue;
    missing = fmt::format("{}: {}", regions[i],
                          answer ? member_or<std::string>(*answer, "why", "").value_or("") : one_line(answer.error()));
  }
  return missing.empty() ? Result<void>() : fail(Kind::unavailable, missing);
}

Result<postgres::TenantRows*> MoveActor::receiver(const Move& move) {
  if (!receiver_ || !receiver_->alive())
    receiver_.emplace(
        TRY(calls_.open_rows(move, TRY(calls_.owner_of(move.from)), calls_.setup().config->region, true)));
  return &*receiver_;
}

// While the tenant is held, nothing may take longer than it may be held at all.
Micros MoveActor::patience() const {
  if (held_since_ == 0) return kLong;
  return std::max(held_since_ + limits_.sealed - monotonic_now(), kMillisecond);
}

// What the source holds: all of it first, then what has changed since.
Result<moves::Summary> MoveActor::look_at(const std::string& source, const std::string& what, Json question,
                                          Micros timeout) {
  if (theirs_) question["since"] = theirs_->look;
  const auto answer = TRY(ask(source, what, question, timeout));
  auto rows = TRY(moves::summary_of(TRY(member<Json>(answer, "summary"))));
  const auto look = TRY(member<std::string>(answer, "look"));
  if (!TRY(member<bool>(answer, "whole"))) {
    if (!theirs_) return fail(Kind::corrupt, source + " tells what has changed, and was not asked that");
    rows = moves::merged(theirs_->rows, rows);
  }
  theirs_ = Looked{look, rows};
  return rows;
}

Result<MoveActor::Pass> MoveActor::pass(const Move& move, const SourceSummary& source_summary) {
  const auto source = TRY(calls_.owner_of(move.from));
  auto* rows = TRY(receiver(move));
  auto asked = std::async(std::launch::async, [&] { return source_summary(source); });
  auto known = ours_ ? Result<moves::Summary>(*std::move(ours_)) : rows->summary(move.to, move.tenant);
  ours_.reset();  // until all that differs has come
  auto theirs = asked.get();
  if (!theirs) return tl::unexpected<Error>(theirs.error());
  if (!known) return tl::unexpected<Error>(known.error());
  Pass pass{0, *std::move(theirs), *std::move(known)};
  std::map<std::string, std::vector<int>> changed;
  for (const auto& table : rows->tables())
    for (const auto& group :
         moves::differences(pass.theirs[table.qualified()], pass.ours[table.qualified()], limits_.group)) {
      pass.came += TRY(rows->stage(move, table, group, [&](const postgres::RowSink& sink) {
        return fetch(source, move, table, group.buckets, sink);
      }));
      stall_.reach(fmt::format("move.{}.some", moves::name_of(move.phase)));
      auto& numbers = changed[table.qualified()];
      numbers.insert(numbers.end(), group.buckets.begin(), group.buckets.end());
    }
  CHECK_OK(rows->surplus(move));
  for (const auto& table : rows->tables()) {
    const auto& numbers = changed[table.qualified()];
    if (numbers.empty()) continue;
    auto& ours = pass.ours[table.qualified()];
    for (const int number : numbers) ours.erase(number);
    ours.merge(TRY(rows->summary(table, move.to, move.tenant, numbers)));
  }
  ours_ = pass.ours;
  return pass;
}

// A client that comes to the new owner's gateway must find its host in that residency's certificate.
Result<void> MoveActor::check_certificate(const Move& move) {
  const auto& gateway = calls_.setup().config->gateway;
  if (!gateway || !gateway->certificates.contains(move.to)) return {};
  const fs::path file = gateway->certificates.at(move.to).certificate;
  for (const auto& host : TRY(calls_.hosts_of(move.tenant)))
    if (!TRY(certificate_names(file, host)))
      return fail(Kind::refused, fmt::format("the certificate of {} names no {}", move.to, host),
                  "have it issued for that host as well, then move the tenant", "DOM-E719");
  return {};
}

Result<Move> MoveActor::copy(const Move& move) {
  CHECK_OK(check_certificate(move));
  CHECK_OK(everywhere(question_about(move)));
  const auto summary = [&](const std::string& source) -> Result<moves::Summary> {
    return look_at(source, "summary", {{"move", moves::json_of(move)}}, kLong);
  };
  // Under steady writes each pass brings what changed during the one before: no use to go on once that is all.
  for (std::int64_t before = INT64_MAX, came = 0;; before = came) {
    came = TRY(pass(move, summary)).came;
    if (came <= limits_.rest || came > before / 2) break;
  }
  // Nobody is held for a region that does not answer; and the connections are warm while somebody is.
  CHECK_OK(everywhere(question_about(move)));
  return in_phase(move, Phase::holding);
}

Result<Move> MoveActor::hold(const Move& move) {
  const auto question = question_about(move, limits_.hold);
  // A restarted actor knows nothing of the copy: it looks while nobody waits for that alone.
  auto held_everywhere = std::async(std::launch::async, [&] { return everywhere(question); });
  if (!ours_) ours_ = TRY(TRY(receiver(move))->summary(move.to, move.tenant));
  const auto held = held_everywhere.get();
  if (held) return in_phase(move, Phase::sealed);
  return in_phase(move, Phase::aborting, "not every region held the tenant: " + held.error().what);
}

Result<Move> MoveActor::seal(const Move& move) {
  const auto question = question_about(move, limits_.hold);
  auto applied = std::async(std::launch::async, [&] { return everywhere(question); });
  // The old owner's guard is what makes its rows final: the rest is fetched while the others' are still on their way.
  const auto compared = pass(move, [&](const std::string& source) -> Result<moves::Summary> {
    return look_at(source, "seal", json_of(question), patience());
  });
  CHECK_OK(applied.get());
  CHECK_OK(compared);
  if (compared->ours != compared->theirs) return fail(Kind::unavailable, "the copy is not yet what the source has");
  Move next = in_phase(move, Phase::flipped);
  next.digest = moves::digest_of(compared->theirs);
  return next;
}

Result<Move> MoveActor::flip(const Move& move) {
  CHECK_OK(everywhere(question_about(move, limits_.hold)));
  return in_phase(move, Phase::releasing);
}

Result<Move> MoveActor::release(const Move& move) {
  CHECK_OK(everywhere(question_about(move)));
  TRY(ask(TRY(calls_.owner_of(move.from)), "compare", {{"move", moves::json_of(move)}}, kLong));
  return in_phase(move, Phase::deleting);
}

Result<Move> MoveActor::erase(const Move& move) {
  TRY(ask(TRY(calls_.owner_of(move.from)), "remove", {{"move", moves::json_of(move)}}, kLong));
  CHECK_OK(everywhere(question_about(move, 5 * kSecond)));
  return in_phase(move, Phase::done);
}

Result<Move> MoveActor::take_back(const Move& move) {
  TRY(TRY(receiver(move))->remove(move.to, move.tenant));
  CHECK_OK(everywhere(question_about(move, 5 * kSecond)));
  return in_phase(move, Phase::aborted, move.note);
}

Result<Move> MoveActor::step(const Move& move) {
  stall_.reach(fmt::format("move.{}", moves::name_of(move.phase)));
  switch (move.phase) {
    case Phase::copying:
      return copy(move);
    case Phase::holding:
      return hold(move);
    case Phase::sealed:
      return seal(move);
    case Phase::flipped:
      return flip(move);
    case Phase::releasing:
      return release(move);
    case Phase::deleting:
      return erase(move);
    case Phase::aborting:
      return take_back(move);
    case Phase::done:
    case Phase::aborted:
      break;
  }
  return fail(Kind::failed, "it has ended");
}

void MoveActor::run(const std::stop_token& stop, const std::string& tenant,
                    const std::function<void(std::string)>& trouble) {
  const auto& setup = calls_.setup();
  std::optional<Move> move;
  std::string told;
  while (!stop.stop_requested()) {
    Result<void> gone_on;
    if (!move) {
      auto found = find(tenant);
      if (found && (!*found || !moves::live((*found)->phase))) return;
      if (found)
        move = **found;
      else
        gone_on = tl::unexpected<Error>(found.error());
    }
    if (move) {
      const auto owner = calls_.owner_of(move->to);
      if (owner && *owner != setup.config->region) return;
      if (moves::held(move->phase) && held_since_ == 0) held_since_ = monotonic_now();
      const Micros began = monotonic_now();
      auto next = step(*move);
      if (!next && moves::abortable(move->phase) &&
          (!passes(next.error()) || (held_since_ != 0 && monotonic_now() > held_since_ + limits_.sealed)))
        next = in_phase(*move, Phase::aborting, next.error().what);
      if (next) next = advance(*move, *next);
      if (next) {
        setup.events->add(
            fmt::format("move.{}", moves::name_of(next->phase)),
            fmt::format("{}: {} to {}{}{}", next->id, next->from, next->to, next->note.empty() ? "" : ", ", next->note),
            next->to, 0, next->id, monotonic_now() - began);
        if (!moves::live(next->phase)) return;
        move = *next;
        if (!moves::held(move->phase)) held_since_ = 0;
      } else {
        gone_on = tl::unexpected<Error>(next.error());
        move.reset();  // whatever was read is asked for again
        ours_.reset();
      }
    }
    const auto why = gone_on ? std::string() : one_line(gone_on.error());
    trouble(why);
    if (!why.empty() && why != told) setup.log.warn("move.waits", "a move does not go on", {{Field::reason, why}});
    told = why;
    if (!gone_on) {
      Bell pause;
      pause.wait(0, monotonic_now() + kRetry);
    }
  }
}

}  // namespace domicile::agent
