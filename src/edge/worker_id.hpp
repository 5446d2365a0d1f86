// Who a worker process is, beyond its pid, which the kernel gives again. No exceptions: nginx's module uses it as well.
#pragma once
#include <fcntl.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace domicile::edge {

// The start time of a process in clock ticks since boot, field 22 of /proc/PID/stat; 0: there is no such process.
inline std::uint64_t process_started(std::int64_t pid) noexcept {
  char path[48], text[1024];
  std::snprintf(path, sizeof path, "/proc/%lld/stat", static_cast<long long>(pid));
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  const ssize_t size = read(fd, text, sizeof text - 1);
  close(fd);
  if (size <= 0) return 0;
  text[size] = 0;
  const char* at = std::strrchr(text, ')');  // the name before it may hold blanks and brackets
  if (at == nullptr || at[1] == 0 || at[2] == 'Z' || at[2] == 'X') return 0;
  for (int field = 2; field < 22 && at != nullptr; ++field) at = std::strchr(at + 1, ' ');
  return at == nullptr ? 0 : std::strtoull(at, nullptr, 10);
}

inline bool worker_lives(std::int64_t pid, std::uint64_t started) noexcept {
  const std::uint64_t now = process_started(pid);
  return now != 0 && now == started;
}

}  // namespace domicile::edge
