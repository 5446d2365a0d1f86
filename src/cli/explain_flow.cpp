// domicile explain flow: whether and how a table's rows get from one region to another, as configured and as seen.
#include <algorithm>
#include <cstdlib>

#include "agent/config.hpp"
#include "base/file.hpp"
#include "cli/agent_client.hpp"
#include "cli/flow_view.hpp"
#include "cli/registry.hpp"
#include "core/topology/parse.hpp"

namespace domicile::cli {
namespace {

Result<void> valid(const Args& args) {
  CHECK_OK(check_agent_options(args));
  if (args.has("json") && args.has("o"))
    return fail(Kind::invalid_input, "--json and -o exclude each other", "choose one");
  if (args.get("from") == args.get("to"))
    return fail(Kind::invalid_input, "--from and --to are the same region", "inside of a region nothing crosses");
  return {};
}

Result<topology::Topology> topology_for(const Args& args) {
  std::string file = args.get("topology", "topology.yaml");
  if (!args.has("topology") && args.has("config"))
    file = TRY(agent::read_agent_config(args.get("config"))).topology.string();
  return topology::load(TRY(read_file(file)), file);
}

Result<void> known_site(const topology::Topology& topology, const std::string& name) {
  std::string all;
  for (const auto& site : topology::sites_of(topology)) {
    if (site.str() == name) return {};
    all += (all.empty() ? "" : ", ") + site.str();
  }
  return fail(Kind::invalid_input, "no region is called " + name, "the topology has " + all, "DOM-E702");
}

// A table that nobody mapped is an answer; a text that can name none is a mistake.
Result<void> table_name(const std::string& table) {
  const auto dot = table.find('.');
  const bool one = dot != table.npos && dot > 0 && dot + 1 < table.size() && table.find('.', dot + 1) == table.npos;
  if (one && std::ranges::none_of(table, [](unsigned char c) { return std::isspace(c) != 0 || std::iscntrl(c) != 0; }))
    return {};
  return fail(Kind::invalid_input, "'" + table + "' names no table", "write schema.table", "DOM-E703");
}

// Null when no gate was named.
Json ask_gate(const Args& args, std::string& trouble) {
  if (!args.has("gate") && std::getenv("DOMICILE_GATE") == nullptr) return {};
  auto gate = AgentClient::of_gate(args);
  const auto links = gate.get("/v1/links"), transfers = gate.get("/v1/transfers");
  if (links && transfers) return {{"links", *links}, {"transfers", *transfers}};
  trouble = one_line(links ? transfers.error() : links.error());
  return {{"trouble", trouble}};
}

Result<Exit> run(const Args& args, Io& io) {
  const FlowQuestion question{args.get("table"), args.get("from"), args.get("to")};
  CHECK_OK(table_name(question.table));
  const auto topology = TRY(topology_for(args));
  CHECK_OK(known_site(topology, question.from));
  CHECK_OK(known_site(topology, question.to));
  std::string agent_trouble, gate_trouble;
  const Json observed = observe(args, agent_trouble), gate = ask_gate(args, gate_trouble);
  const auto answer =
      flow_answer(topology, question, site_of(observed, question.from), site_of(observed, question.to), gate);
  if (args.has("json"))
    io.out << dump(flow_json(answer)) << "\n";
  else
    io.out << (args.has("o") ? flow_mermaid(answer) : flow_text(answer, io.terminal));
  for (const auto& trouble : {agent_trouble, gate_trouble})
    if (!trouble.empty()) io.err << "not observed: " << trouble << "\n";
  if (answer.differs()) io.err << "what was observed differs from what is configured\n";
  const bool unseen = !gate_trouble.empty() || (!agent_trouble.empty() && demands_agent(args));
  return unseen ? Exit::try_later : Exit::ok;
}

}  // namespace

Verb explain_flow_verb() {
  return {"explain flow",
          "Say whether a table's rows get from one region to another: which columns, by which rule, who enforces it, "
          "and what was observed.",
          {},
          with_gate_option(with_agent_options(with_drawing_options(
              {{"table", "SCHEMA.TABLE", "The table.", true},
               {"from", "REGION", "Where the rows are.", true},
               {"to", "REGION", "Where they would go.", true},
               {"topology", "FILE", "The topology (topology.yaml, or the one that --config names)."},
               {"json", "", "Print one JSON object."}}))),
          {"domicile explain flow --table app.orders --from us-east-1 --to eu-central-1 --topology "
           "examples/three-regions/topology.yaml",
           "domicile explain flow --table app.orders --from us-east-1 --to eu-central-1 --config "
           "/etc/domicile/agent.yaml -o mermaid"},
          run,
          valid};
}

}  // namespace domicile::cli
