#include "edge/publish.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>

#include "base/file.hpp"

namespace domicile::edge {

Result<void> publish(const std::string& path, std::string_view content) {
  const std::string beside = fmt::format("{}.{}.new", path, getpid());
  Fd fd(open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (!fd) return tl::unexpected<Error>(errno_error("cannot create " + beside));
  const auto give_up = [&](const std::string& what) {
    const Error error = errno_error(what);
    unlink(beside.c_str());
    return tl::unexpected<Error>(error);
  };
  // The umask of whoever starts us must not hide the file from nginx's workers.
  if (fchmod(fd.get(), 0644) != 0) return give_up("cannot open " + beside + " to its readers");
  while (!content.empty()) {
    const ssize_t n = write(fd.get(), content.data(), content.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return give_up("cannot write " + beside);
    content.remove_prefix(static_cast<std::size_t>(n));
  }
  if (rename(beside.c_str(), path.c_str()) != 0) return give_up("cannot rename " + beside);
  return {};
}

}  // namespace domicile::edge
