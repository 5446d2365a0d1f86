#include "cli/registry.hpp"

#include "cli/campaign_common.hpp"

namespace domicile::cli {

const std::vector<Verb>& verbs() {
  static const std::vector<Verb> all = {
      agent_verb(),           apply_verb(),
      approve_verb(),         break_glass_verb(),
      campaign_verb(),        campaign_check_verb(),
      check_verb(),           completion_verb(),
      drill_client_verb(),    drill_explain_verb(),
      drill_list_verb(),      drill_planned_switch_verb(),
      drill_recompute_verb(), drill_region_loss_verb(),
      drill_run_verb(),       drill_undo_verb(),
      explain_denial_verb(),  explain_flow_verb(),
      explain_request_verb(), explain_table_verb(),
      explain_tenant_verb(),  gate_verb(),
      gateway_config_verb(),  help_verb(),
      lab_cut_verb(),         lab_down_verb(),
      lab_flap_verb(),        lab_heal_verb(),
      lab_kill_verb(),        lab_live_verb(),
      lab_once_verb(),        lab_pause_verb(),
      lab_resume_verb(),      lab_slow_verb(),
      lab_start_verb(),       lab_status_verb(),
      lab_up_verb(),          link_list_verb(),
      link_resume_verb(),     plan_verb(),
      prove_attempts_verb(),  prove_residency_verb(),
      quorum_adopt_verb(),    quorum_init_verb(),
      quorum_status_verb(),   remove_verb(),
      salvage_apply_verb(),   salvage_discard_verb(),
      salvage_export_verb(),  salvage_list_verb(),
      salvage_show_verb(),    status_verb(),
      switch_verb(),          tenant_add_verb(),
      tenant_import_verb(),   tenant_list_verb(),
      tenant_move_verb(),     tenant_show_verb(),
      transfers_verb(),       version_verb(),
  };
  return all;
}

}  // namespace domicile::cli
