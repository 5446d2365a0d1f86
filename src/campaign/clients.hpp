// Clients of the ledger, each in a loop of its own: one operation at a time, by the gateway that answered last.
#pragma once
#include <atomic>
#include <random>
#include <thread>

#include "campaign/recorder.hpp"
#include "drill/load.hpp"

namespace domicile::campaign {

struct ClientsSpec {
  std::vector<drill::ClientSpec> tenants;  // of one residency; the first ones have a bank each
  std::size_t count = 6;                   // threads
  double per_s = 30;                       // operations of all of them together, while they are answered
  std::string ca;
  std::vector<std::string> notes;  // what stands in personal columns, in turn
  std::uint64_t seed = 0;
  std::int64_t first_process = 0;
  std::int64_t processes = 0;  // of all clients of the campaign: an unknown outcome ends one, and a new one goes on
};

inline constexpr std::size_t kBanks = 2;
inline constexpr std::int64_t kAccounts = 5, kBalance = 1000;
std::string bank_key(const std::string& residency, std::size_t number);

// Until stop or destruction. Members may be called from any thread.
class Clients {
 public:
  // Makes the banks, and waits until they are served.
  static Result<std::unique_ptr<Clients>> start(ClientsSpec spec, Recorder& recorder, Micros patience);
  ~Clients();
  Clients(const Clients&) = delete;
  Clients& operator=(const Clients&) = delete;
  void stop();

 private:
  struct Keys;
  struct Choice;
  Clients(ClientsSpec spec, Recorder& recorder);
  Result<void> make_banks(Micros patience);
  Choice choose(std::mt19937_64& random);
  void learn(const history::Operation& done);
  void run(std::size_t number);
  ClientsSpec spec_;
  Recorder& recorder_;
  std::unique_ptr<Keys> keys_;
  std::atomic<bool> stopping_ = false;
  std::vector<std::jthread> threads_;
};

}  // namespace domicile::campaign
