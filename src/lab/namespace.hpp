// Network namespaces: what keeps the lab's regions apart, so that nothing can go around the relay.
#pragma once
#include <functional>
#include <string>

#include "base/file.hpp"

namespace domicile::lab {

enum class Isolation {
  root,  // namespaces made by root
  user,  // namespaces inside one unprivileged user namespace
  flat,  // neither works here: all regions share the host's network
};
std::string_view name_of(Isolation isolation);

// Finds what this machine allows and, where a user namespace is needed, moves this process into one. Call it once,
// before any thread exists: the kernel moves only single-threaded processes.
Isolation prepare_isolation();

// A new namespace with its loopback up. It lives as long as the descriptor or any process in it.
Result<Fd> make_network_namespace();
std::uint64_t inode_of(int namespace_fd);       // 0 when it cannot be read
std::uint64_t network_namespace_of(pid_t pid);  // its inode; 0 when the process is gone
// Runs `work` on a thread inside the namespace; sockets made there stay there. fd < 0: here.
void inside(int namespace_fd, const std::function<void()>& work);

}  // namespace domicile::lab
