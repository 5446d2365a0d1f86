// The verbs of campaigns, and what they share: how a verdict is shown.
#pragma once
#include "cli/command.hpp"
#include "core/history/checks.hpp"

namespace domicile::cli {

Verb campaign_verb();
Verb campaign_check_verb();

// A few lines for people unless `json`, and in any case the verdict as one line of JSON, last.
Exit show_verdict(Io& io, bool json, const history::Verdict& verdict);

}  // namespace domicile::cli
