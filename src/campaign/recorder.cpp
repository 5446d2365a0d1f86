#include "campaign/recorder.hpp"

namespace domicile::campaign {

Result<std::unique_ptr<Recorder>> Recorder::open(const fs::path& file) {
  if (file.has_parent_path()) CHECK_OK(make_directories(file.parent_path()));
  std::ofstream out(file, std::ios::trunc);
  if (!out) return fail(Kind::failed, "cannot write the history to " + file.string(), "--history FILE");
  return std::unique_ptr<Recorder>(new Recorder(std::move(out)));
}

void Recorder::add(history::Operation operation) {
  const std::lock_guard lock(mutex_);
  operation.time = monotonic_now() - begin_;
  file_ << history::to_line(operation, operations_.size()) << std::endl;  // so much of it is there after a kill
  operations_.push_back(std::move(operation));
}

void Recorder::note(history::Deed deed, const std::string& residency, const std::string& key,
                    std::vector<std::int64_t> value, const std::string& node, std::int64_t epoch,
                    const std::string& text) {
  history::Operation operation;
  operation.deed = deed, operation.residency = residency, operation.key = key, operation.value = std::move(value);
  operation.node = node, operation.epoch = epoch, operation.note = text;
  add(std::move(operation));
}

std::vector<history::Operation> Recorder::operations() const {
  const std::lock_guard lock(mutex_);
  return operations_;
}

Result<void> Recorder::written() const {
  const std::lock_guard lock(mutex_);
  if (file_) return {};
  return fail(Kind::failed, "the history could not be written as a whole");
}

}  // namespace domicile::campaign
