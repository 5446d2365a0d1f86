#include "campaign/clients.hpp"

#include <algorithm>
#include <random>

#include "base/json.hpp"
#include "campaign/caller.hpp"

namespace domicile::campaign {
namespace {

using history::Deed;
using history::Operation;
using history::Type;

constexpr Micros kAnswer = 4 * kSecond;
constexpr Micros kPause = 100 * kMillisecond;      // after a refusal
constexpr int kRegisterLife = 40, kListLife = 30;  // operations on one key: the search for an order stays short
constexpr std::size_t kRegisters = 3, kLists = 2;

// One HTTP request for an operation, and what its answer makes of it.
struct Ask {
  std::string method, path;
  Json body = nullptr;
};

Ask ask_of(const Operation& operation, const std::string& tenant, const std::string& note) {
  const auto& value = operation.value;
  const std::string& key = operation.key;
  switch (operation.deed) {
    case Deed::read:
      return {"GET", "/registers/" + key + "?tenant=" + tenant};
    case Deed::list:
      return {"GET", "/lists/" + key + "?tenant=" + tenant};
    case Deed::balances:
      return {"GET", "/banks/" + key + "?tenant=" + tenant};
    case Deed::write:
      return {"POST", "/registers/" + key, {{"tenant", tenant}, {"value", value[0]}, {"note", note}}};
    case Deed::cas:
      return {"POST",
              "/registers/" + key,
              {{"tenant", tenant}, {"expected", value[0]}, {"value", value[1]}, {"note", note}}};
    case Deed::append:
      return {"POST", "/lists/" + key, {{"tenant", tenant}, {"value", value[0]}, {"note", note}}};
    default:
      return {"POST",
              "/banks/" + key,
              {{"tenant", tenant},
               {"id", value[0]},
               {"from", value[1]},
               {"to", value[2]},
               {"amount", value[3]},
               {"note", note}}};
  }
}

// What was read, into the operation.
Result<void> take_value(const Json& value, Operation& operation) {
  if (operation.deed == Deed::read) {
    operation.empty_read = value.is_null();
    if (value.is_number_integer()) operation.value = {value.get<std::int64_t>()};
    if (!operation.empty_read && operation.value.empty()) return fail(Kind::corrupt, "no number");
    return {};
  }
  if (value.is_null()) return {};  // a list that nobody has written
  if (!value.is_array()) return fail(Kind::corrupt, "no array");
  for (const Json& each : value) {
    if (!each.is_number_integer()) return fail(Kind::corrupt, "no numbers");
    operation.value.push_back(each.get<std::int64_t>());
  }
  return {};
}

Result<void> take_answer(const std::string& body, Operation& operation) {
  const Json answer = TRY(parse_json(body, "the ledger's answer"));
  operation.node = TRY(member<std::string>(answer, "node"));
  operation.epoch = TRY(member<std::int64_t>(answer, "epoch"));
  operation.lsn = TRY(member_or<std::uint64_t>(answer, "lsn", 0));
  if (history::writes(operation.deed)) return {};
  return take_value(TRY(member<Json>(answer, "value")), operation);
}

// A read that nobody answered surely changed nothing.
Type unanswered(const Operation& operation) { return history::writes(operation.deed) ? Type::info : Type::fail; }

Type outcome(const Result<HttpResponse>& response, Operation& operation) {
  if (!response) {
    operation.note = fmt::format("{}: {}", name_of(response.error().kind), response.error().what);
    return response.error().kind == Kind::unavailable ? Type::fail : unanswered(operation);
  }
  if (response->status == 200) {
    if (take_answer(response->body, operation)) return Type::ok;
    operation.note = "an answer that cannot be read";
    return unanswered(operation);
  }
  operation.note = std::to_string(response->status);
  return response->status == 503 || response->status < 500 ? Type::fail : unanswered(operation);
}

Result<HttpResponse> send(Caller& caller, const Ask& ask, const drill::ClientSpec& tenant, std::size_t gateway) {
  return caller.send(tenant.gateways[gateway % tenant.gateways.size()], tenant.host, ask.method, ask.path,
                     ask.body.is_null() ? "" : dump(ask.body), kAnswer);
}

}  // namespace

std::string bank_key(const std::string& residency, std::size_t number) {
  return fmt::format("{}-bank-{}", residency, number);
}

// The keys that are in use now, shared by all clients of a residency: so they meet.
struct Clients::Keys {
  struct Key {
    std::string name;
    std::size_t tenant = 0;
    int left = 0;
    std::int64_t last = 0;  // a value that was written or seen; 0: none
  };
  std::mutex mutex;
  std::string residency;
  std::size_t tenants = 0, made = 0;
  std::vector<Key> registers = std::vector<Key>(kRegisters), lists = std::vector<Key>(kLists);

  // With the mutex held.
  Key& use(std::vector<Key>& keys, std::size_t number, const char* kind, int life) {
    Key& key = keys[number % keys.size()];
    if (key.left-- > 0) return key;
    key = {fmt::format("{}-{}-{}", residency, kind, made), made % tenants, life, 0};
    ++made;
    return key;
  }
};

Clients::Clients(ClientsSpec spec, Recorder& recorder)
    : spec_(std::move(spec)), recorder_(recorder), keys_(std::make_unique<Keys>()) {
  keys_->residency = spec_.tenants.at(0).residency;
  keys_->tenants = spec_.tenants.size();
}

Result<std::unique_ptr<Clients>> Clients::start(ClientsSpec spec, Recorder& recorder, Micros patience) {
  if (spec.tenants.size() < kBanks || spec.notes.empty())
    return fail(Kind::invalid_input, "clients need tenants and notes");
  std::unique_ptr<Clients> clients(new Clients(std::move(spec), recorder));
  CHECK_OK(clients->make_banks(patience));
  for (std::size_t i = 0; i < clients->spec_.count; ++i)
    clients->threads_.emplace_back([raw = clients.get(), i] { raw->run(i); });
  return clients;
}

Clients::~Clients() { stop(); }

void Clients::stop() {
  stopping_ = true;
  threads_.clear();
}

Result<void> Clients::make_banks(Micros patience) {
  Caller caller(spec_.ca);
  for (std::size_t i = 0; i < kBanks; ++i) {
    const auto& tenant = spec_.tenants[i];
    const std::string key = bank_key(tenant.residency, i);
    const Ask ask{
        "PUT",
        "/banks/" + key,
        {{"tenant", tenant.tenant}, {"accounts", kAccounts}, {"balance", kBalance}, {"note", spec_.notes[0]}}};
    std::string last;
    bool made = false;
    for (const Micros deadline = monotonic_now() + patience; !made && monotonic_now() < deadline;) {
      const auto response = send(caller, ask, tenant, 0);
      made = response && response->status == 200;
      last = response ? std::to_string(response->status) : one_line(response.error());
      if (!made) std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
    if (!made)
      return fail(Kind::unavailable, fmt::format("the ledger of {} does not answer: {}", tenant.residency, last));
    recorder_.note(Deed::bank, tenant.residency, key, {kAccounts, kBalance});
  }
  return {};
}

// What is done next, and by which tenant.
struct Clients::Choice {
  Operation operation;
  std::size_t tenant = 0;
};

Clients::Choice Clients::choose(std::mt19937_64& random) {
  static std::atomic<std::int64_t> next_value = 1;  // each is written once in a campaign
  Choice choice;
  Operation& operation = choice.operation;
  operation.type = Type::invoke, operation.residency = keys_->residency;
  const std::lock_guard lock(keys_->mutex);
  const auto luck = random() % 100;
  const auto pick = static_cast<std::size_t>(random() >> 8);
  if (luck < 45) {
    auto& key = keys_->use(keys_->registers, pick, "register", kRegisterLife);
    operation.key = key.name, choice.tenant = key.tenant;
    operation.deed = luck < 18 ? Deed::read : luck < 35 || key.last == 0 ? Deed::write : Deed::cas;
    if (operation.deed == Deed::cas) operation.value = {key.last, next_value++};
    if (operation.deed == Deed::write) operation.value = {next_value++};
  } else if (luck < 75) {
    auto& key = keys_->use(keys_->lists, pick, "list", kListLife);
    operation.key = key.name, choice.tenant = key.tenant;
    operation.deed = luck < 63 ? Deed::append : Deed::list;
    if (operation.deed == Deed::append) operation.value = {next_value++};
  } else {
    choice.tenant = pick % kBanks;
    operation.key = bank_key(operation.residency, choice.tenant);
    operation.deed = luck < 90 ? Deed::transfer : Deed::balances;
    const auto from = static_cast<std::int64_t>(random() % kAccounts);
    const auto to = (from + 1 + static_cast<std::int64_t>(random() % (kAccounts - 1))) % kAccounts;
    const auto amount = 1 + static_cast<std::int64_t>(random() % 9);
    if (operation.deed == Deed::transfer) operation.value = {next_value++, from, to, amount};
  }
  return choice;
}

// Others compare with what was last seen.
void Clients::learn(const Operation& done) {
  if (done.type != Type::ok || done.value.empty() || done.deed > Deed::cas) return;
  const std::lock_guard lock(keys_->mutex);
  for (auto& key : keys_->registers)
    if (key.name == done.key) key.last = done.value.back();
}

void Clients::run(std::size_t number) {
  Caller caller(spec_.ca);
  std::mt19937_64 random(spec_.seed * 1000 + number);
  std::int64_t process = spec_.first_process + static_cast<std::int64_t>(number);
  std::size_t gateway = number;  // clients of every region
  const auto pace = static_cast<Micros>(static_cast<double>(kSecond) * static_cast<double>(spec_.count) / spec_.per_s);
  for (Micros next = monotonic_now(); !stopping_;) {
    auto [operation, tenant] = choose(random);
    operation.process = process;
    recorder_.add(operation);
    const Ask ask = ask_of(operation, spec_.tenants[tenant].tenant, spec_.notes[random() % spec_.notes.size()]);
    const auto response = send(caller, ask, spec_.tenants[tenant], gateway);
    operation.type = outcome(response, operation);
    if (operation.type != Type::ok && !history::writes(operation.deed)) operation.value.clear();
    recorder_.add(operation);
    learn(operation);
    if (operation.type == Type::info) process += spec_.processes;
    // Whoever does not answer, or says 503, is left for the next one.
    if (!response || response->status == 421 || response->status >= 500) {
      ++gateway;
      std::this_thread::sleep_for(std::chrono::microseconds(kPause));
    }
    next = std::max(next + pace, monotonic_now() - pace);
    std::this_thread::sleep_for(std::chrono::microseconds(std::max<Micros>(next - monotonic_now(), 0)));
  }
}

}  // namespace domicile::campaign
