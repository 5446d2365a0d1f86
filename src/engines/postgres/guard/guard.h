/* domicile_guard: the pieces of the C form of the write guard, and the state that they share.
 *
 * All instants are microseconds of CLOCK_BOOTTIME of this host. A backend reads the state without a lock: each slot's
 * words are atomics, slots are only ever added, and epochs only grow. Changes are made under `lock`.
 */
#ifndef DOMICILE_GUARD_H
#define DOMICILE_GUARD_H

#include "postgres.h"

#include "access/xlogdefs.h"
#include "port/atomics.h"
#include "storage/lock.h"
#include "storage/lwlock.h"
#include "utils/rel.h"

#define GUARD_SLOTS 64
#define GUARD_NAME 64 /* residency or switch id, with its final zero */

typedef enum GuardMode { GUARD_CLOSED = 0, GUARD_OPEN = 1, GUARD_FENCED = 2 } GuardMode;

typedef struct GuardSlot {
  char residency[GUARD_NAME]; /* never changes once the slot is counted */
  char switch_id[GUARD_NAME]; /* of the fence; under lock */
  int64 end_us;               /* last end that was set; under lock */
  pg_atomic_uint32 mode;
  pg_atomic_uint64 epoch;
  pg_atomic_uint64 open_until; /* 0 unless open: the one word that decides whether a row passes */
  pg_atomic_uint32 waits;      /* 1: its commits wait for synchronous standbys */
} GuardSlot;

#define GUARD_KNOWN_TENANTS 32768

typedef struct GuardKnownTenant { /* an answer of the directory, see guard_directory.c */
  pg_atomic_uint32 version;       /* odd while it is written */
  Oid database, table;
  int32 slot;
  uint64 generation;
  bool tombstone;
  char tenant[GUARD_NAME];
} GuardKnownTenant;

typedef struct GuardShared {
  LWLock* lock;
  bool damaged; /* the state file could not be read: nothing opens until a person has looked */
  pg_atomic_uint32 observe;
  pg_atomic_uint64 directory_generation;
  pg_atomic_uint32 count;
  GuardSlot slots[GUARD_SLOTS];
  GuardKnownTenant known[GUARD_KNOWN_TENANTS];
} GuardShared;

extern GuardShared* guard_shared; /* NULL when the library was not preloaded */

/* guard_state.c */
extern void guard_state_request(void);
extern void guard_state_startup(void);
extern GuardShared* guard_require(void);
extern int guard_find_slot(const char* name, size_t length); /* -1: unknown */
extern int guard_find_or_add(const char* name);              /* under lock */
extern void guard_write_file(void);                          /* under lock; ERROR when it is not on the disk */
extern const char* guard_boot_id(void);
extern int64 guard_now(void);

/* -1: unknown. A slot stays for ever, and one row's residency is mostly the next one's. */
static inline int guard_find(const char* name, size_t length) {
  static int slot = -1;
  if (slot >= 0 && length < GUARD_NAME && memcmp(guard_shared->slots[slot].residency, name, length) == 0 &&
      guard_shared->slots[slot].residency[length] == '\0')
    return slot;
  return slot = guard_find_slot(name, length);
}

/* guard_check.c */
extern char* guard_test_stop;
extern void guard_check_init(void);
extern void guard_lock_tag(LOCKTAG* tag, int slot);
extern void guard_permit(int slot);

/* guard_directory.c */
typedef enum GuardTenant { TENANT_OK, TENANT_UNKNOWN, TENANT_ELSEWHERE, TENANT_TOMBSTONE } GuardTenant;
extern GuardTenant guard_tenant(const char* tenant, size_t length, int slot);
extern bool guard_tenant_moves(const char* tenant, size_t length, int other);
/* This backend's last answer of the directory, good or not, and whether it may be used. */
typedef struct GuardLastAnswer {
  uint64 generation;
  size_t length;
  int slot;
  bool usable, tombstone;
  char tenant[GUARD_NAME];
} GuardLastAnswer;
extern GuardLastAnswer guard_last;

/* True: that very tenant was asked for last, belongs to `slot`, and the directory has not changed since. */
static inline bool guard_tenant_again(const char* tenant, size_t length, int slot) {
  return guard_last.usable && guard_last.length == length && guard_last.slot == slot && !guard_last.tombstone &&
         guard_last.generation == pg_atomic_read_u64(&guard_shared->directory_generation) &&
         memcmp(guard_last.tenant, tenant, length) == 0;
}
extern void guard_directory_init(void);
extern void guard_directory_touched(void);
extern void guard_directory_end(bool committed);

#define GUARD_ERRCODE(digit) MAKE_SQLSTATE('D', 'M', '0', '0', digit)

#endif
