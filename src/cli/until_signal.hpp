// A daemon's life: SIGTERM and SIGINT become a stop request; everything is then ended in order. SIGHUP is for whoever
// can reload.
#pragma once
#include <signal.h>

#include <functional>
#include <stop_token>
#include <thread>

namespace domicile::cli {

// Called before any other thread exists, so that all of them leave the signals to the one that waits for them.
inline std::stop_token stop_at_signal(std::function<void()> reload = {}) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  if (reload) sigaddset(&signals, SIGHUP);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  std::stop_source stop;
  std::thread([signals, stop, reload = std::move(reload)]() mutable {
    int number = 0;
    while (sigwait(&signals, &number) == 0 && number == SIGHUP) reload();
    stop.request_stop();
  }).detach();
  return stop.get_token();
}

}  // namespace domicile::cli
