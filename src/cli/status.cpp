// domicile status: who owns what, how far the copies are, and what is unsafe now.
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/agent_client.hpp"
#include "cli/registry.hpp"
#include "cli/status_view.hpp"

namespace domicile::cli {
namespace {

std::size_t terminal_width() {
  winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 100;
}

Exit exit_for(const Json& status) { return unsafe_now(status).empty() ? Exit::ok : Exit::unsafe; }

std::string shown(const Args& args, const Json& status, const Look& look) {
  const bool writers = args.has("writers");
  if (args.has("json")) return dump(writers ? json_of(writers_of(status)) : status) + "\n";
  return writers ? writers_text(status, look) : status_text(status, look);
}

// Signals that end the watching, taken by waiting for them: nothing has to be safe inside a handler.
class EndSignals {
 public:
  EndSignals() {
    sigemptyset(&ends_);
    sigaddset(&ends_, SIGINT);
    sigaddset(&ends_, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &ends_, &before_);
  }
  ~EndSignals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  EndSignals(const EndSignals&) = delete;
  EndSignals& operator=(const EndSignals&) = delete;
  bool arrived_within_a_second() const {
    const timespec second{1, 0};
    return sigtimedwait(&ends_, nullptr, &second) > 0;
  }

 private:
  sigset_t ends_{}, before_{};
};

// The alternate screen, left as it was found.
class Screen {
 public:
  explicit Screen(std::ostream& out) : out_(out) { out_ << "\033[?1049h\033[?25l" << std::flush; }
  ~Screen() { out_ << "\033[?25h\033[?1049l" << std::flush; }
  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;
  void draw(const std::string& text) {
    std::string frame = "\033[H";
    for (const char c : text) frame += c == '\n' ? std::string("\033[K\n") : std::string(1, c);
    out_ << frame << "\033[J" << std::flush;
  }

 private:
  std::ostream& out_;
};

Result<Exit> watch(const Args& args, Io& io) {
  if (!io.terminal && !args.has("json")) {
    io.err << "error: --watch needs a terminal\n  fix: --watch --json writes one line a second\n";
    return Exit::usage;
  }
  auto agent = TRY(AgentClient::of(args));
  const EndSignals ends;
  std::optional<Screen> screen;
  if (!args.has("json")) screen.emplace(io.out);
  Exit last = Exit::try_later;
  do {
    const auto status = agent.get("/v1/status");
    last = status ? exit_for(*status) : exit_of(status.error().kind);
    if (screen)
      screen->draw(status ? shown(args, *status, {true, terminal_width()}) + "\nCtrl-C ends\n"
                          : render(status.error()) + "\n\nCtrl-C ends\n");
    else if (status)
      io.out << shown(args, *status, {}) << std::flush;
    else
      io.err << render(status.error()) << "\n";
  } while (!ends.arrived_within_a_second());
  return last;
}

Result<Exit> run(const Args& args, Io& io) {
  if (args.has("watch")) return watch(args, io);
  auto agent = TRY(AgentClient::of(args));
  const Json status = TRY(agent.get("/v1/status"));
  io.out << shown(args, status, {io.terminal, io.terminal ? terminal_width() : 0});
  return exit_for(status);
}

}  // namespace

Verb status_verb() {
  return {"status",
          "Show who owns what, how far the copies here are, and what is unsafe now (then the exit code is 5).",
          {},
          with_agent_options({{"watch", "", "Draw it again each second until Ctrl-C."},
                              {"writers", "", "Show who may write what, until when, and why."},
                              {"json", "", "Print one JSON object."}}),
          {"domicile status", "domicile status --watch", "domicile status --writers",
           "domicile status --json --agent /run/domicile/agent.socket",
           "domicile status --url https://10.0.0.1:7400 --ca ca.pem --certificate me.pem --key me.key"},
          run,
          check_agent_options};
}

}  // namespace domicile::cli
