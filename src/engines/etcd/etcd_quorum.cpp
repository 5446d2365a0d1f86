#include "engines/etcd/etcd_quorum.hpp"

namespace domicile::etcd {

using authority::BeatRequest;
using authority::Stored;
using authority::Swap;
using authority::SwapOutcome;
using authority::View;

namespace {

std::string key(std::string_view prefix, const std::string& name) { return std::string(prefix) + name; }

void add(Txn& txn, const Swap& swap) {
  txn.compares.push_back({key(kAuthority, swap.residency), swap.expected});
  if (!swap.beat_of.empty()) txn.compares.push_back({key(kBeat, swap.beat_of), swap.expected_beat});
  txn.puts.push_back({key(kAuthority, swap.residency), to_text(swap.next)});
}

Result<SwapOutcome> outcome_of(Result<TxnOutcome> done) {
  if (!done) return tl::unexpected<Error>(std::move(done).error());
  return SwapOutcome{done->applied, view_of(done->values)};
}

}  // namespace

View view_of(const std::map<std::string, std::string>& values) {
  View view;
  const auto take = [&view](const std::string& name, const std::string& text, auto parsed, auto& into,
                            const std::string& full_key) {
    if (parsed)
      into[name] = {*std::move(parsed), text};
    else
      view.unreadable[full_key] = {one_line(parsed.error()), text};
  };
  for (const auto& [full_key, text] : values) {
    if (full_key.starts_with(kAuthority))
      take(full_key.substr(kAuthority.size()), text, authority::record_of(text), view.authorities, full_key);
    else if (full_key.starts_with(kBeat))
      take(full_key.substr(kBeat.size()), text, authority::beat_of(text), view.beats, full_key);
  }
  return view;
}

Result<SwapOutcome> EtcdQuorum::beat(const BeatRequest& request) {
  Txn txn{.read_prefix = std::string(kRoot)};
  txn.compares.push_back({key(kBeat, request.region), request.expected});
  txn.puts.push_back({key(kBeat, request.region), to_text(request.next)});
  if (request.ride) add(txn, *request.ride);
  return outcome_of(client_.commit(txn));
}

Result<SwapOutcome> EtcdQuorum::swap(const Swap& swap) {
  Txn txn{.read_prefix = std::string(kRoot)};
  add(txn, swap);
  return outcome_of(client_.commit(txn));
}

Result<View> EtcdQuorum::read() { return view_of(TRY(client_.range(std::string(kRoot)))); }

Result<View> EtcdQuorum::read_local() { return view_of(TRY(client_.range_at_own(std::string(kBeat)))); }

}  // namespace domicile::etcd
