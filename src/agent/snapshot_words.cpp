#include "agent/snapshot_words.hpp"

namespace domicile::agent {

snapshot::Form form_of(topology::Form form) {
  switch (form) {
    case topology::Form::none:
      return snapshot::Form::none;
    case topology::Form::reduced:
      return snapshot::Form::reduced;
    case topology::Form::full:
      return snapshot::Form::full;
  }
  return snapshot::Form::none;
}

snapshot::Mode mode_of(authority::Mode mode) {
  switch (mode) {
    case authority::Mode::serving:
      return snapshot::Mode::serving;
    case authority::Mode::draining:
      return snapshot::Mode::draining;
    case authority::Mode::moving:
      return snapshot::Mode::moving;
  }
  return snapshot::Mode::unknown;
}

}  // namespace domicile::agent
