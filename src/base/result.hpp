// What a function that may fail returns: a value or an Error that says what, why and how to mend it.
#pragma once
#include <fmt/format.h>

#include <memory>
#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace domicile {

// The kind decides the exit code and whether a retry makes sense; the id is for people and for search.
enum class Kind {
  invalid_input,    // the caller's words are off
  conflict,         // somebody else was first; read again
  refused,          // policy or law says no
  unavailable,      // not now: a peer, an engine or a resource does not answer
  unknown_outcome,  // it may or may not have happened: read before you repeat
  corrupt,          // something that must hold did not
  unsafe,           // not safe at this moment: no quorum, lag over budget
  failed,           // anything else
};

std::string_view name_of(Kind kind);

struct Error {
  Kind kind = Kind::failed;
  std::string what;        // what failed, with the names that matter; never personal data
  std::string fix = {};    // what a person can do about it; may be empty
  std::string id = {};     // stable, such as DOM-E014; may be empty
  std::string where = {};  // file:line:column of the input at fault; may be empty
  std::shared_ptr<const Error> cause = {};
};

// tl::expected rather than std::expected: one Result for g++ 12 and for the clang 14 of the fuzzers, which cannot
// compile libstdc++'s. The subclass only makes a dropped Result warn.
template <class T>
struct [[nodiscard]] Result : tl::expected<T, Error> {
  using tl::expected<T, Error>::expected;
};

inline tl::unexpected<Error> fail(Kind kind, std::string what, std::string fix = {}, std::string id = {}) {
  return tl::unexpected<Error>(Error{kind, std::move(what), std::move(fix), std::move(id)});
}

// Adds what was being done when `inner` happened. Wrap once per layer.
inline tl::unexpected<Error> wrap(std::string what, const Error& inner) {
  return tl::unexpected<Error>(
      Error{inner.kind, std::move(what), {}, inner.id, inner.where, std::make_shared<const Error>(inner)});
}

// The whole chain on several lines: error, because, fix (the innermost fix wins).
std::string render(const Error& error);
// The same chain on one line, for logs.
std::string one_line(const Error& error);

}  // namespace domicile

// The value of x, or return its error from this function. Not nested; a lambda that uses it needs a return type.
#define TRY(x)                                                                \
  __extension__({                                                             \
    auto r_ = (x);                                                            \
    if (!r_) return tl::unexpected<::domicile::Error>(std::move(r_).error()); \
    *std::move(r_);                                                           \
  })
// The same for Result<void>.
#define CHECK_OK(x)                                                           \
  do {                                                                        \
    auto r_ = (x);                                                            \
    if (!r_) return tl::unexpected<::domicile::Error>(std::move(r_).error()); \
  } while (false)
