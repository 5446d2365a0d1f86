#include "core/history/history.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <optional>

#include "base/json.hpp"

namespace domicile::history {
namespace {

constexpr std::array<std::string_view, 4> kTypes = {"invoke", "ok", "fail", "info"};
constexpr std::array<std::string_view, 21> kDeeds = {
    "read",          "write",          "cas",       "append",    "list",          "transfer",  "balances",
    "bank",          "fault",          "undo",      "missed",    "owner",         "last-read", "last-list",
    "last-balances", "last-transfers", "kept-read", "kept-list", "kept-transfer", "lost",      "census"};

template <std::size_t n>
std::optional<std::size_t> find(const std::array<std::string_view, n>& names, std::string_view name) {
  for (std::size_t i = 0; i < n; ++i)
    if (names[i] == name) return i;
  return {};
}

// How many numbers a value has: exactly `least`, or any number from there on.
struct Shape {
  std::size_t least = 0;
  bool more = false;
};

Shape shape_of(Type type, Deed deed) {
  const bool answer = type == Type::ok;
  switch (deed) {
    case Deed::read:
    case Deed::last_read:
    case Deed::kept_read:
      return {answer || deed != Deed::read ? 1U : 0U};
    case Deed::write:
    case Deed::append:
    case Deed::kept_transfer:
    case Deed::lost:
    case Deed::census:
      return {1};
    case Deed::cas:
    case Deed::bank:
      return {2};
    case Deed::transfer:
      return {4};
    case Deed::list:
    case Deed::balances:
      return {0, answer};
    case Deed::last_list:
    case Deed::last_balances:
    case Deed::last_transfers:
    case Deed::kept_list:
      return {0, true};
    case Deed::fault:
    case Deed::undo:
    case Deed::missed:
    case Deed::owner:
      return {};
  }
  return {};
}

bool may_be_empty_read(Type type, Deed deed) {
  return (deed == Deed::read && type == Type::ok) || deed == Deed::last_read;
}

Result<void> check_shape(const Operation& operation) {
  const Shape shape = shape_of(operation.type, operation.deed);
  const std::size_t size = operation.value.size();
  const bool fits = operation.empty_read ? size == 0 && may_be_empty_read(operation.type, operation.deed)
                                         : size == shape.least || (shape.more && size > shape.least);
  if (!fits) return fail(Kind::corrupt, fmt::format("its value does not fit {}", name_of(operation.deed)));
  if (by_client(operation.deed) == (operation.process < 0))
    return fail(Kind::corrupt,
                fmt::format("{} is {}a client's", name_of(operation.deed), by_client(operation.deed) ? "" : "not "));
  if (by_client(operation.deed) && (operation.residency.empty() || operation.key.empty()))
    return fail(Kind::corrupt, "a client's operation names residency and key");
  if (!by_client(operation.deed) && operation.type != Type::info)
    return fail(Kind::corrupt, "what no client did is info");
  if (operation.type == Type::ok && (operation.node.empty() || operation.epoch == 0))
    return fail(Kind::corrupt, "what happened has a node and an epoch");
  if (operation.time < 0 || operation.epoch < 0) return fail(Kind::corrupt, "time and epoch are not negative");
  return {};
}

Result<Operation> operation_of(const Json& json) {
  Operation out;
  const auto time = TRY(member<std::int64_t>(json, "time"));
  out.time = time / 1000;
  const Json process = TRY(member<Json>(json, "process"));
  if (process.is_number_integer()) {
    out.process = process.get<std::int64_t>();
    if (out.process < 0) return fail(Kind::corrupt, "a client's process is not negative");
  } else if (process != "nemesis") {
    return fail(Kind::corrupt, "a process is a number or \"nemesis\"");
  }
  const auto type = find(kTypes, TRY(member<std::string>(json, "type")));
  const auto deed = find(kDeeds, TRY(member<std::string>(json, "f")));
  if (!type || !deed) return fail(Kind::corrupt, "its type or f is none that is known");
  out.type = static_cast<Type>(*type), out.deed = static_cast<Deed>(*deed);
  out.residency = TRY(member_or<std::string>(json, "residency", ""));
  out.key = TRY(member_or<std::string>(json, "key", ""));
  const Json value = TRY(member_or<Json>(json, "value", Json::array()));
  if (!value.is_array()) return fail(Kind::corrupt, "value is an array of whole numbers, or null");
  for (const Json& number : value) {
    if (!number.is_number_integer()) return fail(Kind::corrupt, "value is an array of whole numbers, or null");
    out.value.push_back(number.get<std::int64_t>());
  }
  out.empty_read = may_be_empty_read(out.type, out.deed) && json.contains("value") && json["value"].is_null();
  out.node = TRY(member_or<std::string>(json, "node", ""));
  out.epoch = TRY(member_or<std::int64_t>(json, "epoch", 0));
  out.lsn = TRY(member_or<std::uint64_t>(json, "lsn", 0));
  out.note = TRY(member_or<std::string>(json, "note", ""));
  CHECK_OK(check_shape(out));
  return out;
}

// EDN's strings are JSON's, for the characters that keys have.
std::string quoted(const std::string& text) { return dump(Json(text)); }

std::string numbers(const std::vector<std::int64_t>& value) { return fmt::format("[{}]", fmt::join(value, " ")); }

std::optional<Model> model_of(Deed deed) {
  switch (deed) {
    case Deed::read:
    case Deed::write:
    case Deed::cas:
      return Model::registers;
    case Deed::append:
    case Deed::list:
      return Model::lists;
    case Deed::transfer:
    case Deed::balances:
      return Model::banks;
    default:
      return {};
  }
}

std::string edn_value(const Operation& operation) {
  const bool answered = operation.type == Type::ok;
  switch (operation.deed) {
    case Deed::read:
      return fmt::format("[{} {}]", quoted(operation.key),
                         answered && !operation.empty_read ? std::to_string(operation.value[0]) : "nil");
    case Deed::write:
      return fmt::format("[{} {}]", quoted(operation.key), operation.value[0]);
    case Deed::cas:
      return fmt::format("[{} {}]", quoted(operation.key), numbers(operation.value));
    case Deed::append:
      return fmt::format("[[:append {} {}]]", quoted(operation.key), operation.value[0]);
    case Deed::list:
      return fmt::format("[[:r {} {}]]", quoted(operation.key), answered ? numbers(operation.value) : "nil");
    case Deed::transfer:
      return fmt::format("{{:bank {} :from {} :to {} :amount {}}}", quoted(operation.key), operation.value[1],
                         operation.value[2], operation.value[3]);
    case Deed::balances: {
      if (!answered) return "nil";
      std::string out = "{";
      for (std::size_t i = 0; i < operation.value.size(); ++i)
        out += fmt::format("{}{} {}", i == 0 ? "" : ", ", i, operation.value[i]);
      return out + "}";
    }
    default:
      return "nil";
  }
}

std::string_view edn_f(const Operation& operation) {
  if (operation.deed == Deed::append || operation.deed == Deed::list) return "txn";
  return operation.deed == Deed::balances ? "read" : name_of(operation.deed);
}

}  // namespace

std::string_view name_of(Type type) { return kTypes[static_cast<std::size_t>(type)]; }
std::string_view name_of(Deed deed) { return kDeeds[static_cast<std::size_t>(deed)]; }

bool by_client(Deed deed) { return deed <= Deed::balances; }

bool writes(Deed deed) {
  return deed == Deed::write || deed == Deed::cas || deed == Deed::append || deed == Deed::transfer;
}

std::string to_line(const Operation& operation, std::size_t index) {
  nlohmann::ordered_json json{{"index", index}, {"time", operation.time * 1000}};
  if (operation.process < 0)
    json["process"] = "nemesis";
  else
    json["process"] = operation.process;
  json["type"] = name_of(operation.type);
  json["f"] = name_of(operation.deed);
  const auto add = [&](const char* name, const std::string& text) {
    if (!text.empty()) json[name] = text;
  };
  add("residency", operation.residency);
  add("key", operation.key);
  if (operation.empty_read)
    json["value"] = nullptr;
  else
    json["value"] = operation.value;
  add("node", operation.node);
  if (operation.epoch != 0) json["epoch"] = operation.epoch;
  if (operation.lsn != 0) json["lsn"] = operation.lsn;
  add("note", operation.note);
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

std::string to_text(const std::vector<Operation>& operations) {
  std::string text;
  for (std::size_t i = 0; i < operations.size(); ++i) text += to_line(operations[i], i) + "\n";
  return text;
}

Result<std::vector<Operation>> history_of(std::string_view text) {
  std::vector<Operation> operations;
  for (std::size_t line = 1; !text.empty(); ++line) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view one = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (one.empty()) continue;
    const auto json = parse_json(one, "it");
    auto operation = json ? operation_of(*json) : Result<Operation>(tl::unexpected<Error>(json.error()));
    if (operation && !operations.empty() && operation->time < operations.back().time)
      operation = fail(Kind::corrupt, "its time is before that of the line above");
    if (!operation) return wrap(fmt::format("line {} is no operation of a history", line), operation.error());
    operations.push_back(std::move(*operation));
  }
  return operations;
}

std::string to_edn(const std::vector<Operation>& operations, Model model) {
  std::string out;
  std::size_t index = 0;
  for (const Operation& operation : operations) {
    if (model_of(operation.deed) != model) continue;
    out +=
        fmt::format("{{:index {} :time {} :process {} :type :{} :f :{} :value {}}}\n", index++, operation.time * 1000,
                    operation.process, name_of(operation.type), edn_f(operation), edn_value(operation));
  }
  return out;
}

Result<std::vector<Call>> calls_of(const std::vector<Operation>& operations) {
  std::vector<Call> calls;
  std::map<std::int64_t, std::size_t> open;  // by process: which call it is in
  for (std::size_t i = 0; i < operations.size(); ++i) {
    const Operation& operation = operations[i];
    if (!by_client(operation.deed)) continue;
    const auto begun = open.find(operation.process);
    if (operation.type == Type::invoke) {
      if (begun != open.end())
        return fail(Kind::corrupt, fmt::format("process {} begins operation {} inside another", operation.process, i));
      open[operation.process] = calls.size();
      Call call;
      call.invoked_at = i, call.deed = operation.deed, call.begin = call.end = operation.time;
      call.residency = operation.residency, call.key = operation.key, call.asked = operation.value;
      calls.push_back(std::move(call));
      continue;
    }
    if (begun == open.end()) return fail(Kind::corrupt, fmt::format("operation {} ends and never began", i));
    Call& call = calls[begun->second];
    if (call.deed != operation.deed || call.key != operation.key || call.residency != operation.residency)
      return fail(Kind::corrupt, fmt::format("operation {} ends another one than its process began", i));
    call.outcome = operation.type, call.end = operation.time;
    if (operation.type == Type::ok) {
      call.answered = operation.value, call.empty_read = operation.empty_read;
      call.node = operation.node, call.epoch = operation.epoch, call.lsn = operation.lsn;
    }
    open.erase(begun);
  }
  return calls;
}

}  // namespace domicile::history
