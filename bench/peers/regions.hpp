// Three regions and a place for clients, each a network namespace of this process's own lab, with the lab's relay and
// latencies between them, for systems that are not ours.
#pragma once
#include <map>

#include "base/process.hpp"
#include "engines/postgres/connection.hpp"
#include "lab/lab.hpp"
#include "script.hpp"
#include "sql_load.hpp"

namespace domicile::bench::peers {

inline const std::string kLost = "us-east-1";  // the primary at first
inline const std::vector<std::string> kRegions{kLost, "eu-central-1", "eu-west-1"};
inline const std::string kOutside = "clients";  // at no distance from any region

inline constexpr int kPostgresPort = 5432, kRestPort = 8008;
inline constexpr const char* kBinaries = "/usr/lib/postgresql/15/bin/";

using Values = std::map<std::string, std::string>;

class Regions {
 public:
  // Everything ends, and the folder is removed, with its destruction; only the logs go to `logs`, each site's by
  // itself.
  static Result<std::unique_ptr<Regions>> up(int base, lab::Isolation isolation, const fs::path& logs);
  ~Regions();

  lab::Lab& lab() { return *lab_; }
  fs::path folder(const std::string& site) const { return lab_->folder(site); }
  std::string address(const std::string& site) const { return lab_->address(site, site); }
  void far() const;   // the lab's latencies
  void near() const;  // none, for what is only set-up
  Result<void> cut() const;

  // templates/NAME with every @KEY@ replaced, as a file of the engines' user that nobody else may read.
  Result<void> configure(const std::string& site, const std::string& name, const std::string& file,
                         const Values& values) const;
  Result<void> launch(const std::string& site, const std::string& name, std::vector<std::string> argv) const;
  // Runs to its end inside a site as the engines' user; its last lines when it fails.
  Result<void> run_inside(const std::string& site, std::vector<std::string> argv, Micros timeout) const;
  // Over the site's Unix socket, as the superuser.
  Result<postgres::Connection> database(const std::string& site, const std::string& name) const;
  bool takes_writes(const std::string& site) const;      // not in recovery
  std::size_t followers(const std::string& site) const;  // streaming from it, and near it
  Result<std::set<std::string>> orders(const std::string& site) const;
  // A connection string with all regions, the first one first.
  std::string all_hosts() const;
  Result<std::unique_ptr<Clients>> clients(const std::string& site, const std::string& conninfo, double per_s) const;

 private:
  Regions(fs::path directory, fs::path logs) : directory_(std::move(directory)), logs_(std::move(logs)) {}
  fs::path directory_, logs_;
  std::unique_ptr<lab::Lab> lab_;
};

// Until it is so; `what` for the error.
Result<void> await(const std::string& what, Micros timeout, const Interrupts& interrupts,
                   const std::function<bool()>& ready);

}  // namespace domicile::bench::peers
