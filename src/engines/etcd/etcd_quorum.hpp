// The port Quorum on etcd: records and beats as JSON values under domicile/.
#pragma once
#include "core/authority/quorum.hpp"
#include "engines/etcd/etcd_client.hpp"

namespace domicile::etcd {

inline constexpr std::string_view kRoot = "domicile/", kAuthority = "domicile/authority/", kBeat = "domicile/beat/";

class EtcdQuorum final : public authority::Quorum {
 public:
  explicit EtcdQuorum(Access access) : client_(std::move(access)) {}
  Result<authority::SwapOutcome> beat(const authority::BeatRequest& request) override;
  Result<authority::SwapOutcome> swap(const authority::Swap& swap) override;
  Result<authority::View> read() override;
  Result<authority::View> read_local() override;
  Client& client() { return client_; }

 private:
  Client client_;
};

// Values that cannot be parsed are listed with the reason: one bad record must not hide the others.
authority::View view_of(const std::map<std::string, std::string>& values);

}  // namespace domicile::etcd
