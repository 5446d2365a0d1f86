// What stories about regions that come back look at.
#pragma once
#include "agents_fixture.hpp"

namespace domicile::test {

// Rows of app.orders in one region, as text.
inline std::string orders(Regions& regions, const std::string& region) {
  auto connection = regions.database(region).connect();
  std::string out;
  const auto rows =
      must(connection.exec("SELECT concat_ws(' ', residency, id, tenant_id, customer_name) FROM app.orders WHERE "
                           "residency = 'us' ORDER BY id"));
  for (int i = 0; i < rows.size(); ++i) out += rows.text(i, 0) + "\n";
  return out;
}

inline void run(Regions& regions, const std::string& region, const std::string& statement) {
  auto connection = regions.database(region).connect();
  must(connection.exec(statement));
}

inline Json salvage(Regions& regions, const std::string& region) {
  const Json list = regions.get(region, "/v1/salvage");
  Json out = Json::array();
  if (list.is_object())
    for (const Json& run : list["runs"])
      if (run["residency"] == "us") out.push_back(run);
  return out;
}

inline Json entries(Regions& regions, const std::string& region, int epoch = 1) {
  return must(regions.post(region, "/v1/salvage/show", {{"residency", "us"}, {"epoch", epoch}, {"values", true}}));
}

// id of the row -> verdict
inline std::map<std::string, std::string> verdicts(const Json& entries) {
  std::map<std::string, std::string> out;
  for (const Json& entry : entries) out[entry["key"]["id"]] = entry["verdict"];
  return out;
}

inline bool back(Regions& regions, const std::string& region, const std::string& residency = "us") {
  return eventually([&] { return regions.copy_state(region, residency) == "following"; });
}

}  // namespace domicile::test
