#include "cli/command.hpp"

#include <algorithm>
#include <charconv>

namespace domicile::cli {
namespace {

constexpr struct {
  Exit code;
  const char* meaning;
} kExits[] = {
    {Exit::ok, "ok"},
    {Exit::failed, "failed"},
    {Exit::differences, "differences (only with --detailed-exitcode)"},
    {Exit::refused, "refused by policy"},
    {Exit::broken, "something that must hold did not"},
    {Exit::unsafe, "unsafe now: no quorum, lag over budget"},
    {Exit::usage, "wrong usage"},
    {Exit::try_later, "try later"},
};

const Option kHelp = {"help", "", "Print this and exit."};

// An option of one letter has one dash: -o.
std::string dashed(const std::string& name) { return (name.size() == 1 ? "-" : "--") + name; }

std::string shown(const Option& option) {
  return dashed(option.name) + (option.value.empty() ? "" : " " + option.value);
}

const Option* option_of(const Verb& verb, const std::string& name) {
  if (name == kHelp.name) return &kHelp;
  for (const Option& option : verb.options)
    if (option.name == name) return &option;
  return nullptr;
}

auto usage_error(const Verb& verb, std::string what) {
  return fail(Kind::invalid_input, std::move(what), "domicile " + verb.name + " --help");
}

}  // namespace

Exit exit_of(Kind kind) {
  switch (kind) {
    case Kind::invalid_input:
    case Kind::conflict:
    case Kind::failed:
      return Exit::failed;
    case Kind::refused:
      return Exit::refused;
    case Kind::corrupt:
      return Exit::broken;
    case Kind::unsafe:
      return Exit::unsafe;
    case Kind::unavailable:
    case Kind::unknown_outcome:
      return Exit::try_later;
  }
  return Exit::failed;
}

std::string Args::get(const std::string& name, std::string otherwise) const {
  const auto it = options.find(name);
  return it == options.end() ? otherwise : it->second;
}

std::vector<std::string> Args::all(const std::string& name) const {
  const auto it = repeated.find(name);
  return it == repeated.end() ? std::vector<std::string>{} : it->second;
}

Result<void> valid_count(const std::string& value) {
  int number = 0;
  const auto [end, code] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (code != std::errc() || end != value.data() + value.size() || number < 1 || number > 1'000'000)
    return fail(Kind::invalid_input, "'" + value + "' is no number from 1 to 1000000");
  return {};
}

std::string usage_of(const Verb& verb) {
  std::string out = verb.summary + "\n\nUsage: domicile " + verb.name;
  for (const std::string& word : verb.words) out += " " + word;
  for (const Option& option : verb.options)
    if (option.required) out += " " + shown(option) + (option.repeats ? "..." : "");
  out += " [options]\n\nOptions:\n";
  auto options = verb.options;
  options.push_back(kHelp);
  std::size_t width = 0;
  for (const Option& option : options) width = std::max(width, shown(option).size());
  for (const Option& option : options) out += fmt::format("  {:<{}}  {}\n", shown(option), width, option.doc);
  out += "\nExamples:\n";
  for (const std::string& example : verb.examples) out += "  " + example + "\n";
  return out;
}

Result<Args> parse(const Verb& verb, std::span<const std::string> arguments) {
  Args args;
  bool only_words = false;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (!only_words && argument == "-h") {
      args.options[kHelp.name] = "";
      continue;
    }
    if (only_words || argument.size() < 2 || argument[0] != '-') {
      args.words.push_back(argument);
      continue;
    }
    if (argument == "--") {
      only_words = true;
      continue;
    }
    const auto equals = argument.find('=');
    const std::size_t dashes = argument.starts_with("--") ? 2 : 1;
    const std::string name = argument.substr(dashes, equals == argument.npos ? argument.npos : equals - dashes);
    const Option* option = (name.size() == 1) == (dashes == 1) ? option_of(verb, name) : nullptr;
    if (!option) return usage_error(verb, "there is no option " + argument);
    if (args.has(name) && !option->repeats) return usage_error(verb, dashed(name) + " stands twice");
    if (option->value.empty()) {
      if (equals != argument.npos) return usage_error(verb, dashed(name) + " takes no value");
      args.options[name] = "";
    } else if (equals != argument.npos) {
      args.options[name] = argument.substr(equals + 1);
    } else if (i + 1 < arguments.size()) {
      args.options[name] = arguments[++i];
    } else {
      return usage_error(verb, dashed(name) + " needs " + option->value);
    }
    if (option->repeats) args.repeated[name].push_back(args.options[name]);
  }
  if (args.has("help")) return args;
  const auto needed = std::count_if(verb.words.begin(), verb.words.end(), [](const auto& w) { return w[0] != '['; });
  if (args.words.size() < static_cast<std::size_t>(needed))
    return usage_error(verb, verb.words[args.words.size()] + " is missing");
  const bool repeats = !verb.words.empty() && verb.words.back().find("...") != std::string::npos;
  if (args.words.size() > verb.words.size() && !repeats)
    return usage_error(verb, "'" + args.words[verb.words.size()] + "' is one argument too many");
  for (const Option& option : verb.options) {
    if (option.required && args.get(option.name).empty())
      return usage_error(verb, dashed(option.name) + " " + option.value + " is missing");
    if (option.valid == nullptr || !args.has(option.name)) continue;
    if (const auto valid = option.valid(args.get(option.name)); !valid)
      return usage_error(verb, dashed(option.name) + ": " + valid.error().what);
  }
  return args;
}

const Verb* find_verb(std::span<const Verb> verbs, std::span<const std::string> arguments, std::size_t& used) {
  for (used = std::min<std::size_t>(3, arguments.size()); used > 0; --used) {
    std::string name = arguments[0];
    for (std::size_t i = 1; i < used; ++i) name += " " + arguments[i];
    for (const Verb& verb : verbs)
      if (verb.name == name) return &verb;
  }
  return nullptr;
}

// The first word may name a group of commands, as in `domicile lab --help`.
static Exit no_verb(std::span<const Verb> verbs, std::span<const std::string> arguments, Io& io) {
  const bool group = is_group(verbs, arguments[0]);
  if (group && arguments.size() > 1 && (arguments[1] == "--help" || arguments[1] == "-h")) {
    io.out << overview(verbs, arguments[0]);
    return Exit::ok;
  }
  std::string named = arguments[0];
  if (group && arguments.size() > 1) named += " " + arguments[1];
  if (group && arguments.size() == 1)
    io.err << overview(verbs, named);
  else
    io.err << "error: there is no command '" << named << "'\n  fix: domicile "
           << (group ? arguments[0] + " --help\n" : "help\n");
  return Exit::usage;
}

Exit dispatch(std::span<const Verb> verbs, std::span<const std::string> arguments, Io& io) {
  if (arguments.empty() || arguments[0] == "--help" || arguments[0] == "-h") {
    (arguments.empty() ? io.err : io.out) << overview(verbs);
    return arguments.empty() ? Exit::usage : Exit::ok;
  }
  std::size_t used = 0;
  const Verb* verb = find_verb(verbs, arguments, used);
  if (!verb) return no_verb(verbs, arguments, io);
  const auto args = parse(*verb, arguments.subspan(used));
  if (!args) {
    io.err << render(args.error()) << "\n";
    return Exit::usage;
  }
  if (args->has("help")) {
    io.out << usage_of(*verb);
    return Exit::ok;
  }
  if (verb->check != nullptr)
    if (const auto ok = verb->check(*args); !ok) {
      io.err << render(ok.error()) << "\n";
      return Exit::usage;
    }
  const auto exit = verb->run(*args, io);
  if (exit) return *exit;
  io.err << render(exit.error()) << "\n";
  return exit_of(exit.error().kind);
}

bool is_group(std::span<const Verb> verbs, const std::string& word) {
  return std::ranges::any_of(verbs, [&](const Verb& verb) { return verb.name.starts_with(word + " "); });
}

std::string overview(std::span<const Verb> verbs, const std::string& group) {
  std::string out =
      group.empty() ? "Domicile: write residency once, enforce it everywhere, survive the loss of a region.\n\n" : "";
  out += "Commands:\n";
  for (const Verb& verb : verbs)
    if (group.empty() || verb.name.starts_with(group + " "))
      out += fmt::format("  {:<22} {}\n", verb.name, verb.summary);
  return out + "\ndomicile COMMAND --help shows its options and examples.\n";
}

std::string bash_completion(std::span<const Verb> verbs) {
  std::string cases, names;
  for (const Verb& verb : verbs) {
    names += verb.name.substr(0, verb.name.find(' ')) + " ";
    std::string options;
    for (const Option& option : verb.options) options += dashed(option.name) + " ";
    cases += fmt::format("    '{}'*) words='{}--help' ;;\n", verb.name, options);
  }
  std::string seconds;
  for (const Verb& verb : verbs)
    if (const auto space = verb.name.find(' '); space != std::string::npos)
      seconds +=
          fmt::format("    '{}') words=\"$words {}\" ;;&\n", verb.name.substr(0, space), verb.name.substr(space + 1));
  return fmt::format(
      "_domicile() {{\n  local cur=${{COMP_WORDS[COMP_CWORD]}} words=''\n"
      "  local line=\"${{COMP_WORDS[*]:1:COMP_CWORD-1}}\"\n"
      "  if [ \"$COMP_CWORD\" -eq 1 ]; then words='{0}'; fi\n"
      "  case \"$line\" in\n{1}  esac\n"
      "  case \"$line\" in\n{2}  esac\n"
      "  if [[ $cur != -* && $COMP_CWORD -gt 1 && -z $words ]]; then return; fi\n"
      "  COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n}}\ncomplete -o default -F _domicile domicile\n",
      names, cases, seconds);
}

std::string reference(std::span<const Verb> verbs) {
  std::string out =
      "# The command line\n\nGenerated by `domicile help --reference`; do not edit. Data goes to stdout, talk to "
      "stderr.\n\n## Exit codes\n\n| code | meaning |\n| --- | --- |\n";
  for (const auto& exit : kExits) out += fmt::format("| {} | {} |\n", static_cast<int>(exit.code), exit.meaning);
  for (const Verb& verb : verbs) out += fmt::format("\n## domicile {}\n\n```text\n{}```\n", verb.name, usage_of(verb));
  return out;
}

}  // namespace domicile::cli
