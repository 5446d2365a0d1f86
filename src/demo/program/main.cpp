// domicile-demo HOST:PORT CONNINFO: the demo's services, orders and ledger. It runs until SIGTERM or SIGINT.
#include <signal.h>

#include <charconv>
#include <cstdio>

#include "demo/ledger.hpp"

int main(int argc, char** argv) {
  const std::string_view listen = argc == 3 ? argv[1] : "";
  const std::size_t colon = listen.rfind(':');
  int port = 0;
  if (colon == std::string_view::npos ||
      std::from_chars(listen.data() + colon + 1, listen.data() + listen.size(), port).ec != std::errc()) {
    std::fputs("usage: domicile-demo HOST:PORT CONNINFO (passwords belong into a passfile)\n", stderr);
    return 64;
  }
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGTERM);
  sigaddset(&ends, SIGINT);
  sigprocmask(SIG_BLOCK, &ends, nullptr);  // before the server's threads: they inherit it
  domicile::demo::Orders orders(argv[2]);
  domicile::demo::Ledger ledger(argv[2]);
  domicile::HttpListen address;
  address.host = listen.substr(0, colon);
  address.port = port;
  address.threads = 256;  // each kept-alive connection of the gateway holds one
  const auto server = domicile::HttpServer::start(address, [&orders, &ledger](const domicile::HttpCall& call) {
    return domicile::demo::Ledger::serves(call.path) ? ledger.answer(call) : orders.answer(call);
  });
  if (!server) {
    std::fputs((domicile::render(server.error()) + "\n").c_str(), stderr);
    return 1;
  }
  int number = 0;
  sigwait(&ends, &number);
  return 0;
}
