// Random bytes as a history: a value or an error; what was taken is the same when it is written and read again, and it
// can be judged.
#include <cstdlib>

#include "core/history/checks.hpp"

using namespace domicile;

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const auto operations = history::history_of({reinterpret_cast<const char*>(data), size});
  if (!operations) return 0;
  const auto again = history::history_of(history::to_text(*operations));
  if (!again || *again != *operations) std::abort();
  for (const auto model : {history::Model::registers, history::Model::lists, history::Model::banks})
    (void)history::to_edn(*operations, model);
  if (const auto verdict = history::judge(*operations)) (void)history::json_of(*verdict);
  return 0;
}
