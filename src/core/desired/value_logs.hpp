// Values of rows that a server writes beside its tables: in its log, and in the archive of its WAL. Lawful where the
// residency is held in full, and nowhere else: Domicile cannot see where logs and archives are sent.
#pragma once
#include <array>
#include <string_view>
#include <vector>

#include "core/desired/readiness.hpp"

namespace domicile::desired {

inline constexpr std::array<std::string_view, 13> kValueSettings{
    "archive_mode",
    "auto_explain.log_min_duration",
    "debug_print_parse",
    "debug_print_plan",
    "debug_print_rewritten",
    "log_error_verbosity",
    "log_min_duration_sample",
    "log_min_duration_statement",
    "log_min_error_statement",
    "log_parameter_max_length",
    "log_parameter_max_length_on_error",
    "log_statement",
    "log_transaction_sample_rate",
};

std::vector<Finding> value_logs(const Context& context, const Seen& seen);

}  // namespace domicile::desired
