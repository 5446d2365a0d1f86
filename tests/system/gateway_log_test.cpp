// What the gateway's logs say of each decision, and that they say nothing of the client.
#include <algorithm>

#include "base/json.hpp"
#include "support/gateway_fixture.hpp"

namespace domicile::edge {
namespace {

// The lines of a log, of which there have to be so many; each is JSON with exactly these members.
std::vector<Json> lines_of(const Region& region, const std::string& name, std::size_t count,
                           const std::set<std::string>& members) {
  const std::string path = region.config.directory + "/logs/" + name;
  const auto text = [&] { return read_file(path).value_or(""); };
  const auto lines = [&] {
    const std::string all = text();
    return static_cast<std::size_t>(std::count(all.begin(), all.end(), '\n'));
  };
  EXPECT_TRUE(eventually([&] { return lines() >= count; })) << path << "\n" << text();
  std::vector<Json> found;
  std::istringstream all(text());
  for (std::string line; std::getline(all, line);) {
    const auto json = parse_json(line, name);
    EXPECT_TRUE(json && json->is_object()) << line;
    if (!json || !json->is_object()) continue;
    std::set<std::string> names;
    for (const auto& [key, value] : json->items()) names.insert(key);
    EXPECT_EQ(names, members) << line;
    found.push_back(*json);
  }
  EXPECT_EQ(found.size(), count) << text();
  return found;
}

// "tenant residency decision reason epoch status", for connections and for requests.
std::string decision_of(const Json& line) {
  std::string text;
  for (const char* name : {"tenant", "residency", "decision", "reason", "epoch"})
    if (const auto value = member<std::string>(line, name)) text += (value->empty() ? "-" : *value) + " ";
  return text + std::to_string(member<int>(line, "status").value_or(-1));
}

const std::set<std::string> kOfRequests = {"time",   "tenant", "residency", "decision", "reason", "epoch",
                                           "denial", "method", "status",    "sent",     "seconds"};
const std::set<std::string> kOfConnections = {"time",  "tenant", "residency", "decision", "reason",
                                              "epoch", "denial", "status",    "received", "sent"};

TEST_F(Gateway, EveryDecisionIsLoggedAndNothingOfTheClientIs) {
  us_.authority.rows[0].epoch = 7;
  put(us_);
  ASSERT_TRUE(obeyed(us_));
  // Everything that a client says of itself holds this word, or as a method, for which nginx takes any word of A-Z, '_'
  // and '-', the other one.
  const std::string secret = "geheim", secret_method = "GEHEIM_WORD-X";
  const auto ask_with_secrets = [&](const Region& region, Ask what) {
    what.path = "/" + secret + "/path?" + secret + "=query";
    what.headers.push_back("X-Name: " + secret);
    what.headers.push_back("Cookie: " + secret);
    what.headers.push_back("Referer: https://" + secret + ".example/");
    what.headers.push_back("User-Agent: " + secret);
    what.headers.push_back("Authorization: Bearer " + secret);
    what.headers.push_back("X-Forwarded-For: 203.0.113.9, " + secret);
    if (what.method == "POST") what.body = secret;
    return ask(region, what);
  };
  const struct {
    const Region& region;
    Ask what;
    long status;
    std::string line;  // of access.log
  } requests[] = {
      {us_, {.host = kUs, .method = "POST"}, 200, "acme us serve owner_here 7 200"},
      {us_, {.host = kUs, .plain = true}, 200, "acme us serve owner_here 7 200"},
      {us_, {.host = kUs, .http2 = true}, 200, "acme us serve owner_here 7 200"},
      {us_, {.host = kUs, .method = secret_method}, 400, "acme us serve owner_here 7 400"},
      {us_, {.host = kUs, .method = secret_method, .http2 = true}, 400, "acme us serve owner_here 7 400"},
      {us_, {.host = kUs, .headers = {"X-Tenant: muster-" + secret}}, 400, "acme us bad_400 tenant_header 7 400"},
      {us_, {.host = kUs, .host_header = "other.example"}, 421, "other us misdirected_421 host_is_not_sni 7 421"},
      {us_, {.host = kUs, .host_header = secret + ".example"}, 421, "- - misdirected_421 unknown_host 0 421"},
      {us_, {.host = kEu, .plain = true}, 451, "muster eu refuse_451 unlawful_here 1 451"},
      {eu_, {.host = kUs, .method = "POST", .plain = true}, 200, "acme us forward owner_elsewhere 1 200"},
  };
  std::vector<std::string> want_us, want_eu;
  std::set<std::string> told;  // ids of denials
  for (const auto& request : requests) {
    const auto answer = ask_with_secrets(request.region, request.what);
    EXPECT_EQ(answer.status, request.status) << request.line;
    // The application's own 400 is no refusal of the gateway.
    const bool refused = answer.status >= 400 && request.line.find(" serve ") == std::string::npos;
    EXPECT_EQ(has(answer, "X-Domicile-Denial: e-"), refused) << answer.headers;
    if (const auto at = answer.headers.find("X-Domicile-Denial: "); at != std::string::npos)
      told.insert(answer.headers.substr(at + 19, 18));
    (&request.region == &us_ ? want_us : want_eu).push_back(request.line);
  }
  want_us.push_back("acme us serve owner_here 7 200");  // what the EU forwarded
  {  // What is not even HTTP: the line of an old client, and a request that ends in the middle.
    for (const std::string& half :
         {"GET /" + secret + "\r\n", "GET /" + secret + " HTTP/1.1\r\nHost: x\r\nX: " + secret}) {
      TlsClient client(us_.plain);
      ASSERT_EQ(write(client.fd(), half.data(), half.size()), static_cast<ssize_t>(half.size()));
      shutdown(client.fd(), SHUT_WR);
      char byte;
      while (read(client.fd(), &byte, 1) > 0) {
      }
    }
  }
  // Connections that are not decrypted here.
  EXPECT_EQ(ask_with_secrets(us_, {.host = kEu, .method = "POST"}).body, "eu-central-1 POST 6");
  want_eu.push_back("muster eu serve owner_here 1 200");
  auto& eu = us_.authority.rows[1];
  eu.mode = Mode::down;
  put(us_);
  ASSERT_TRUE(obeyed(us_));
  EXPECT_EQ(ask_with_secrets(us_, {.host = kEu}).status, 0);
  EXPECT_EQ(ask_with_secrets(us_, {.host = secret + ".example"}).status, 0);

  want_us.push_back("- - misdirected_421 unknown_host 0 421");  // the old client's, which names no host
  want_us.push_back("- - - - - 400");                           // nobody decided of half a request
  const auto expect_lines = [&](const Region& region, const std::string& name, const std::set<std::string>& members,
                                std::vector<std::string> want) {
    const auto lines = lines_of(region, name, want.size(), members);
    std::vector<std::string> have;
    for (const Json& line : lines) have.push_back(decision_of(line));
    std::sort(have.begin(), have.end());
    std::sort(want.begin(), want.end());
    EXPECT_EQ(have, want) << region.name << " " << name;
    return lines;
  };
  std::map<std::string, int> methods;
  std::set<std::string> logged;
  for (const Json& line : expect_lines(us_, "access.log", kOfRequests, want_us)) {
    EXPECT_TRUE(line["sent"].is_number_integer() && line["seconds"].is_number()) << line;
    ++methods[line["method"]];
    EXPECT_EQ(line["denial"] != "",
              line["decision"] != "" && line["decision"] != "serve" && line["decision"] != "forward")
        << line;
    if (line["denial"] != "") logged.insert(line["denial"].get<std::string>());
  }
  EXPECT_EQ(methods, (std::map<std::string, int>{{"GET", 8}, {"POST", 2}, {"other", 2}}));
  EXPECT_EQ(told.size(), 4u);
  for (const auto& id : told) EXPECT_TRUE(logged.contains(id)) << id;
  expect_lines(eu_, "access.log", kOfRequests, want_eu);
  const auto connections =
      expect_lines(us_, "connections.log", kOfConnections,
                   {"muster eu tunnel owner_elsewhere 1 200", "muster eu unavailable_503 down 1 503",
                    "- - misdirected_421 unknown_host 0 421"});
  for (const Json& line : connections) {
    const auto id = member<std::string>(line, "denial").value_or("?");
    EXPECT_EQ(id.size(), line["status"] == 200 ? 0u : 18u) << line;
    EXPECT_TRUE(id.empty() || (id.starts_with("e-") && logged.insert(id).second)) << line;
  }
  EXPECT_TRUE(std::any_of(connections.begin(), connections.end(), [](const Json& line) {
    return line["received"].is_number_integer() && line["received"] > 500 && line["sent"] > 500;
  }));
  for (const Region* region : {&us_, &eu_})
    for (const char* name : {"access.log", "connections.log", "error.log", "nginx.out"}) {
      const std::string all = read_file(region->config.directory + "/logs/" + name).value_or("");
      for (const std::string& personal : {secret, secret_method, std::string("127.0.0.1"), std::string("203.0.113.9")})
        EXPECT_EQ(all.find(personal), all.npos) << region->name << " " << name << "\n" << all;
    }
}

}  // namespace
}  // namespace domicile::edge
