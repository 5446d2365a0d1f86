#include "lab/namespace.hpp"

#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

namespace domicile::lab {
namespace {

// Tried in a child: a failed half-way unshare must not change this process.
bool child_can(int flags) {
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(::unshare(flags) == 0 ? 0 : 1);
  int status = 1;
  return pid > 0 && ::waitpid(pid, &status, 0) == pid && status == 0;
}

bool write_proc(const char* path, const std::string& text) {
  const Fd fd(::open(path, O_WRONLY | O_CLOEXEC));
  return fd && ::write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

bool loopback_up() {
  const Fd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  request.ifr_name[0] = 'l', request.ifr_name[1] = 'o';
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  return fd && ::ioctl(fd.get(), SIOCSIFFLAGS, &request) == 0;
}

}  // namespace

std::string_view name_of(Isolation isolation) {
  switch (isolation) {
    case Isolation::root:
      return "root";
    case Isolation::user:
      return "user";
    case Isolation::flat:
      return "flat";
  }
  return "flat";
}

Isolation prepare_isolation() {
  if (::geteuid() == 0) return child_can(CLONE_NEWNET) ? Isolation::root : Isolation::flat;
  if (!child_can(CLONE_NEWUSER | CLONE_NEWNET)) return Isolation::flat;
  const uid_t uid = ::geteuid();
  const gid_t gid = ::getegid();
  if (::unshare(CLONE_NEWUSER) != 0) return Isolation::flat;
  // Mapped to itself and not to 0: PostgreSQL does not run as root.
  const bool mapped = write_proc("/proc/self/setgroups", "deny") &&
                      write_proc("/proc/self/gid_map", fmt::format("{} {} 1", gid, gid)) &&
                      write_proc("/proc/self/uid_map", fmt::format("{} {} 1", uid, uid));
  return mapped ? Isolation::user : Isolation::flat;
}

void inside(int namespace_fd, const std::function<void()>& work) {
  if (namespace_fd < 0) return work();
  std::thread([&] {
    if (::setns(namespace_fd, CLONE_NEWNET) == 0) work();
  }).join();
}

Result<Fd> make_network_namespace() {
  Fd made;
  int code = 0;
  std::thread([&] {
    if (::unshare(CLONE_NEWNET) != 0 || !loopback_up()) {
      code = errno;
      return;
    }
    made = Fd(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
    code = errno;
  }).join();
  if (made) return made;
  errno = code;
  return tl::unexpected<Error>(errno_error("cannot make a network namespace"));
}

std::uint64_t inode_of(int namespace_fd) {
  struct stat info {};
  return ::fstat(namespace_fd, &info) == 0 ? info.st_ino : 0;
}

std::uint64_t network_namespace_of(pid_t pid) {
  struct stat info {};
  return ::stat(fmt::format("/proc/{}/ns/net", pid).c_str(), &info) == 0 ? info.st_ino : 0;
}

}  // namespace domicile::lab
