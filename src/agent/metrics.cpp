#include "agent/metrics.hpp"

#include <prometheus/gauge.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <algorithm>

#include "core/residency/links.hpp"
#include "core/snapshot/decision.hpp"
#include "edge/state.hpp"

namespace domicile::agent {

namespace {

// The labels of one value. There is no way to put a text into one: each is a name that the topology declares or a word
// of ours, and whatever the quorum or a file says instead is "unknown".
class Labels {
 public:
  explicit Labels(const topology::Topology& topology) : topology_(&topology) {}
  Labels& residency(const std::string& name) {
    return put("residency", topology::residency_of(*topology_, name) != nullptr, name);
  }
  Labels& peer(const std::string& site) { return put("peer", is_site(site), site); }
  Labels& owner(const std::string& site) { return put("owner", is_site(site), site); }
  Labels& state(authority::Copy::State state) { return put("state", true, authority::name_of(state)); }
  Labels& mode(authority::Mode mode) { return put("mode", true, authority::name_of(mode)); }
  Labels& link(const std::string& name) {
    const auto links = residency::links_of(*topology_);
    return put("link", std::ranges::any_of(links, [&](const auto& each) { return residency::name_of(each) == name; }),
               name);
  }
  // One that links carry, and no other.
  Labels& table(const std::string& name) {
    bool carried = topology::table_of(*topology_, name) != nullptr || name == residency::marker_table().qualified();
    for (const auto& own : residency::carried_tables(*topology_, topology::kDirectory, topology::Form::full))
      carried |= own.qualified() == name;
    return put("table", carried, name);
  }
  Labels& form(const std::string& form) { return put("form", form == "full" || form == "reduced", form); }
  Labels& decision(snapshot::Action action) { return put("decision", true, snapshot::name_of(action)); }
  const std::map<std::string, std::string>& all() const { return all_; }

 private:
  bool is_site(const std::string& site) const {
    const auto sites = topology::sites_of(*topology_);
    return std::any_of(sites.begin(), sites.end(), [&](const auto& each) { return each == site; });
  }
  Labels& put(const char* label, bool known, std::string_view value) {
    all_[label] = known ? value : "unknown";
    return *this;
  }
  const topology::Topology* topology_;
  std::map<std::string, std::string> all_;
};

class Page {
 public:
  Page(const std::string& region, const topology::Topology& topology) : region_(region), topology_(topology) {}
  void set(const char* name, const char* help, const Labels& labels, double value) {
    auto& family = prometheus::BuildGauge().Name(name).Help(help).Labels({{"region", region_}}).Register(registry_);
    family.Add(labels.all()).Set(value);
  }
  Labels none() const { return Labels(topology_); }
  Labels of(const std::string& residency) const { return none().residency(residency); }
  std::string text() const { return prometheus::TextSerializer().Serialize(registry_.Collect()); }

 private:
  std::string region_;
  const topology::Topology& topology_;
  prometheus::Registry registry_;
};

void add_quorum(Page& page, const QuorumSeen& quorum) {
  page.set("domicile_quorum_answered", "1 when the last beat was answered", page.none(),
           quorum.trouble.empty() && quorum.sent_at != 0 ? 1 : 0);
  if (quorum.sent_at != 0)
    page.set("domicile_quorum_answer_age_seconds", "Since the last answered beat", page.none(),
             static_cast<double>(monotonic_now() - quorum.sent_at) / kSecond);
  for (const auto& [region, life] : quorum.observed.lives)
    page.set("domicile_life_age_seconds", "Since a region's beat last changed, on this observer's clock",
             page.none().peer(region), static_cast<double>(monotonic_now() - life.changed_at) / kSecond);
  for (const auto& [residency, lease] : quorum.leases)
    page.set("domicile_lease_seconds", "Left of the lease that this region holds", page.of(residency),
             static_cast<double>(lease.over - monotonic_now()) / kSecond);
}

void add_residency(Page& page, const std::string& name, const ResidencySeen& seen) {
  page.set("domicile_distrusted", "1 when the quorum is behind this site's disk", page.of(name),
           seen.distrusted.empty() ? 0 : 1);
  page.set("domicile_broken_glass", "1 while a residency is open here without a quorum", page.of(name),
           seen.glass ? 1 : 0);
  page.set("domicile_approval_pending", "1 when a switch waits for a person", page.of(name),
           seen.proposal.id.empty() ? 0 : 1);
  page.set("domicile_copy_state", "1 for the state that the copy here is in", page.of(name).state(seen.copy.state), 1);
  if (!seen.record) return;
  const auto& record = seen.record->value;
  page.set("domicile_epoch", "Epoch of a residency", page.of(name), static_cast<double>(record.epoch));
  page.set("domicile_owner", "1 for the owner and the mode of a residency",
           page.of(name).owner(record.owner).mode(record.mode), 1);
}

void add_drift(Page& page, const DriftSeen& drift) {
  if (drift.at == 0) return;  // never looked: unknown
  page.set("domicile_drift", "What is not as it should be in the database here, and no agent may mend", page.none(),
           static_cast<double>(drift.drift.size() + drift.lasting.size()));
  page.set("domicile_drift_age_seconds", "Since the database here was last compared", page.none(),
           static_cast<double>(monotonic_now() - drift.at) / kSecond);
  std::map<std::string, std::int64_t> open;
  for (const auto& [run, rows] : drift.salvage) open[run.first] += rows;
  for (const auto& [residency, rows] : open)
    page.set("domicile_salvage_open", "Salvaged rows of ended epochs that nobody has decided about", page.of(residency),
             static_cast<double>(rows));
  for (const auto& [residency, difference] : drift.schema_differs)
    page.set("domicile_schema_differs", "1 when the schema here is not that of the owner", page.of(residency),
             difference.empty() ? 0 : 1);
}

void add_standby(Page& page, const std::string& name, const StandbySeen& seen) {
  page.set("domicile_standby_confirms",
           "With rpo 0 at the owner: 0 while writes wait for a standby that confirms nothing", page.of(name),
           seen.stuck.empty() ? 1 : 0);
  page.set("domicile_standby_covers", "With rpo 0 at the owner: 1 when a standby has every acknowledged write",
           page.of(name), seen.cover.proven.empty() ? 0 : 1);
}

void add_gate(Page& page, const GateSeen& gate, const std::string& policy) {
  page.set("domicile_gate_answered", "1 when this region's gate answers", page.none(),
           gate.at != 0 && gate.trouble.empty() ? 1 : 0);
  if (gate.at == 0) return;
  if (!gate.policy.empty())
    page.set("domicile_gate_policy_same", "1 when the gate judges by the same topology as the agent", page.none(),
             gate.policy == policy ? 1 : 0);
  for (const auto& link : gate.links) {
    page.set("domicile_gate_link_held", "1 when a link was cut and nobody has looked yet", page.none().link(link.link),
             link.held.empty() ? 0 : 1);
    page.set("domicile_gate_link_streams", "1 when a peer's subscription is there", page.none().link(link.link),
             link.streams ? 1 : 0);
    if (link.lag)
      page.set("domicile_gate_link_lag_seconds",
               "What the peer has confirmed behind what has left, on the owner's clock; absent when unknown",
               page.none().link(link.link), static_cast<double>(*link.lag) / kSecond);
  }
  for (const Json& one : gate.transfers) {
    const auto text = [&](const char* name) { return member_or<std::string>(one, name, "").value_or(""); };
    const auto number = [&](const char* name) {
      return static_cast<double>(member_or<std::uint64_t>(one, name, 0).value_or(0));
    };
    const auto labels = page.none().link(text("link")).table(text("table")).form(text("form"));
    page.set("domicile_transferred_rows", "Rows that have left by a link since the register was made", labels,
             number("rows"));
    page.set("domicile_transferred_bytes", "Bytes of them", labels, number("bytes"));
  }
}

void add_edge(Page& page, const std::string& path) {
  const auto state = edge::read_edge_state(path);
  if (!state) return;
  page.set("domicile_edge_workers", "Living gateway workers", page.none(), static_cast<double>(state->workers.size()));
  page.set("domicile_edge_moving_writes", "Writes in flight here of tenants that are held by a move", page.none(),
           static_cast<double>(state->moving_writes()));
  const auto decisions = state->decisions();
  for (std::size_t i = 0; i < snapshot::kActions; ++i) {
    const auto action = static_cast<snapshot::Action>(i);
    if (const auto found = decisions.find(std::string(snapshot::name_of(action))); found != decisions.end())
      page.set("domicile_edge_decisions", "Decisions of the living gateway workers", page.none().decision(action),
               static_cast<double>(found->second));
  }
}

}  // namespace

std::string render_metrics(const MetricsInput& input) {
  Page page(input.region, *input.topology);
  add_quorum(page, *input.quorum->get());
  for (const auto& [name, seen] : input.residencies) add_residency(page, name, *seen->get());
  if (input.copies != nullptr)
    for (const auto& [name, copy] : *input.copies->get())
      if (copy.lag)
        page.set("domicile_lag_seconds", "Lag of the copy here on the owner's clock; absent when unknown",
                 page.of(name), static_cast<double>(*copy.lag) / kSecond);
  if (input.markers != nullptr)
    page.set("domicile_database_commits", "1 when the database here commits", page.none(),
             input.markers->get()->trouble.empty() ? 1 : 0);
  if (input.gate != nullptr) add_gate(page, *input.gate->get(), residency::policy_hash(*input.topology));
  if (input.standbys != nullptr)
    for (const auto& [name, seen] : *input.standbys->get()) add_standby(page, name, seen);
  if (input.drift != nullptr) add_drift(page, *input.drift->get());
  if (!input.edge_state.empty()) add_edge(page, input.edge_state);
  return page.text();
}

}  // namespace domicile::agent
