#include "base/process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "base/file.hpp"

extern char** environ;

namespace domicile {
namespace {

// Everything the child needs, laid out before fork: no allocation between fork and exec.
struct Image {
  std::vector<std::string> env_strings;
  std::vector<char*> argv, env;

  explicit Image(const Command& command) {
    for (const auto& arg : command.argv) argv.push_back(const_cast<char*>(arg.c_str()));
    argv.push_back(nullptr);
    for (char** e = environ; *e != nullptr; ++e) {
      const std::string_view entry(*e);
      if (!command.env.contains(std::string(entry.substr(0, entry.find('='))))) env_strings.emplace_back(entry);
    }
    for (const auto& [key, value] : command.env) env_strings.push_back(key + "=" + value);
    for (auto& entry : env_strings) env.push_back(entry.data());
    env.push_back(nullptr);
  }
};

struct Stdio {
  int in = -1, out = -1, err = -1;  // -1: inherited
};

void reset_signals() {
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  for (const int number : {SIGPIPE, SIGINT, SIGTERM, SIGHUP, SIGQUIT}) ::signal(number, SIG_DFL);
}

Result<pid_t> spawn(const Command& command, const Stdio& stdio) {
  if (command.argv.empty()) return fail(Kind::invalid_input, "no command to start");
  Image image(command);
  int report[2];
  if (::pipe2(report, O_CLOEXEC) != 0) return tl::unexpected<Error>(errno_error("cannot make a pipe"));
  const Fd reader(report[0]);
  Fd writer(report[1]);
  const pid_t pid = ::fork();
  if (pid < 0) return tl::unexpected<Error>(errno_error("cannot fork"));
  if (pid == 0) {
    ::setpgid(0, 0);  // Ctrl-C in the terminal is for us; we end our children in order
    reset_signals();
    if (stdio.in >= 0) ::dup2(stdio.in, 0);
    if (stdio.out >= 0) ::dup2(stdio.out, 1);
    if (stdio.err >= 0) ::dup2(stdio.err, 2);
    if (command.in_child && !command.in_child()) ::_exit(126);
    if (command.directory.empty() || ::chdir(command.directory.c_str()) == 0)
      ::execvpe(image.argv[0], image.argv.data(), image.env.data());
    const int code = errno;
    [[maybe_unused]] const ssize_t n = ::write(report[1], &code, sizeof code);
    ::_exit(127);
  }
  writer.reset();
  int code = 0;
  if (::read(reader.get(), &code, sizeof code) == sizeof code) {
    ::waitpid(pid, nullptr, 0);
    return fail(Kind::failed, "cannot start " + command.argv[0] + ": " + std::strerror(code),
                code == ENOENT ? "install it, or put it on PATH" : "");
  }
  return pid;
}

int code_of(int status) { return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status); }

}  // namespace

Result<Process> Process::start(const Command& command) {
  Stdio stdio;
  const Fd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  stdio.in = null.get();
  Fd output;
  if (!command.output.empty()) {
    output = Fd(::open(command.output.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
    if (!output) return tl::unexpected<Error>(errno_error("cannot open " + command.output));
    stdio.out = stdio.err = output.get();
  }
  return Process(TRY(spawn(command, stdio)));
}

Process::Process(Process&& other) noexcept : pid_(std::exchange(other.pid_, -1)), code_(other.code_) {}

Process& Process::operator=(Process&& other) noexcept {
  if (this != &other) {
    stop();
    pid_ = std::exchange(other.pid_, -1);
    code_ = other.code_;
  }
  return *this;
}

Process::~Process() { stop(); }

std::optional<int> Process::exit_code() {
  if (pid_ < 0 || code_) return code_;
  int status = 0;
  const pid_t got = ::waitpid(pid_, &status, WNOHANG);
  if (got == pid_) code_ = code_of(status);
  if (got < 0 && errno == ECHILD) code_ = 255;  // somebody else reaped it
  return code_;
}

bool Process::running() { return pid_ >= 0 && !exit_code(); }

void Process::signal(int number) const {
  if (pid_ > 0 && !code_) ::kill(pid_, number);
}

int Process::wait() {
  int status = 0;
  while (!code_) {
    const pid_t got = ::waitpid(pid_, &status, 0);
    if (got == pid_) code_ = code_of(status);
    if (got < 0 && errno != EINTR) code_ = 255;
  }
  return *code_;
}

std::optional<int> Process::wait_for(Micros timeout) {
  const Fd fd(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
  const Micros deadline = monotonic_now() + timeout;
  while (!exit_code()) {
    const Micros left = deadline - monotonic_now();
    if (left <= 0) return {};
    pollfd entry{fd.get(), POLLIN, 0};
    ::poll(&entry, 1, static_cast<int>(left / 1000) + 1);
  }
  return code_;
}

void Process::stop(Micros grace) {
  if (!running()) return;
  signal(SIGCONT);
  signal(SIGTERM);
  if (wait_for(grace)) return;
  signal(SIGKILL);
  wait();
}

pid_t Process::detach() { return std::exchange(pid_, -1); }

Result<Outcome> run(const Command& command, Micros timeout) {
  std::array<int, 2> in{}, out{}, err{};
  if (::pipe2(in.data(), O_CLOEXEC) != 0 || ::pipe2(out.data(), O_CLOEXEC) != 0 || ::pipe2(err.data(), O_CLOEXEC) != 0)
    return tl::unexpected<Error>(errno_error("cannot make a pipe"));
  Fd in_read(in[0]), in_write(in[1]), out_read(out[0]), out_write(out[1]), err_read(err[0]), err_write(err[1]);
  const pid_t pid = TRY(spawn(command, {in_read.get(), out_write.get(), err_write.get()}));
  in_read.reset(), out_write.reset(), err_write.reset();
  ::fcntl(in_write.get(), F_SETFL, O_NONBLOCK);
  ::signal(SIGPIPE, SIG_IGN);

  Outcome outcome{};
  std::string_view todo = command.input;
  const Micros deadline = monotonic_now() + timeout;
  if (todo.empty()) in_write.reset();
  while (out_read || err_read) {
    const Micros left = deadline - monotonic_now();
    if (left <= 0) {
      ::kill(-pid, SIGKILL);
      ::kill(pid, SIGKILL);
      ::waitpid(pid, nullptr, 0);
      return fail(Kind::unavailable, fmt::format("{} did not end within {} ms", command.argv[0], timeout / 1000));
    }
    std::array<pollfd, 3> entries{
        {{out_read.get(), POLLIN, 0}, {err_read.get(), POLLIN, 0}, {in_write.get(), POLLOUT, 0}}};
    ::poll(entries.data(), entries.size(), static_cast<int>(left / 1000) + 1);
    const auto drain = [](Fd& fd, short events, std::string& into) {
      if (!fd || events == 0) return;
      char buffer[65536];
      const ssize_t n = ::read(fd.get(), buffer, sizeof buffer);
      if (n > 0) into.append(buffer, static_cast<std::size_t>(n));
      if (n == 0) fd.reset();
    };
    drain(out_read, entries[0].revents, outcome.out);
    drain(err_read, entries[1].revents, outcome.err);
    if (in_write && entries[2].revents != 0) {
      const ssize_t n = ::write(in_write.get(), todo.data(), todo.size());
      if (n > 0) todo.remove_prefix(static_cast<std::size_t>(n));
      if (todo.empty() || (n < 0 && errno != EAGAIN)) in_write.reset();
    }
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  outcome.exit_code = code_of(status);
  return outcome;
}

}  // namespace domicile
