// The other sites' agents, asked directly over mutual TLS. What they answer is about their own disks and copies; the
// authority is only ever the quorum's.
#pragma once
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "agent/config.hpp"
#include "agent/site_disk.hpp"
#include "base/json.hpp"
#include "core/authority/quorum.hpp"

namespace domicile::agent {

struct EpochVote {
  int answered = 0;  // sites that answered, this one included
  int agreed = 0;    // of those: know nothing higher (ask) or have it on their disk now (persist)
  int sites = 0;     // all
  KnownEpoch highest;
  bool majority() const { return agreed * 2 > sites; }
};

// Thread-safe. One worker thread per site keeps a connection open, so that a question costs one round trip and a site
// that hangs delays nobody else.
class Peers {
 public:
  Peers(const AgentConfig& config, SiteDisk& disk);
  ~Peers();

  // Who knows a higher epoch of the residency than `known`? `highest` is the highest that was met.
  EpochVote ask_epoch(const std::string& residency, const KnownEpoch& known, Micros timeout);
  // Puts (owner, epoch) on every site's disk; returns as soon as a majority has it, or when all answered or timed out.
  EpochVote persist_epoch(const std::string& residency, const KnownEpoch& known, Micros timeout);
  // What each site that answered knows about every residency; without those that did not.
  std::map<std::string, std::map<std::string, KnownEpoch>> all_epochs(Micros timeout);

  // Tells every site that the record of `residency` is now `text`, so that it looks at once. Does not wait for answers.
  void tell(const std::string& residency, const std::string& text);

  // One call to one site's API. Errors as in HttpClient::send; a status of 400 or more is an error with the site's
  // words.
  Result<Json> call(const std::string& site, const std::string& method, const std::string& path, const Json& body,
                    Micros timeout);

  const std::map<std::string, SiteConfig>& sites() const { return config_.sites; }

 private:
  class Worker;
  EpochVote gather(const std::string& residency, const KnownEpoch& known, const std::string& method, Micros timeout);

  const AgentConfig& config_;
  SiteDisk& disk_;
  std::map<std::string, std::unique_ptr<Worker>> workers_;
};

}  // namespace domicile::agent
