#include "core/history/book.hpp"

namespace domicile::history {
namespace {

void file_end(const Operation& operation, Book& book) {
  const Thing thing{operation.residency, operation.key};
  const Kept kept{operation.node, operation.epoch, operation.value};
  switch (operation.deed) {
    case Deed::last_read:
      book.register_ends[thing].last = operation;
      break;
    case Deed::last_list:
      book.list_ends[thing].last = operation;
      break;
    case Deed::last_balances:
      book.bank_ends[thing].last = operation;
      break;
    case Deed::last_transfers:
      book.transfers_end[thing] = operation;
      break;
    case Deed::kept_read:
      book.register_ends[thing].kept.push_back(kept);
      return;
    case Deed::kept_list:
      book.list_ends[thing].kept.push_back(kept);
      return;
    case Deed::kept_transfer:
      book.kept_transfers[operation.residency].insert(operation.value[0]);
      return;
    case Deed::lost:
      book.lost.push_back(
          {operation.residency, operation.node, operation.epoch, static_cast<std::uint64_t>(operation.value[0])});
      return;
    case Deed::bank:
      book.made[thing] = operation;
      return;
    case Deed::owner:
      book.owners.push_back(&operation);
      return;
    default:
      return;
  }
  book.at_end = true;
}

void file_call(const Call& call, Book& book) {
  const Thing thing{call.residency, call.key};
  switch (call.deed) {
    case Deed::read:
    case Deed::write:
    case Deed::cas:
      book.registers[thing].push_back(&call);
      break;
    case Deed::append:
    case Deed::list:
      book.lists[thing].push_back(&call);
      break;
    default:
      book.banks[thing].push_back(&call);
  }
}

// What a call writes: the new value of a register, the item of a list, the id of a transfer.
std::optional<std::int64_t> written(const Call& call) {
  if (!writes(call.deed)) return {};
  return call.asked[call.deed == Deed::cas ? 1 : 0];
}

}  // namespace

Result<Book> open_book(const std::vector<Operation>& operations) {
  Book book;
  book.calls = TRY(calls_of(operations));
  for (const Operation& operation : operations) file_end(operation, book);
  for (const Call& call : book.calls) file_call(call, book);
  // What no client spoke of is looked at too.
  for (const auto& [thing, ends] : book.register_ends) book.registers[thing];
  for (const auto& [thing, ends] : book.list_ends) book.lists[thing];
  for (const auto& [thing, made] : book.made) book.banks[thing];
  return book;
}

bool named_lost(const Book& book, const Call& call) {
  for (const LostRange& range : book.lost)
    if (range.residency == call.residency && range.node == call.node && range.epoch >= call.epoch && call.lsn != 0 &&
        call.lsn > range.behind)
      return true;
  return false;
}

Result<Writers> writers_of(const std::vector<const Call*>& calls) {
  Writers writers;
  for (const Call* call : calls)
    if (const auto value = written(*call); value && !writers.emplace(*value, call).second)
      return fail(Kind::corrupt, fmt::format("{} of {} is written twice", *value, call->key),
                  "a history is judged by its values: each is written once");
  return writers;
}

std::string phantom(const Writers& writers, std::int64_t value, Micros seen) {
  const auto found = writers.find(value);
  if (found == writers.end()) return fmt::format("{} is there, and nobody wrote it", value);
  if (found->second->outcome == Type::fail) return fmt::format("{} is there, and its write was refused", value);
  if (found->second->begin > seen) return fmt::format("{} was seen before its write began", value);
  return "";
}

}  // namespace domicile::history
