// What the lab's verbs share: where their lab is.
#pragma once
#include "cli/command.hpp"
#include "lab/control.hpp"

namespace domicile::cli {

Option base_option();  // --base N
Option json_option();
// From --base, else DOMICILE_LAB_BASE, else 0.
Result<int> lab_base(const Args& args);
Result<fs::path> lab_directory(const Args& args);
fs::path checkout();  // the folder above build/, where this binary lies
// Sends one command to the running lab and says `done`.
Result<Exit> lab_do(const Args& args, Io& io, const std::string& verb, const Json& body, const std::string& done);
Result<std::int64_t> lab_figure(const std::string& text);
// For verbs that take one site.
Result<Exit> lab_do_site(const Args& args, Io& io, const std::string& verb, const std::string& done);

}  // namespace domicile::cli
