#include "agent/drift_loop.hpp"

#include "engines/postgres/links/health.hpp"
#include "engines/postgres/salvage/book.hpp"

namespace domicile::agent {

using authority::Copy;

namespace {
constexpr Micros kAsk = 2 * kSecond;

Drift drift_of(const desired::Step& step) { return {step.object, step.sentence, "domicile apply"}; }
Drift drift_of(const desired::Finding& finding) {
  return {finding.object, fmt::format("{} [{}]", finding.cause, finding.code), "domicile plan prints the migration"};
}
}  // namespace

DriftLoop::DriftLoop(DriftSetup setup, Published<DriftSeen>& board) : setup_(std::move(setup)), board_(board) {
  store_ = setup_.make_store();
}

desired::Context DriftLoop::context() const {
  desired::Context context{*setup_.topology, setup_.region};
  context.today = topology::date_at(wall_now());  // an acceptance that has run out turns the status red, nothing more
  for (const auto& [name, board] : setup_.residencies) {
    const auto seen = board->get();
    const bool known = seen->record.has_value();
    if (known && seen->record->value.mode != authority::Mode::moving) context.owners[name] = seen->record->value.owner;
    // An epoch of this region's has ended, or its link has: until that is salvaged nothing of it is touched. Whoever
    // has just started does not know yet whose it is: what stood here when it ended may be evidence.
    const Copy::State state = setup_.disk->copy(name).state;
    const bool standing = state == Copy::State::owner || state == Copy::State::stopped || state == Copy::State::resync;
    if (standing && (!known || seen->record->value.owner != setup_.region)) context.salvage_open.insert(name);
  }
  return context;
}

void DriftLoop::mend(postgres::Connection& connection, const std::vector<desired::Step>& steps) {
  bool guard = false;
  for (const auto& step : steps) {
    tried_.insert(step.sentence);
    Result<void> done;
    bool published_less = false;
    if (step.act == desired::Act::guard_table) {
      if (!std::exchange(guard, true))
        if (const auto ran = connection.exec("SELECT domicile.guard_repair()"); !ran)
          done = tl::unexpected<Error>(ran.error());
    } else if (const auto restored = postgres::links::restore_publication(connection, step.object); !restored) {
      done = tl::unexpected<Error>(restored.error());
    } else {
      published_less = *restored;
    }
    if (!done) {
      setup_.log.warn("drift.not_mended", step.sentence, {{Field::reason, one_line(done.error())}});
      continue;
    }
    setup_.events->add("drift.mended", step.sentence);
    // What was missing in a publication meanwhile did not go over its link and never will. A link's receiver learns it
    // from the journal (lost_to_receiver) and is repaired; a salvage publication has none, so a person is told.
    if (published_less && step.object.starts_with(residency::salvage_publication("")))
      last_.lasting.push_back({step.object,
                               "publication " + step.object +
                                   " was changed by somebody and has been brought back; rows that were "
                                   "written meanwhile may be missing in what it tells",
                               "look at the rows of that time by hand; restart the agent when you have"});
  }
}

Result<std::vector<Drift>> DriftLoop::look() {
  if (!connection_ || !connection_->alive()) connection_ = TRY(postgres::open_session(setup_.store, "domicile-drift"));
  const auto context = this->context();
  auto examined = TRY(postgres::examine(*connection_, context));
  // A step that is no longer wanted was mended for good: if it comes back, it is done again.
  std::set<std::string> still;
  for (const auto& step : examined.plan.steps)
    if (tried_.contains(step.sentence)) still.insert(step.sentence);
  tried_ = std::move(still);
  auto mend = desired::mend_of(examined.plan, tried_);
  if (!mend.now.empty()) {
    this->mend(*connection_, mend.now);
    examined = TRY(postgres::examine(*connection_, context));
    mend = desired::mend_of(examined.plan, tried_);
  }
  last_.publications = examined.seen.publications;
  last_.subscriptions = examined.seen.subscriptions;
  last_.slots = examined.seen.slots;
  last_.salvage = TRY(postgres::open_salvage(*connection_));
  last_.warned.clear();
  for (const auto& finding : desired::warnings_of(examined.findings)) {
    last_.warned.push_back(drift_of(finding));
    last_.warned.back().fix = finding.advice;
  }
  std::vector<Drift> out;
  for (const auto& step : mend.report) out.push_back(drift_of(step));
  for (const auto& step : mend.now) out.push_back(drift_of(step));  // came up between two looks
  for (const auto& finding : desired::drift_of(examined.findings)) out.push_back(drift_of(finding));
  for (auto& lost : TRY(lost_links())) out.push_back(std::move(lost));
  return out;
}

// Also of an epoch that has ended: a lost slot is lost salvage.
Result<std::vector<Drift>> DriftLoop::lost_links() {
  std::vector<Drift> out;
  for (const auto& link : residency::links_of(*setup_.topology)) {
    if (link.from != setup_.region) continue;
    const auto lost = TRY(store_->lost_to_receiver({link.residency, link.from, link.to}));
    if (!lost.empty())
      out.push_back(
          {residency::name_of(link), lost, "make the copy of " + link.residency + " at " + link.to + " anew"});
  }
  return out;
}

// A source that does not answer, or is older than this question, says nothing: what was seen last stays.
void DriftLoop::compare_schema(const std::string& residency, const std::string& source) {
  const auto theirs = setup_.peers->call(
      source, "GET", fmt::format("/v1/schemas/{}?from={}&to={}", residency, source, setup_.region), Json(), kAsk);
  const auto here = store_->fingerprints({residency, source, setup_.region});
  if (!theirs || !theirs->is_object() || !here) return;
  postgres::links::Fingerprints owner;
  for (const auto& [table, print] : theirs->items())
    if (print.is_string()) owner[table] = print.get<std::string>();
  const std::string difference = postgres::links::schema_difference(owner, *here);
  std::string& last = last_.schema_differs[residency];
  if (difference == last) return;
  if (difference.empty())
    setup_.events->add("schema.agrees", "the schema here is that of " + source, residency);
  else  // it quotes what the other agent said, which goes into no log
    setup_.events->ordered("schema.differs", fmt::format("the schema here is not that of {}:", source), difference,
                           residency);
  last = difference;
}

// Is the copy here still a prefix of its source's history? The source's database says who it is and how far, its agent
// what it could not send. What is found is journaled in the database; the residency's loop ends the copy.
void DriftLoop::prove_copy(const std::string& residency, const std::string& source) {
  const replication::LinkName inbound{residency, source, setup_.region};
  const auto theirs = setup_.peers->call(
      source, "GET", fmt::format("/v1/links/{}?from={}&to={}", residency, source, setup_.region), Json(), kAsk);
  if (!theirs) return;  // it is gone, or older than this question; its database is not asked either
  if (!member_or<bool>(*theirs, "open", true).value_or(false)) return;
  const auto lost = member_or<std::string>(*theirs, "lost", "").value_or("");
  const auto proven = lost.empty() ? store_->compare_with_source(inbound)
                                   : store_->mark_resync(inbound, fmt::format("at {}: {}", source, lost));
  const std::string text = proven ? "" : one_line(proven.error());
  std::string& last = unproven_[residency];
  if (text != last && !proven)
    setup_.log.warn("copy.unproven", "the copy here could not be compared with its source",
                    {{Field::residency, residency}, {Field::reason, text}});
  last = text;
}

void DriftLoop::compare_copies() {
  for (const auto& residency : setup_.topology->residencies) {
    life_.alive();
    const std::string& name = residency.name;
    const Copy copy = setup_.disk->copy(name);
    if (copy.source.empty() || copy.source == setup_.region) {
      last_.schema_differs.erase(name);
      continue;
    }
    compare_schema(name, copy.source);
    if (copy.state == Copy::State::following) prove_copy(name, copy.source);
  }
}

void DriftLoop::run(const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any changed;
  while (!stop.stop_requested()) {
    life_.begin_pass();
    auto seen = look();
    if (seen) {
      for (const auto& drift : *seen)
        if (std::ranges::find(last_.drift, drift) == last_.drift.end())
          setup_.events->add("drift", drift.object + ": " + drift.what);
      last_.drift = std::move(*seen);
      last_.at = monotonic_now();
      last_.trouble.clear();
    } else {
      connection_.reset();
      last_.trouble = one_line(seen.error());
    }
    compare_copies();
    board_.set(last_);
    std::unique_lock lock(mutex);
    changed.wait_for(lock, stop, std::chrono::microseconds(setup_.period), [] { return false; });
  }
}

}  // namespace domicile::agent
