// How one table's rows get from one region to another: what the topology lets flow, who enforces it, and what was seen.
// Pure.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "cli/observed.hpp"
#include "core/residency/links.hpp"

namespace domicile::cli {

struct FlowColumn {
  std::string name, rule;
  bool leaves = false;
  bool operator==(const FlowColumn&) const = default;
};

struct FlowFact {
  std::string layer, text;  // publication, first rows, gate, receiver; of what was seen also copy, register
  Mark mark = Mark::plain;
  bool operator==(const FlowFact&) const = default;
};

// Of one residency.
struct Flow {
  std::string residency;
  std::string link;     // empty: nothing flows
  std::string because;  // why nothing flows
  topology::Form form = topology::Form::none;
  std::vector<FlowColumn> columns = {};
  std::vector<FlowFact> enforced = {}, seen = {};
};

struct FlowQuestion {
  std::string table, from, to;
};

struct FlowAnswer {
  FlowQuestion question;
  std::string policy;
  std::vector<Flow> flows;
  std::vector<FlowFact> beside;  // what was seen and belongs to no lawful flow
  bool differs() const;
};

// `from`, `to`: what the sites' agents have observed (site_of); `gate`: {links, transfers} of the gate at `from` when
// it was asked itself, else null. Both regions exist.
FlowAnswer flow_answer(const topology::Topology& topology, const FlowQuestion& question, const Json& from,
                       const Json& to, const Json& gate);
std::string flow_text(const FlowAnswer& answer, bool colour);
Json flow_json(const FlowAnswer& answer);
// Of what was seen alone; what should be there and is not is drawn as a difference.
std::string flow_mermaid(const FlowAnswer& answer);

}  // namespace domicile::cli
