#include "../own_lab.hpp"
#include "arms.hpp"
#include "core/topology/parse.hpp"
#include "drill/drills.hpp"
#include "lab/lab.hpp"

namespace domicile::bench::peers {
namespace {

const std::string kResidency = "us";
constexpr Micros kPatience = 80 * kSecond;

// The drill's clients outside: HTTPS, over any region's gateway.
class Outside final : public Clients {
 public:
  explicit Outside(std::unique_ptr<drill::Load> load) : load_(std::move(load)) {}
  std::vector<drill::Write> take() override { return load_->take(); }
  Result<std::vector<drill::Write>> stop() override { return load_->stop(); }

 private:
  std::unique_ptr<drill::Load> load_;
};

class Inside final : public Clients {
 public:
  explicit Inside(std::unique_ptr<drill::Inside> load) : load_(std::move(load)) {}
  std::vector<drill::Write> take() override { return {}; }
  Result<std::vector<drill::Write>> stop() override { return load_->stop(); }

 private:
  std::unique_ptr<drill::Inside> load_;
};

class Domicile final : public Arm {
 public:
  Domicile(std::unique_ptr<OwnLab> lab, drill::Field field, drill::Authority owner, fs::path program)
      : lab_(std::move(lab)), field_(std::move(field)), owner_(std::move(owner)), program_(std::move(program)) {}

  std::string lost() const override { return owner_.owner; }
  Result<std::unique_ptr<Clients>> clients(double per_s, bool inside) override {
    drill::DrillSpec spec;
    spec.residency = kResidency, spec.per_s = per_s, spec.patience = kPatience;
    // Tenants are written where the directory's owner is, which is also asked for: so only once.
    if (!load_) load_ = TRY(drill::load_for(field_, spec));
    drill::LoadSpec load = *load_;
    load.per_s = per_s;
    if (!inside) return std::make_unique<Outside>(TRY(drill::Load::start(std::move(load))));
    load.deadline = 3 * kSecond;
    for (auto& client : load.clients) client.gateways = {TRY(field_.gateway_inside(owner_.owner))};
    return std::make_unique<Inside>(TRY(drill::Inside::start(field_, program_, owner_.owner, load)));
  }
  Result<void> strike(const std::string& kind) override { return drill::strike(field_, kind, owner_.owner); }
  std::string successor() override {
    const auto seen = drill::owner_of(field_, kResidency, owner_.owner);
    return seen && seen->owner != owner_.owner && seen->mode == "serving" ? seen->owner : "";
  }
  Result<void> end_fault(const std::string& kind) override { return drill::end_fault(field_, kind, owner_.owner); }
  // Salvage and repair are the agents' own work.
  Result<void> bring_back(const std::string&, const std::string&) override {
    return drill::await_return(field_, owner_.owner, kPatience);
  }
  Result<std::set<std::string>> readable(const std::string& successor) override {
    return field_.markers(kResidency, successor);
  }
  Result<std::set<std::string>> kept() override { return field_.salvaged(kResidency, owner_.epoch, owner_.owner); }
  fs::path lost_files() const override { return field_.directory() / "sites" / owner_.owner; }

 private:
  std::unique_ptr<OwnLab> lab_;
  drill::Field field_;
  drill::Authority owner_;
  fs::path program_;
  std::optional<drill::LoadSpec> load_;
};

}  // namespace

Result<std::unique_ptr<Arm>> domicile_arm(const ArmSpec& spec) {
  const fs::path checkout = spec.domicile.parent_path().parent_path();
  const fs::path file = checkout / "examples/three-regions/topology.yaml";
  const auto topology = TRY(topology::load(TRY(read_file(file)), file.string()));
  auto lab = std::make_unique<OwnLab>(spec.domicile, spec.base);
  CHECK_OK(lab->up());
  auto field = TRY(drill::Field::open(lab::default_directory(checkout, spec.base), topology));
  auto owner = TRY(drill::owner_of(field, kResidency));
  return std::make_unique<Domicile>(std::move(lab), std::move(field), std::move(owner), spec.domicile);
}

}  // namespace domicile::bench::peers
