// A daemon's life: SIGTERM and SIGINT become a stop request; everything is then ended in order.
#pragma once
#include <signal.h>

#include <stop_token>
#include <thread>

namespace domicile::cli {

// Called before any other thread exists, so that all of them leave the signals to the one that waits for them.
inline std::stop_token stop_at_signal() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  std::stop_source stop;
  std::thread([signals, stop]() mutable {
    int number = 0;
    sigwait(&signals, &number);
    stop.request_stop();
  }).detach();
  return stop.get_token();
}

}  // namespace domicile::cli
