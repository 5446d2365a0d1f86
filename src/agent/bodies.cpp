#include "agent/bodies.hpp"

namespace domicile::agent {
namespace {

// Whatever is wrong with a question is the asker's mistake.
template <class Read>
auto read_body(std::string_view text, Read read) -> decltype(read(Json())) {
  const auto json = parse_json(text, "the question");
  auto body = json ? read(*json) : decltype(read(Json()))(tl::unexpect, json.error());
  if (!body) body.error().kind = Kind::invalid_input;
  return body;
}

Result<std::string> reason_in(const Json& json, const char* missing) {
  auto reason = TRY(member_or<std::string>(json, "reason", ""));
  if (reason.empty()) return fail(Kind::invalid_input, missing);
  return reason;
}

Result<std::map<std::string, std::string>> attestations_in(const Json& json) {
  std::map<std::string, std::string> out;
  const Json attest = TRY(member_or<Json>(json, "attest", Json::object()));
  if (!attest.is_object()) return fail(Kind::invalid_input, "'attest' is no object");
  for (const auto& [site, words] : attest.items()) {
    if (!words.is_string() || words.get<std::string>().empty())
      return fail(Kind::invalid_input, "how is it known that " + site + " cannot write?", "--attest REGION=TEXT",
                  "DOM-E210");
    out[site] = words.get<std::string>();
  }
  return out;
}

// As much as a table of millions of rows is ever cut into at once.
constexpr int kMostPartBits = 24;
constexpr std::size_t kMostParts = std::size_t{1} << 20;

Result<void> parts_in(const Json& json, RowsBody& body) {
  const auto bits = TRY(member_or<std::int64_t>(json, "bits", 0)),
             split = TRY(member_or<std::int64_t>(json, "split", 0));
  if (bits < 0 || split < 0 || bits + split > kMostPartBits) return fail(Kind::invalid_input, "too many parts");
  body.bits = static_cast<int>(bits);
  body.split = static_cast<int>(split);
  if (!json.contains("parts")) return {};
  body.parts.clear();
  if (!json["parts"].is_array() || (json["parts"].size() << split) > kMostParts)
    return fail(Kind::invalid_input, "'parts' is no list, or too long");
  for (const auto& part : json["parts"]) {
    if (!part.is_number_unsigned() || part.get<std::uint64_t>() >> bits != 0)
      return fail(Kind::invalid_input, "'parts' holds something else than numbers of parts");
    body.parts.push_back(part.get<std::uint32_t>());
  }
  return {};
}

}  // namespace

Json json_of(const SwitchBody& body) {
  return {{"residency", body.residency},
          {"to", body.to},
          {"reason", body.reason},
          {"by", body.by},
          {"terminate", body.terminate}};
}

Result<KnownEpoch> epoch_body(std::string_view text) {
  return read_body(text, [](const Json& json) -> Result<KnownEpoch> {
    KnownEpoch known;
    known.epoch = TRY(member<authority::Epoch>(json, "epoch"));
    known.owner = TRY(member<std::string>(json, "owner"));
    return known;
  });
}

Result<HintBody> hint_body(std::string_view text) {
  return read_body(text, [](const Json& json) -> Result<HintBody> {
    HintBody body;
    body.residency = TRY(member_or<std::string>(json, "residency", ""));
    body.record = TRY(member_or<std::string>(json, "record", ""));
    return body;
  });
}

Result<SwitchBody> switch_body(std::string_view text) {
  return read_body(text, [](const Json& json) -> Result<SwitchBody> {
    SwitchBody body;
    body.residency = TRY(member<std::string>(json, "residency"));
    body.to = TRY(member<std::string>(json, "to"));
    body.reason = TRY(reason_in(json, "a switch needs a reason"));
    body.by = TRY(member_or<std::string>(json, "by", ""));
    body.terminate = TRY(member_or<bool>(json, "terminate", false));
    return body;
  });
}

Result<ApprovalBody> approval_body(std::string_view text) {
  return read_body(text, [](const Json& json) -> Result<ApprovalBody> {
    ApprovalBody body;
    body.proposal = TRY(member<std::string>(json, "proposal"));
    body.reason = TRY(reason_in(json, "an approval needs a reason"));
    return body;
  });
}

Result<AdoptBody> adopt_body(std::string_view text) {
  return read_body(text, [](const Json& json) -> Result<AdoptBody> {
    AdoptBody body;
    body.reason = TRY(reason_in(json, "adopting a quorum needs a reason"));
    body.residency = TRY(member_or<std::string>(json, "residency", ""));
    body.owner = TRY(member_or<std::string>(json, "owner", ""));
    if (!body.owner.empty() && body.residency.empty())
      return fail(Kind::invalid_input, "an owner is chosen for one residency at a time", "name the residency");
    return body;
  });
}

Result<GlassBody> glass_body(std::string_view text) {
  return read_body(text, [](const Json& json) -> Result<GlassBody> {
    GlassBody body;
    body.residency = TRY(member<std::string>(json, "residency"));
    body.by = TRY(member_or<std::string>(json, "by", ""));
    body.reason = TRY(member_or<std::string>(json, "reason", ""));
    body.attest = TRY(attestations_in(json));
    body.dry_run = TRY(member_or<bool>(json, "dry_run", false));
    return body;
  });
}

Result<RowsBody> rows_body(std::string_view text) {
  return read_body(text, [](const Json& json) -> Result<RowsBody> {
    RowsBody body;
    body.session = TRY(member<std::string>(json, "session"));
    body.schema = TRY(member<std::string>(json, "schema"));
    body.name = TRY(member<std::string>(json, "name"));
    const Json columns = TRY(member<Json>(json, "columns"));
    if (!columns.is_array()) return fail(Kind::invalid_input, "'columns' is no list");
    for (const auto& column : columns) {
      if (!column.is_string()) return fail(Kind::invalid_input, "'columns' holds something else than names");
      body.columns.push_back(column.get<std::string>());
    }
    CHECK_OK(parts_in(json, body));
    return body;
  });
}

Result<bool> repair_body(std::string_view text) {
  if (text.empty()) return false;
  return read_body(text, [](const Json& json) -> Result<bool> { return member_or<bool>(json, "repair", false); });
}

Result<std::string> session_body(std::string_view text) {
  return read_body(text, [](const Json& json) -> Result<std::string> { return member<std::string>(json, "session"); });
}

}  // namespace domicile::agent
