// What clients did to a platform and what came of it, as operations that begin and end; what was done to the platform
// meanwhile; and what was found when all was quiet again. As values and as text, see docs/history.md. Pure.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"

namespace domicile::history {

enum class Type {
  invoke,  // it begins
  ok,      // it happened
  fail,    // it surely did not
  info,    // nobody knows; or something that is no client's operation
};

// What an operation does. `asked` is the value of its invoke, `answered` that of its ok where it says more.
enum class Deed {
  // clients, one key each
  read,      // a register: asked {}, answered {v}; {} is a register that nobody has written yet
  write,     // a register: {v}; each value is written once at most
  cas,       // a register: {old, new}
  append,    // to a list: {v}; each value once at most
  list,      // all of a list: asked {}, answered its values in their order
  transfer,  // {id, from, to, amount} between two accounts of a bank
  balances,  // all accounts of a bank: asked {}, answered a balance for each
  // before the clients
  bank,  // a bank of {accounts, balance} each
  // meanwhile
  fault,   // something was done to `node`; `note` says what
  undo,    // and undone
  missed,  // a fault that could not be done; `note` says why
  owner,   // the agent of `node` said that the region `note` serves the residency in this epoch
  // when all was quiet again: what the last owner has of this key, as a read of it would say
  last_read,
  last_list,
  last_balances,
  last_transfers,  // ids
  // what `node` keeps as salvage of an ended epoch
  kept_read,      // a register: {v}
  kept_list,      // a list, as it was there in the end
  kept_transfer,  // {id}
  lost,           // `node` says that of this epoch everything behind the position {lsn} is lost
  census,         // {bytes} of personal values that lay where they may not lie
};
std::string_view name_of(Type type);
std::string_view name_of(Deed deed);
bool by_client(Deed deed);
bool writes(Deed deed);  // by a client, and changes something

struct Operation {
  Micros time = 0;            // since the history began; never goes back
  std::int64_t process = -1;  // of a client, from 0; -1: nobody's
  Type type = Type::info;
  Deed deed = Deed::fault;
  std::string residency, key;       // may be empty where it is nobody's
  std::vector<std::int64_t> value;  // see Deed
  bool empty_read = false;          // of a register: nobody has written it
  std::string node;                 // ok: the region whose database answered
  std::int64_t epoch = 0;           // ok: in which epoch it happened there
  std::uint64_t lsn = 0;  // ok of a write: it is committed before this position of the node's log; 0: not known
  std::string note;       // for people: what went wrong, what was done
  bool operator==(const Operation&) const = default;
};

// JSON lines. `corrupt` names the line: what was read has the shape that its deed demands, and time never goes back.
std::string to_line(const Operation& operation, std::size_t index);
std::string to_text(const std::vector<Operation>& operations);
Result<std::vector<Operation>> history_of(std::string_view text);

// The clients' operations on one kind of thing as EDN, the way Jepsen writes it: `registers` for Knossos (values are
// [key value]), `lists` for Elle's list-append, `banks` for Jepsen's bank.
enum class Model { registers, lists, banks };
std::string to_edn(const std::vector<Operation>& operations, Model model);

// An operation of a client from its beginning to its end.
struct Call {
  std::size_t invoked_at = 0;  // index in the history
  Type outcome = Type::info;   // ok, fail or info
  Deed deed = Deed::read;
  std::string residency, key;
  std::vector<std::int64_t> asked, answered;
  bool empty_read = false;
  Micros begin = 0, end = 0;  // info: it may still happen at any time, and `end` says nothing
  std::string node;
  std::int64_t epoch = 0;
  std::uint64_t lsn = 0;
};
// `corrupt` where an end has no beginning, another deed than it, or a process begins twice. What has no end is info.
Result<std::vector<Call>> calls_of(const std::vector<Operation>& operations);

}  // namespace domicile::history
