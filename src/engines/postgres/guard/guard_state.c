/* Shared memory of the guard, and the state file that brings it back after a crash.
 *
 * The file lies in the data directory, is replaced by durable_rename, and is bound to what its instants mean something
 * for: this boot, this cluster, this very directory (a base backup has the same system identifier but another inode).
 * Where that does not fit, an open lease comes back closed, with its epoch; a fence stays a fence.
 */
#include "guard.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "access/xlog.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "port/pg_crc32c.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "storage/shmem.h"

#define STATE_FILE "domicile_guard.state"
#define STATE_TEMP "domicile_guard.state.tmp"

GuardShared* guard_shared = NULL;
static char boot_id[GUARD_NAME];

int64 guard_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_BOOTTIME, &now);
  return (int64)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

const char* guard_boot_id(void) { return boot_id; }

static void read_boot_id(void) {
  int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
  ssize_t got = fd < 0 ? -1 : read(fd, boot_id, sizeof(boot_id) - 1);
  if (fd >= 0) close(fd);
  if (got <= 0) ereport(FATAL, (errmsg("domicile_guard: cannot read this host's boot id")));
  boot_id[got] = '\0';
  boot_id[strcspn(boot_id, "\n")] = '\0';
}

GuardShared* guard_require(void) {
  if (!guard_shared)
    ereport(ERROR, (errcode(GUARD_ERRCODE('1')), errmsg("write refused: the guard is installed but not loaded"),
                    errhint("Put domicile_guard into shared_preload_libraries and restart PostgreSQL.")));
  return guard_shared;
}

int guard_find_slot(const char* name, size_t length) {
  uint32 count = pg_atomic_read_u32(&guard_shared->count);
  if (length >= GUARD_NAME) return -1;
  pg_read_barrier(); /* pairs with guard_find_or_add: a counted slot has its name */
  for (uint32 i = 0; i < count; i++) {
    const char* residency = guard_shared->slots[i].residency;
    if (memcmp(residency, name, length) == 0 && residency[length] == '\0') return (int)i;
  }
  return -1;
}

static bool plain_name(const char* text) {
  return *text && strlen(text) < GUARD_NAME &&
         strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:/") == strlen(text);
}

int guard_find_or_add(const char* name) {
  int found = guard_find_slot(name, strlen(name));
  uint32 count = pg_atomic_read_u32(&guard_shared->count);
  if (found >= 0) return found;
  if (!plain_name(name)) ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("not a residency's name")));
  if (count == GUARD_SLOTS)
    ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED), errmsg("more than %d residencies", GUARD_SLOTS)));
  strlcpy(guard_shared->slots[count].residency, name, GUARD_NAME);
  pg_write_barrier();
  pg_atomic_write_u32(&guard_shared->count, count + 1);
  return (int)count;
}

static void describe_place(StringInfo out) {
  struct stat directory;
  if (stat(DataDir, &directory) != 0) ereport(ERROR, (errcode_for_file_access(), errmsg("cannot stat data directory")));
  appendStringInfo(out, UINT64_FORMAT "/%s/%llu:%llu", GetSystemIdentifier(), boot_id,
                   (unsigned long long)directory.st_dev, (unsigned long long)directory.st_ino);
}

static pg_crc32c checksum(const char* data, size_t length) {
  pg_crc32c crc;
  INIT_CRC32C(crc);
  COMP_CRC32C(crc, data, length);
  FIN_CRC32C(crc);
  return crc;
}

void guard_write_file(void) {
  StringInfoData text;
  int fd;
  initStringInfo(&text);
  appendStringInfoString(&text, "domicile_guard 1 ");
  describe_place(&text);
  appendStringInfo(&text, " %u\n", pg_atomic_read_u32(&guard_shared->observe));
  for (uint32 i = 0; i < pg_atomic_read_u32(&guard_shared->count); i++) {
    GuardSlot* slot = &guard_shared->slots[i];
    appendStringInfo(&text, "%s %u " UINT64_FORMAT " " INT64_FORMAT " %s %u\n", slot->residency,
                     pg_atomic_read_u32(&slot->mode), pg_atomic_read_u64(&slot->epoch), slot->end_us,
                     slot->switch_id[0] ? slot->switch_id : "-", pg_atomic_read_u32(&slot->waits));
  }
  appendStringInfo(&text, "crc %08x\n", checksum(text.data, text.len));

  fd = OpenTransientFile(STATE_TEMP, O_CREAT | O_TRUNC | O_WRONLY | PG_BINARY);
  if (fd < 0) ereport(ERROR, (errcode_for_file_access(), errmsg("cannot create \"%s\": %m", STATE_TEMP)));
  errno = 0;
  if (write(fd, text.data, text.len) != text.len) {
    if (errno == 0) errno = ENOSPC;
    ereport(ERROR, (errcode_for_file_access(), errmsg("cannot write \"%s\": %m", STATE_TEMP)));
  }
  if (pg_fsync(fd) != 0) ereport(ERROR, (errcode_for_file_access(), errmsg("cannot fsync \"%s\": %m", STATE_TEMP)));
  if (CloseTransientFile(fd) != 0)
    ereport(ERROR, (errcode_for_file_access(), errmsg("cannot close \"%s\": %m", STATE_TEMP)));
  durable_rename(STATE_TEMP, STATE_FILE, ERROR);
  pfree(text.data);
}

/* False when the text is not what guard_write_file wrote. */
static bool parse(char* text, size_t length) {
  StringInfoData here;
  char place[256], residency[GUARD_NAME], switch_id[GUARD_NAME];
  char *tail, *line;
  unsigned int crc, observe, mode, waits;
  unsigned long long epoch;
  long long end_us;
  bool same_place;

  text[length] = '\0';
  tail = length > 13 ? text + length - 13 : text; /* "crc 01234567\n" */
  if (sscanf(tail, "crc %8x", &crc) != 1 || crc != checksum(text, tail - text)) return false;
  *tail = '\0';
  if (sscanf(text, "domicile_guard 1 %255s %u", place, &observe) != 2) return false;
  initStringInfo(&here);
  describe_place(&here);
  same_place = strcmp(here.data, place) == 0;
  pfree(here.data);
  pg_atomic_write_u32(&guard_shared->observe, observe);
  for (line = strchr(text, '\n'); line && line[1]; line = strchr(line + 1, '\n')) {
    GuardSlot* slot;
    waits = 0; /* not in files of the first version */
    if (sscanf(line + 1, "%63s %u %llu %lld %63s %u", residency, &mode, &epoch, &end_us, switch_id, &waits) < 5)
      return false;
    if (mode > GUARD_FENCED || !plain_name(residency)) return false;
    if (mode == GUARD_OPEN && !same_place) mode = GUARD_CLOSED;
    slot = &guard_shared->slots[guard_find_or_add(residency)];
    pg_atomic_write_u32(&slot->mode, mode);
    pg_atomic_write_u64(&slot->epoch, epoch);
    slot->end_us = end_us;
    strlcpy(slot->switch_id, strcmp(switch_id, "-") == 0 ? "" : switch_id, GUARD_NAME);
    pg_atomic_write_u64(&slot->open_until, mode == GUARD_OPEN ? (uint64)end_us : 0);
    pg_atomic_write_u32(&slot->waits, waits);
  }
  return true;
}

static void read_state_file(void) {
  static char text[GUARD_SLOTS * 256 + 1024];
  size_t length = 0;
  ssize_t got = 0;
  int fd = open(STATE_FILE, O_RDONLY | O_CLOEXEC);
  if (fd < 0 && errno == ENOENT) return;
  if (fd >= 0) {
    while (length < sizeof(text) - 1 && (got = read(fd, text + length, sizeof(text) - 1 - length)) > 0) length += got;
    close(fd);
  }
  if (fd < 0 || got < 0 || !parse(text, length)) {
    for (int i = 0; i < GUARD_SLOTS; i++) pg_atomic_write_u64(&guard_shared->slots[i].open_until, 0);
    guard_shared->damaged = true;
    ereport(LOG, (errmsg("domicile_guard: \"%s\" is damaged: no lease opens here", STATE_FILE),
                  errhint("Make sure that this site is no owner, remove the file, and restart PostgreSQL.")));
  }
}

void guard_state_request(void) {
  RequestAddinShmemSpace(MAXALIGN(sizeof(GuardShared)));
  RequestNamedLWLockTranche("domicile_guard", 1);
}

void guard_state_startup(void) {
  bool found;
  read_boot_id();
  LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
  guard_shared = ShmemInitStruct("domicile_guard", sizeof(GuardShared), &found);
  if (!found) {
    memset(guard_shared, 0, sizeof(GuardShared));
    guard_shared->lock = &GetNamedLWLockTranche("domicile_guard")->lock;
    pg_atomic_init_u32(&guard_shared->observe, 0);
    pg_atomic_init_u64(&guard_shared->directory_generation, 1);
    pg_atomic_init_u32(&guard_shared->count, 0);
    for (int i = 0; i < GUARD_KNOWN_TENANTS; i++) pg_atomic_init_u32(&guard_shared->known[i].version, 0);
    for (int i = 0; i < GUARD_SLOTS; i++) {
      pg_atomic_init_u32(&guard_shared->slots[i].mode, GUARD_CLOSED);
      pg_atomic_init_u64(&guard_shared->slots[i].epoch, 0);
      pg_atomic_init_u64(&guard_shared->slots[i].open_until, 0);
      pg_atomic_init_u32(&guard_shared->slots[i].waits, 0);
    }
    read_state_file();
  }
  LWLockRelease(AddinShmemInitLock);
}
