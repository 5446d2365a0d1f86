#include "drill/write.hpp"

#include <sstream>

namespace domicile::drill {

std::string to_text(const std::vector<Write>& writes) {
  std::string text;
  for (const Write& write : writes)
    text += fmt::format("{} {} {} {} {} {} {}\n", write.id, write.client, write.intended, write.done,
                        static_cast<int>(write.outcome), write.status, write.tries);
  return text;
}

Result<std::vector<Write>> writes_of(const std::string& text) {
  std::vector<Write> writes;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    Write write;
    int outcome = -1;
    std::string rest;
    words >> write.id >> write.client >> write.intended >> write.done >> outcome >> write.status >> write.tries;
    if (!words || (words >> rest) || outcome < 0 || outcome > 2)
      return fail(Kind::corrupt, fmt::format("line {} of the writes is broken", writes.size() + 1));
    write.outcome = static_cast<Outcome>(outcome);
    writes.push_back(std::move(write));
  }
  return writes;
}

}  // namespace domicile::drill
