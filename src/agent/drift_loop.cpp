#include "agent/drift_loop.hpp"

#include "engines/postgres/links/health.hpp"

namespace domicile::agent {

using authority::Copy;

namespace {
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
    if (step.act == desired::Act::guard_table) {
      if (!std::exchange(guard, true))
        if (const auto ran = connection.exec("SELECT domicile.guard_repair()"); !ran)
          done = tl::unexpected<Error>(ran.error());
    } else if (const auto ran = connection.exec_params("SELECT domicile.publication_restore($1)", {step.object});
               !ran) {
      done = tl::unexpected<Error>(ran.error());
    }
    if (!done) {
      setup_.log.warn("drift.not_mended", step.sentence, {{Field::reason, one_line(done.error())}});
      continue;
    }
    setup_.events->add("drift.mended", step.sentence);
    // What was missing in a publication meanwhile did not go over its links and never will.
    if (step.act != desired::Act::guard_table)
      last_.lasting.push_back({step.object,
                               "publication " + step.object +
                                   " was changed by somebody and has been brought back; rows that were "
                                   "written meanwhile may be missing in its copies",
                               "compare the copies, or make them anew"});
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
  std::vector<Drift> out;
  for (const auto& step : mend.report) out.push_back(drift_of(step));
  for (const auto& step : mend.now) out.push_back(drift_of(step));  // came up between two looks
  for (const auto& finding : desired::drift_of(examined.findings)) out.push_back(drift_of(finding));
  return out;
}

// A source that does not answer, or is older than this question, says nothing: what was seen last stays.
void DriftLoop::compare_schemas() {
  for (const auto& residency : setup_.topology->residencies) {
    life_.alive();
    const std::string& name = residency.name;
    const Copy copy = setup_.disk->copy(name);
    if (copy.source.empty() || copy.source == setup_.region) {
      last_.schema_differs.erase(name);
      continue;
    }
    const auto theirs = setup_.peers->call(
        copy.source, "GET", fmt::format("/v1/schemas/{}?from={}&to={}", name, copy.source, setup_.region), Json(),
        2 * kSecond);
    const auto here = store_->fingerprints({name, copy.source, setup_.region});
    if (!theirs || !theirs->is_object() || !here) continue;
    postgres::links::Fingerprints owner;
    for (const auto& [table, print] : theirs->items())
      if (print.is_string()) owner[table] = print.get<std::string>();
    const std::string difference = postgres::links::schema_difference(owner, *here);
    std::string& last = last_.schema_differs[name];
    if (difference != last) {
      setup_.events->add(difference.empty() ? "schema.agrees" : "schema.differs",
                         difference.empty() ? "the schema here is that of " + copy.source : difference, name);
      last = difference;
    }
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
    compare_schemas();
    board_.set(last_);
    std::unique_lock lock(mutex);
    changed.wait_for(lock, stop, std::chrono::microseconds(setup_.period), [] { return false; });
  }
}

}  // namespace domicile::agent
