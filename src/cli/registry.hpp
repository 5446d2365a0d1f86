// All verbs. A new one is a file <noun>_<verb>.cpp with a function that returns its Verb, and a line here and in
// registry.cpp.
#pragma once
#include <vector>

#include "cli/command.hpp"

namespace domicile::cli {

Verb agent_verb();
Verb apply_verb();
Verb approve_verb();
Verb break_glass_verb();
Verb check_verb();
Verb completion_verb();
Verb drill_client_verb();
Verb drill_due_verb();
Verb drill_explain_verb();
Verb drill_list_verb();
Verb drill_planned_switch_verb();
Verb drill_recompute_verb();
Verb drill_region_loss_verb();
Verb drill_run_verb();
Verb drill_undo_verb();
Verb explain_denial_verb();
Verb explain_flow_verb();
Verb explain_request_verb();
Verb explain_table_verb();
Verb explain_tenant_verb();
Verb gate_verb();
Verb gateway_config_verb();
Verb help_verb();
Verb lab_cut_verb();
Verb lab_down_verb();
Verb lab_flap_verb();
Verb lab_heal_verb();
Verb lab_kill_verb();
Verb lab_live_verb();
Verb lab_once_verb();
Verb lab_pause_verb();
Verb lab_resume_verb();
Verb lab_slow_verb();
Verb lab_start_verb();
Verb lab_status_verb();
Verb lab_up_verb();
Verb link_list_verb();
Verb link_resume_verb();
Verb plan_verb();
Verb prove_attempts_verb();
Verb prove_residency_verb();
Verb quorum_init_verb();
Verb remove_verb();
Verb salvage_apply_verb();
Verb salvage_discard_verb();
Verb salvage_export_verb();
Verb salvage_list_verb();
Verb salvage_show_verb();
Verb tenant_add_verb();
Verb tenant_import_verb();
Verb tenant_list_verb();
Verb tenant_move_verb();
Verb tenant_show_verb();
Verb quorum_adopt_verb();
Verb quorum_status_verb();
Verb status_verb();
Verb switch_verb();
Verb transfers_verb();
Verb version_verb();

const std::vector<Verb>& verbs();

}  // namespace domicile::cli
