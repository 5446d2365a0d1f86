// The lab's own certificate authority: P-256, valid for 30 days, made anew with each lab.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "base/file.hpp"

namespace domicile::lab {

struct CertificateName {
  std::string common_name;  // empty: none, as etcd's JSON gateway wants its clients' certificates
  std::vector<std::string> dns;
  std::vector<std::string> ip;
};

class Authority {
 public:
  // Makes a new authority; DIRECTORY/ca.pem is its certificate. Its key stays in this process.
  static Result<Authority> make(const fs::path& directory);
  Authority(Authority&&) noexcept;
  ~Authority();
  // Writes STEM.pem and STEM.key (0600), good for servers and clients.
  Result<void> issue(const fs::path& stem, const CertificateName& name) const;

 private:
  struct State;
  explicit Authority(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Of a certificate in a PEM file, in hex digits, as lists of revoked ones have it.
Result<std::string> serial_number(const fs::path& certificate);

}  // namespace domicile::lab
