// The transfer register: how many rows and bytes of which table have crossed, by link and form. It is a mapped file, so
// that killing the gate loses no count; whoever counts does it before the rows go on, so that none crosses uncounted.
// A machine's crash may cost what was counted since the last sync().
#pragma once
#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "base/file.hpp"

namespace domicile::gate {

struct Transfer {
  std::string link, table, form;
  std::uint64_t rows = 0, bytes = 0;       // since the register was made
  std::int64_t first_at = 0, last_at = 0;  // wall clock, microseconds; 0: never
  std::uint64_t position = 0;              // the end of the last transaction that was counted
};

class Register {
 public:
  struct Place;  // one counted table of one link
  // Makes the file when it is not there. `corrupt` when it is of another version or damaged: nothing may pass
  // uncounted, so the gate does not start before a person has put it aside.
  static Result<Register> open(const fs::path& path);
  Register(Register&&) noexcept;
  ~Register();
  // The place of a table, made at its first use; null when the register is full. Stays valid as long as this does.
  // Threads may ask and count at once.
  Place* place(const std::string& link, const std::string& table, const std::string& form);
  static void count(Place& place, std::uint64_t rows, std::uint64_t bytes, std::uint64_t position, std::int64_t now);
  std::vector<Transfer> all() const;
  // How far a link has been sent, before it is; 0: not known. Survives the gate, and not a crash of the machine, after
  // which it may be behind what a peer has.
  void set_sent(const std::string& link, std::uint64_t position);
  std::uint64_t sent(const std::string& link) const;
  Result<void> sync() const;  // to the disk

 private:
  struct State;
  explicit Register(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace domicile::gate
