#include "agent/site_disk.hpp"

#include "base/json.hpp"

namespace domicile::agent {

using authority::Copy;
using authority::Proposal;
using authority::StepRecord;

namespace {

constexpr std::size_t kRememberedSteps = 512;

Json json_of(const Copy& copy) {
  Json json{
      {"state", authority::name_of(copy.state)}, {"source", copy.source}, {"epoch", copy.epoch}, {"why", copy.why}};
  if (copy.position)
    json["position"] = {{"system", copy.position->system_id},
                        {"timeline", copy.position->timeline},
                        {"lsn", authority::lsn_text(copy.position->lsn)}};
  return json;
}

Result<Copy> copy_of(const Json& json) {
  Copy copy;
  const auto name = TRY(member<std::string>(json, "state"));
  const auto state = authority::copy_state_of(name);
  if (!state) return fail(Kind::corrupt, "unknown state of a copy: " + name);
  copy.state = *state;
  copy.source = TRY(member<std::string>(json, "source"));
  copy.epoch = TRY(member<authority::Epoch>(json, "epoch"));
  copy.why = TRY(member_or<std::string>(json, "why", ""));
  if (json.contains("position")) {
    const auto lsn = authority::lsn_of(TRY(member<std::string>(json["position"], "lsn")));
    if (!lsn) return fail(Kind::corrupt, "a copy's position is no log position");
    // No TRY inside braces: g++ 12 leaks the members that are already made when a later one returns.
    authority::Position position;
    position.system_id = TRY(member<std::string>(json["position"], "system"));
    position.timeline = TRY(member<std::int64_t>(json["position"], "timeline"));
    position.lsn = *lsn;
    copy.position = std::move(position);
  }
  return copy;
}

Json json_of(const Glass& glass) {
  return {{"record", authority::to_text(glass.record)},
          {"open", glass.open},
          {"by", glass.by},
          {"reason", glass.reason},
          {"attest", glass.attest},
          {"at_us", glass.at}};
}

Result<Glass> glass_of(const Json& json) {
  Glass glass;
  glass.record = TRY(authority::record_of(TRY(member<std::string>(json, "record"))));
  glass.open = TRY(member<bool>(json, "open"));
  glass.by = TRY(member<std::string>(json, "by"));
  glass.reason = TRY(member<std::string>(json, "reason"));
  glass.at = TRY(member<Micros>(json, "at_us"));
  const Json attest = TRY(member<Json>(json, "attest"));
  if (!attest.is_object()) return fail(Kind::corrupt, "a glass's attestations are no object");
  for (const auto& [site, words] : attest.items())
    if (words.is_string()) glass.attest[site] = words.get<std::string>();
  return glass;
}

Json json_of(const Proposal& proposal) {
  Json json{{"residency", proposal.residency}, {"record", proposal.record}, {"lost", proposal.lost}};
  if (proposal.beat) json["beat"] = *proposal.beat;
  return json;
}

Result<Proposal> proposal_of(const std::string& id, const Json& json) {
  if (!json.is_object()) return fail(Kind::corrupt, "an approval is no object");
  Proposal proposal;
  proposal.id = id;
  proposal.residency = TRY(member<std::string>(json, "residency"));
  proposal.record = TRY(member<std::string>(json, "record"));
  proposal.lost = TRY(member<std::string>(json, "lost"));
  if (json.contains("beat")) proposal.beat = TRY(member<std::string>(json, "beat"));
  return proposal;
}

// A file that is not there is an empty one: the site is new.
Result<Json> read_object(const fs::path& path) {
  if (!fs::exists(path)) return Json::object();
  auto json = TRY(parse_json(TRY(read_file(path)), path.string()));
  if (!json.is_object()) return fail(Kind::corrupt, path.string() + " holds no JSON object");
  return json;
}

}  // namespace

Result<std::unique_ptr<SiteDisk>> SiteDisk::open(const fs::path& directory) {
  auto disk = std::unique_ptr<SiteDisk>(new SiteDisk());
  disk->directory_ = directory;
  CHECK_OK(make_directories(directory, 0700));
  disk->journal_ = std::make_unique<Journal>(TRY(Journal::open(directory / "switches.journal")));
  const Json epochs = TRY(read_object(directory / "epochs.json"));
  for (const auto& [residency, json] : epochs.items()) {
    KnownEpoch& known = disk->epochs_[residency];
    known.epoch = TRY(member<authority::Epoch>(json, "epoch"));
    known.owner = TRY(member<std::string>(json, "owner"));
  }
  const Json copies = TRY(read_object(directory / "copies.json"));
  for (const auto& [residency, json] : copies.items()) disk->copies_[residency] = TRY(copy_of(json));
  for (const auto& line : disk->journal_->lines_at_open()) disk->steps_.push_back(TRY(authority::step_of(line)));
  const Json glasses = TRY(read_object(directory / "glass.json"));
  for (const auto& [residency, json] : glasses.items()) disk->glasses_[residency] = TRY(glass_of(json));
  const Json approvals = TRY(read_object(directory / "approvals.json"));
  // An entry of another form says of no loss that it was approved: it is asked again.
  for (const auto& [id, json] : approvals.items())
    if (auto approval = proposal_of(id, json)) disk->approvals_.push_back(*std::move(approval));
  return disk;
}

std::map<std::string, KnownEpoch> SiteDisk::epochs() const {
  const std::lock_guard lock(mutex_);
  return epochs_;
}

KnownEpoch SiteDisk::epoch(const std::string& residency) const {
  const std::lock_guard lock(mutex_);
  const auto it = epochs_.find(residency);
  return it == epochs_.end() ? KnownEpoch{} : it->second;
}

Result<void> SiteDisk::persist_epoch(const std::string& residency, const KnownEpoch& known) {
  const std::lock_guard lock(mutex_);
  const KnownEpoch have = epochs_.contains(residency) ? epochs_[residency] : KnownEpoch{};
  if (have.epoch > known.epoch || (have.epoch == known.epoch && have.owner != known.owner))
    return fail(Kind::conflict,
                fmt::format("this site knows epoch {} of {} under {}", have.epoch, residency, have.owner));
  if (have.epoch == known.epoch) return {};
  auto next = epochs_;
  next[residency] = known;
  CHECK_OK(write_epochs(next));
  epochs_ = std::move(next);
  return {};
}

Result<void> SiteDisk::write_epochs(const std::map<std::string, KnownEpoch>& epochs) const {
  Json json = Json::object();
  for (const auto& [residency, known] : epochs) json[residency] = {{"epoch", known.epoch}, {"owner", known.owner}};
  return write_file(directory_ / "epochs.json", dump(json));
}

Copy SiteDisk::copy(const std::string& residency) const {
  const std::lock_guard lock(mutex_);
  const auto it = copies_.find(residency);
  return it == copies_.end() ? Copy{} : it->second;
}

std::map<std::string, Copy> SiteDisk::copies() const {
  const std::lock_guard lock(mutex_);
  return copies_;
}

Result<void> SiteDisk::persist_copy(const std::string& residency, const Copy& copy) {
  const std::lock_guard lock(mutex_);
  auto next = copies_;
  next[residency] = copy;
  CHECK_OK(write_copies(next));
  copies_ = std::move(next);
  return {};
}

Result<void> SiteDisk::write_copies(const std::map<std::string, Copy>& copies) const {
  Json json = Json::object();
  for (const auto& [residency, copy] : copies) json[residency] = json_of(copy);
  return write_file(directory_ / "copies.json", dump(json));
}

std::optional<Glass> SiteDisk::glass(const std::string& residency) const {
  const std::lock_guard lock(mutex_);
  const auto it = glasses_.find(residency);
  return it == glasses_.end() ? std::nullopt : std::optional(it->second);
}

Result<void> SiteDisk::keep_glass(const std::string& residency, const Glass& glass) {
  const std::lock_guard lock(mutex_);
  auto next = glasses_;
  next[residency] = glass;
  CHECK_OK(write_glasses(next));
  glasses_ = std::move(next);
  return {};
}

Result<void> SiteDisk::end_glass(const std::string& residency) {
  const std::lock_guard lock(mutex_);
  auto next = glasses_;
  next.erase(residency);
  CHECK_OK(write_glasses(next));
  glasses_ = std::move(next);
  return {};
}

Result<void> SiteDisk::write_glasses(const std::map<std::string, Glass>& glasses) const {
  Json json = Json::object();
  for (const auto& [residency, glass] : glasses) json[residency] = json_of(glass);
  return write_file(directory_ / "glass.json", dump(json));
}

std::set<std::string> SiteDisk::steps_done(const std::string& residency, const std::string& switch_id) const {
  const std::lock_guard lock(mutex_);
  std::set<std::string> done;
  for (const auto& step : steps_)
    if (step.done && step.residency == residency && step.switch_id == switch_id) done.insert(step.step);
  return done;
}

Result<void> SiteDisk::begin_step(const StepRecord& step, bool durable) {
  const std::lock_guard lock(mutex_);
  CHECK_OK(durable ? journal_->append(authority::to_text(step)) : journal_->note(authority::to_text(step)));
  steps_.push_back(step);
  return {};
}

Result<void> SiteDisk::finish_step(StepRecord step) {
  step.done = true;
  const std::lock_guard lock(mutex_);
  CHECK_OK(journal_->note(authority::to_text(step)));
  steps_.push_back(step);
  if (steps_.size() <= 2 * kRememberedSteps) return {};
  std::vector<StepRecord> kept(steps_.end() - kRememberedSteps, steps_.end());
  std::vector<std::string> lines;
  for (const auto& s : kept) lines.push_back(authority::to_text(s));
  CHECK_OK(journal_->rewrite(lines));
  steps_ = std::move(kept);
  return {};
}

std::vector<StepRecord> SiteDisk::steps() const {
  const std::lock_guard lock(mutex_);
  return steps_;
}

std::vector<Proposal> SiteDisk::approvals() const {
  const std::lock_guard lock(mutex_);
  return approvals_;
}

Result<void> SiteDisk::approve(const Proposal& proposal) {
  const std::lock_guard lock(mutex_);
  auto next = approvals_;
  std::erase_if(next, [&](const Proposal& known) { return known.id == proposal.id; });
  next.push_back(proposal);
  CHECK_OK(write_approvals(next));
  approvals_ = std::move(next);
  return {};
}

Result<void> SiteDisk::end_approval(const Proposal& proposal) {
  const std::lock_guard lock(mutex_);
  auto next = approvals_;
  std::erase(next, proposal);
  CHECK_OK(write_approvals(next));
  approvals_ = std::move(next);
  return {};
}

Result<void> SiteDisk::write_approvals(const std::vector<Proposal>& approvals) const {
  Json json = Json::object();
  for (const auto& approval : approvals) json[approval.id] = json_of(approval);
  return write_file(directory_ / "approvals.json", dump(json));
}

}  // namespace domicile::agent
