// What this site keeps on its own disk, fsynced before it is acted upon: the highest (owner, epoch) of each residency,
// what its copies are, and the steps of the switches under way.
#pragma once
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "base/file.hpp"
#include "core/authority/copy.hpp"
#include "core/authority/proposal.hpp"
#include "core/authority/switch_steps.hpp"

namespace domicile::agent {

struct KnownEpoch {
  authority::Epoch epoch = 0;
  std::string owner;
};

// A residency that a person opened here without a quorum. It lasts until a higher epoch is known.
struct Glass {
  authority::Record record;                   // moving to this region
  bool open = false;                          // all steps are done: it may write
  std::string by, reason;                     // who answers for it, and why
  std::map<std::string, std::string> attest;  // site -> how it is known that it cannot write
  Micros at = 0;                              // wall clock
  bool operator==(const Glass&) const = default;
};

// Thread-safe. An error means that nothing was kept, and then nothing may be acted upon.
class SiteDisk {
 public:
  static Result<std::unique_ptr<SiteDisk>> open(const fs::path& directory);

  std::map<std::string, KnownEpoch> epochs() const;
  KnownEpoch epoch(const std::string& residency) const;
  // Keeps the higher one. `conflict` when a higher epoch, or this epoch with another owner, is known.
  Result<void> persist_epoch(const std::string& residency, const KnownEpoch& known);

  authority::Copy copy(const std::string& residency) const;
  std::map<std::string, authority::Copy> copies() const;
  Result<void> persist_copy(const std::string& residency, const authority::Copy& copy);

  std::set<std::string> steps_done(const std::string& residency, const std::string& switch_id) const;
  // `durable`: on the disk before it returns. Otherwise, as the end of a step, with the next durable line: an end that
  // a crash of the machine takes away costs the repetition of a step that can be repeated.
  Result<void> begin_step(const authority::StepRecord& step, bool durable);
  Result<void> finish_step(authority::StepRecord step);
  std::vector<authority::StepRecord> steps() const;  // of the switches that are remembered, oldest first

  std::optional<Glass> glass(const std::string& residency) const;
  Result<void> keep_glass(const std::string& residency, const Glass& glass);
  Result<void> end_glass(const std::string& residency);

  std::vector<authority::Proposal> approvals() const;
  Result<void> approve(const authority::Proposal& proposal);
  Result<void> end_approval(const authority::Proposal& proposal);

 private:
  SiteDisk() = default;
  Result<void> write_epochs(const std::map<std::string, KnownEpoch>& epochs) const;
  Result<void> write_copies(const std::map<std::string, authority::Copy>& copies) const;
  Result<void> write_approvals(const std::vector<authority::Proposal>& approvals) const;
  Result<void> write_glasses(const std::map<std::string, Glass>& glasses) const;

  fs::path directory_;
  mutable std::mutex mutex_;
  std::map<std::string, KnownEpoch> epochs_;
  std::map<std::string, authority::Copy> copies_;
  std::map<std::string, Glass> glasses_;
  std::vector<authority::StepRecord> steps_;
  std::vector<authority::Proposal> approvals_;
  std::unique_ptr<Journal> journal_;
};

}  // namespace domicile::agent
