// What a verb of the command line is: declared once; usage, parsing, completion and docs/reference/cli.md come from it.
#pragma once
#include <istream>
#include <map>
#include <ostream>
#include <span>
#include <string>
#include <vector>

#include "base/result.hpp"

namespace domicile::cli {

// The only exit codes there are.
enum class Exit {
  ok = 0,
  failed = 1,
  differences = 2,  // only with --detailed-exitcode
  refused = 3,      // by policy
  broken = 4,       // something that must hold did not
  unsafe = 5,       // not now: no quorum, lag over budget
  usage = 64,
  try_later = 75,
};
Exit exit_of(Kind kind);

struct Io {
  std::ostream& out;           // data
  std::ostream& err;           // talk
  bool terminal = false;       // out is a terminal: colours and redrawing are allowed
  std::istream* in = nullptr;  // a person who can be asked; null: nobody
};

struct Option {
  std::string name;   // json, written --json; one letter is written -o
  std::string value;  // what it takes, such as FILE; empty: a switch
  std::string doc;
  bool required = false;
  bool repeats = false;                                       // may stand several times; see Args::all
  Result<void> (*valid)(const std::string& value) = nullptr;  // a value that can never be right is wrong usage
};

struct Args {
  std::map<std::string, std::string> options;
  std::map<std::string, std::vector<std::string>> repeated;
  std::vector<std::string> words;
  bool has(const std::string& name) const { return options.contains(name); }
  std::string get(const std::string& name, std::string otherwise = {}) const;
  std::vector<std::string> all(const std::string& name) const;  // of an option that repeats
};

struct Verb {
  std::string name;     // "check", "tenant add"
  std::string summary;  // one line
  std::vector<std::string>
      words;  // positional arguments; [NAME] may be left out and NAME... may repeat; those come last
  std::vector<Option> options;
  std::vector<std::string> examples;  // whole commands
  Result<Exit> (*run)(const Args& args, Io& io);
  Result<void> (*check)(const Args& args) = nullptr;  // what parsing cannot see; a failure is wrong usage
};

Result<void> valid_count(const std::string& value);  // a whole number from 1 to 1,000,000

std::string usage_of(const Verb& verb);
// `invalid_input` names what was off.
Result<Args> parse(const Verb& verb, std::span<const std::string> arguments);
// The verb whose name begins `arguments` (the longest one); null: none. `used`: how many words its name takes.
const Verb* find_verb(std::span<const Verb> verbs, std::span<const std::string> arguments, std::size_t& used);
// Parses, runs, tells what failed.
Exit dispatch(std::span<const Verb> verbs, std::span<const std::string> arguments, Io& io);

// Of all commands, or of those whose name begins with the word `group`.
std::string overview(std::span<const Verb> verbs, const std::string& group = "");
bool is_group(std::span<const Verb> verbs, const std::string& word);
std::string bash_completion(std::span<const Verb> verbs);
std::string reference(std::span<const Verb> verbs);  // docs/reference/cli.md

}  // namespace domicile::cli
