#include "gate/register.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <mutex>

namespace domicile::gate {
namespace {

constexpr char kMagic[16] = "domicile-reg-1";
constexpr std::size_t kPlaces = 4096;

}  // namespace

struct Register::Place {
  char link[64], table[128], form[16];
  std::atomic<std::uint64_t> rows, bytes, position;
  std::atomic<std::int64_t> first_at, last_at;
};
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

namespace {
struct File {
  char magic[16];
  std::atomic<std::uint64_t> used;
  Register::Place places[kPlaces];
};
}  // namespace

struct Register::State {
  Fd fd;
  File* file = nullptr;
  std::mutex mutex;  // adding a place
  ~State() {
    if (file != nullptr) ::munmap(file, sizeof(File));
  }
};

Register::Register(std::unique_ptr<State> state) : state_(std::move(state)) {}
Register::Register(Register&&) noexcept = default;
Register::~Register() = default;

Result<Register> Register::open(const fs::path& path) {
  auto state = std::make_unique<State>();
  state->fd = Fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!state->fd) return tl::unexpected<Error>(errno_error("cannot open the transfer register " + path.string()));
  if (::flock(state->fd.get(), LOCK_EX | LOCK_NB) != 0)
    return fail(Kind::conflict, "another gate counts in " + path.string());
  struct stat info {};
  const auto damaged = [&] {
    return fail(Kind::corrupt, path.string() + " is no transfer register of this version",
                "put it aside; the counts in it are evidence");
  };
  if (::fstat(state->fd.get(), &info) != 0) return tl::unexpected<Error>(errno_error("cannot read " + path.string()));
  const bool fresh = info.st_size == 0;
  if (!fresh && info.st_size != static_cast<off_t>(sizeof(File))) return damaged();
  // Its whole size at once: a full disk must not come as a signal in the middle of a transaction.
  if (fresh)
    if (const int code = ::posix_fallocate(state->fd.get(), 0, sizeof(File)); code != 0) {
      errno = code;
      (void)::ftruncate(state->fd.get(), 0);
      return tl::unexpected<Error>(errno_error("cannot make the transfer register " + path.string()));
    }
  void* mapped = ::mmap(nullptr, sizeof(File), PROT_READ | PROT_WRITE, MAP_SHARED, state->fd.get(), 0);
  if (mapped == MAP_FAILED) return tl::unexpected<Error>(errno_error("cannot map " + path.string()));
  state->file = static_cast<File*>(mapped);
  if (fresh) std::memcpy(state->file->magic, kMagic, sizeof kMagic);
  if (std::memcmp(state->file->magic, kMagic, sizeof kMagic) != 0 || state->file->used > kPlaces) return damaged();
  return Register(std::move(state));
}

Register::Place* Register::place(const std::string& link, const std::string& table, const std::string& form) {
  const std::lock_guard lock(state_->mutex);
  File& file = *state_->file;
  const std::uint64_t used = file.used;
  for (std::uint64_t i = 0; i < used; ++i) {
    Place& place = file.places[i];
    if (link == place.link && table == place.table && form == place.form) return &place;
  }
  Place& place = file.places[used];
  if (used == kPlaces || link.size() >= sizeof place.link || table.size() >= sizeof place.table ||
      form.size() >= sizeof place.form)
    return nullptr;
  std::strcpy(place.link, link.c_str());
  std::strcpy(place.table, table.c_str());
  std::strcpy(place.form, form.c_str());
  file.used = used + 1;
  return &place;
}

void Register::count(Place& place, std::uint64_t rows, std::uint64_t bytes, std::uint64_t position, std::int64_t now) {
  place.rows += rows;
  place.bytes += bytes;
  if (position > place.position) place.position = position;
  if (place.first_at == 0) place.first_at = now;
  place.last_at = now;
}

std::vector<Transfer> Register::all() const {
  std::vector<Transfer> out;
  for (std::uint64_t i = 0; i < state_->file->used; ++i) {
    const Place& place = state_->file->places[i];
    if (place.table[0] == '\0') continue;
    out.push_back(
        {place.link, place.table, place.form, place.rows, place.bytes, place.first_at, place.last_at, place.position});
  }
  return out;
}

// A place without a table.
void Register::set_sent(const std::string& link, std::uint64_t position) {
  if (Place* place = this->place(link, "", "")) place->position = position;
}

std::uint64_t Register::sent(const std::string& link) const {
  for (std::uint64_t i = 0; i < state_->file->used; ++i) {
    const Place& place = state_->file->places[i];
    if (link == place.link && place.table[0] == '\0') return place.position;
  }
  return 0;
}

Result<void> Register::sync() const {
  if (::msync(state_->file, sizeof(File), MS_SYNC) == 0) return {};
  return tl::unexpected<Error>(errno_error("cannot keep the transfer register"));
}

}  // namespace domicile::gate
