// What a proof has to show: per layer how much was attempted and refused by which rule, what the census found, and how
// much of all that there is to prove this was. Pure.
#pragma once
#include "census/census.hpp"
#include "prove/judge.hpp"
#include "prove/self_test.hpp"

namespace domicile::prove {

struct Scope {
  std::string from;                         // the region that attempts were made from
  std::optional<Layer> layer = {};          // the only one; empty: all
  bool quick = false;                       // a slice of each layer
  std::vector<std::string> elsewhere = {};  // "RESIDENCY at REGION": may not lie there in full either, not attempted
};

struct Report {
  std::string residency;
  Scope scope = {};
  std::vector<std::string> forbidden;  // sites that may not hold it in full
  std::vector<Judged> attempts;
  std::vector<std::string> left_out;      // ids: not made in a lab that somebody else uses
  std::optional<census::Report> census;   // empty: nobody looked
  std::optional<SelfTest> self_test;      // empty: not asked for
  std::vector<std::string> trouble = {};  // why it did not come to its end

  std::size_t refused() const;
  std::size_t lawful() const;
  // Of canaries: found by the census, or in an answer.
  std::uint64_t bytes_crossed() const;
  // All that was attempted was refused or lawful by its rule, the census found nothing and left nothing out, and the
  // instrument, where it was tried, found every leak.
  bool held() const;
  // What this proof leaves out, in words; empty: it is a whole one.
  std::vector<std::string> missing() const;
};

Json json_of(const Report& report);
// For a terminal of 80 columns. Attempts that did not hold, hits and gaps are told one by one.
std::string table(const Report& report, bool colour);

}  // namespace domicile::prove
