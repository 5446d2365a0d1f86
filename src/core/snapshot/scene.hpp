// What the tests of this folder decide about: three tenants, two residencies, two regions.
#pragma once
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <functional>

#include "core/snapshot/compile.hpp"
#include "core/snapshot/decision.hpp"

namespace domicile::snapshot {

// Views want aligned bytes, as a mapping gives them.
struct Aligned {
  explicit Aligned(std::string_view from)
      : size(from.size()), data(static_cast<char*>(std::aligned_alloc(64, (from.size() + 64) / 64 * 64))) {
    std::memcpy(data, from.data(), from.size());
  }
  ~Aligned() { std::free(data); }
  Aligned(const Aligned&) = delete;
  std::size_t size;
  char* data;
};

inline TenantsSnapshot three_tenants() {
  return {.generation = 7,
          .seed = {1, 2},
          .hosts = {{"acme.example", "acme", "us"},
                    {"www.acme.example", "acme", "us"},
                    {"muster.example", "3f2504e0-4f89-11d3-9a0c-0305e82c3301", "eu"}}};
}

inline AuthoritySnapshot two_residencies(std::string_view here) {
  return {.generation = 3,
          .region = std::string(here),
          .policy_hash = "abc",
          .boot_id = "boot",
          .rows = {{.residency = "us",
                    .owner = "us-east-1",
                    .epoch = 4,
                    .mode = Mode::serving,
                    .lease_end = 1000,
                    .here = Form::full,
                    .tunnel = "127.10.0.1:8444",
                    .forward = "127.10.0.1:8445"},
                   {.residency = "eu",
                    .owner = "eu-central-1",
                    .epoch = 9,
                    .mode = Mode::serving,
                    .lease_end = 1000,
                    .here = here == "us-east-1" ? Form::reduced : Form::full,
                    .tunnel = "127.20.0.1:8444",
                    .forward = "127.20.0.1:8445"}}};
}

// A world with one change against two_residencies, and what is decided in it.
struct Scene {
  explicit Scene(std::string_view here, std::function<void(AuthorityRow& us, AuthorityRow& eu)> change = {},
                 std::string_view boot = "boot", const std::vector<MoveRow>& moves = {})
      : tenants_file(*compile(three_tenants())), authority_file(make(here, change, moves)) {
    EXPECT_EQ(tenants.open(tenants_file.data, tenants_file.size), Flaw::none);
    EXPECT_EQ(authority.open(authority_file.data, authority_file.size), Flaw::none);
    world.bind(&tenants, &authority, boot);
  }
  static std::string make(std::string_view here, const std::function<void(AuthorityRow&, AuthorityRow&)>& change,
                          const std::vector<MoveRow>& moves) {
    AuthoritySnapshot authority = two_residencies(here);
    authority.moves = moves;
    if (change) change(authority.rows[0], authority.rows[1]);
    return *compile(authority);
  }
  std::pair<Action, Reason> ask(const char* host, bool write, Via via = Via::tls, Micros now = 10) const {
    const Decision d = decide(world, {.host = host, .write = write, .via = via, .now = now});
    return {d.action, d.reason};
  }
  std::pair<Action, Reason> connect(const char* sni, bool tunnelled = false) const {
    const Decision d = decide_connection(world, sni, tunnelled);
    return {d.action, d.reason};
  }
  Aligned tenants_file, authority_file;
  TenantsView tenants;
  AuthorityView authority;
  World world;
};

using enum Action;
constexpr const char *kUs = "acme.example", *kEu = "muster.example";
inline constexpr auto draining = [](AuthorityRow& us, AuthorityRow&) { us.mode = Mode::draining; };
inline constexpr auto moving = [](AuthorityRow& us, AuthorityRow&) { us.mode = Mode::moving; };

}  // namespace domicile::snapshot
