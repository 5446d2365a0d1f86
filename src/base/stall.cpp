#include "base/stall.hpp"

#include <signal.h>
#include <unistd.h>

#include <fstream>

namespace domicile {

void StallPoints::reach(std::string_view name, std::string_view subject) const {
  if (directory_.empty()) return;
  reach_one(std::string(name));
  if (!subject.empty()) reach_one(std::string(name) + "@" + std::string(subject));
}

void StallPoints::reach_one(const std::string& name) const {
  const auto file = [&](const char* end) { return directory_ / (name + end); };
  std::error_code ignored;
  if (std::filesystem::exists(file(".kill"), ignored)) {
    std::ofstream(file(".reached")).flush();
    std::filesystem::remove(file(".kill"), ignored);  // once: the next start gets past it
    ::kill(::getpid(), SIGKILL);
  }
  if (!std::filesystem::exists(file(".stop"), ignored)) return;
  std::ofstream(file(".reached")).flush();
  while (std::filesystem::exists(file(".stop"), ignored)) ::usleep(2000);
}

}  // namespace domicile
