/* The SQL functions of the C form; guard_c.sql declares them and says who may call them. */
#include "guard.h"

#include <limits.h>

#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "replication/message.h"
#include "storage/ipc.h"
#include "storage/proc.h"
#include "storage/sinvaladt.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/pg_lsn.h"

PG_MODULE_MAGIC;

static shmem_request_hook_type next_request = NULL;
static shmem_startup_hook_type next_startup = NULL;

static void request(void) {
  if (next_request) next_request();
  guard_state_request();
}

static void startup(void) {
  if (next_startup) next_startup();
  guard_state_startup();
}

void _PG_init(void);
void _PG_init(void) {
  if (!process_shared_preload_libraries_in_progress) return; /* then every check refuses: guard_require */
  DefineCustomStringVariable("domicile_guard.test_stop", "Stops the backend at a named point (tests).", NULL,
                             &guard_test_stop, "", PGC_SUSET, GUC_NO_SHOW_ALL, NULL, NULL, NULL);
  MarkGUCPrefixReserved("domicile_guard");
  next_request = shmem_request_hook;
  shmem_request_hook = request;
  next_startup = shmem_startup_hook;
  shmem_startup_hook = startup;
  guard_check_init();
}

static void stale(const char* what) {
  ereport(ERROR, (errcode(GUARD_ERRCODE('7')), errmsg("lease command refused: %s", what),
                  errhint("Read guard_state() and the authority again.")));
}

PG_FUNCTION_INFO_V1(domicile_guard_boot_id);
Datum domicile_guard_boot_id(PG_FUNCTION_ARGS) {
  guard_require();
  PG_RETURN_TEXT_P(cstring_to_text(guard_boot_id()));
}

PG_FUNCTION_INFO_V1(domicile_guard_now);
Datum domicile_guard_now(PG_FUNCTION_ARGS) { PG_RETURN_INT64(guard_now()); }

static GuardSlot* slot_for_change(const char* residency, int64 epoch) {
  GuardSlot* slot;
  guard_require();
  if (epoch <= 0) stale("an epoch is positive");
  LWLockAcquire(guard_shared->lock, LW_EXCLUSIVE);
  slot = &guard_shared->slots[guard_find_or_add(residency)];
  if ((uint64)epoch < pg_atomic_read_u64(&slot->epoch)) stale("a higher epoch is known here");
  return slot;
}

/* Closing is seen first and written then: if the disk fails, nothing is open. */
static void close_slot(GuardSlot* slot, int64 epoch, GuardMode mode) {
  pg_atomic_write_u64(&slot->open_until, 0);
  pg_write_barrier();
  pg_atomic_write_u32(&slot->mode, mode);
  pg_atomic_write_u64(&slot->epoch, (uint64)epoch);
  guard_write_file();
}

PG_FUNCTION_INFO_V1(domicile_guard_lease_set);
Datum domicile_guard_lease_set(PG_FUNCTION_ARGS) {
  int64 epoch = PG_GETARG_INT64(1);
  volatile int64 end_us = PG_GETARG_INT64(2);
  char* clock_id = text_to_cstring(PG_GETARG_TEXT_PP(3));
  GuardSlot* slot = slot_for_change(text_to_cstring(PG_GETARG_TEXT_PP(0)), epoch);
  uint64 known = pg_atomic_read_u64(&slot->epoch);
  uint32 mode = pg_atomic_read_u32(&slot->mode);
  GuardSlot before = *slot;

  if (guard_shared->damaged) stale("the guard's state file is damaged");
  if (strcmp(clock_id, guard_boot_id()) != 0) stale("the end is of another clock");
  if (end_us <= 0) stale("an end is positive");
  if (known == (uint64)epoch && mode == GUARD_FENCED) stale("this epoch is fenced here");
  if (known == (uint64)epoch && mode == GUARD_OPEN && end_us < slot->end_us) end_us = slot->end_us;
  /* Opening is written first and seen then: after a crash no epoch is lower than one that has been open. Until the
   * last word below, the old open_until holds or none does. */
  PG_TRY();
  {
    if (known != (uint64)epoch) pg_atomic_write_u64(&slot->open_until, 0);
    pg_atomic_write_u32(&slot->mode, GUARD_OPEN);
    pg_atomic_write_u64(&slot->epoch, (uint64)epoch);
    slot->end_us = end_us;
    slot->switch_id[0] = '\0';
    guard_write_file();
  }
  PG_CATCH();
  {
    /* Not on the disk: the epoch stays, nothing new opens; an old lease of the same epoch keeps its old end. */
    slot->end_us = before.end_us;
    if (known != (uint64)epoch || mode != GUARD_OPEN) pg_atomic_write_u32(&slot->mode, GUARD_CLOSED);
    PG_RE_THROW();
  }
  PG_END_TRY();
  pg_write_barrier();
  pg_atomic_write_u64(&slot->open_until, (uint64)end_us);
  LWLockRelease(guard_shared->lock);
  PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(domicile_guard_lease_close);
Datum domicile_guard_lease_close(PG_FUNCTION_ARGS) {
  int64 epoch = PG_GETARG_INT64(1);
  GuardSlot* slot = slot_for_change(text_to_cstring(PG_GETARG_TEXT_PP(0)), epoch);
  bool fenced = pg_atomic_read_u32(&slot->mode) == GUARD_FENCED && pg_atomic_read_u64(&slot->epoch) == (uint64)epoch;
  if (!fenced) {
    slot->switch_id[0] = '\0';
    close_slot(slot, epoch, GUARD_CLOSED);
  }
  LWLockRelease(guard_shared->lock);
  PG_RETURN_VOID();
}

/* Waits for the writers in flight, by the caller's lock_timeout. False: this very fence stands already. */
PG_FUNCTION_INFO_V1(domicile_guard_fence_lock);
Datum domicile_guard_fence_lock(PG_FUNCTION_ARGS) {
  int64 epoch = PG_GETARG_INT64(1);
  char* switch_id = text_to_cstring(PG_GETARG_TEXT_PP(2));
  GuardSlot* slot = slot_for_change(text_to_cstring(PG_GETARG_TEXT_PP(0)), epoch);
  bool stands = pg_atomic_read_u32(&slot->mode) == GUARD_FENCED && pg_atomic_read_u64(&slot->epoch) == (uint64)epoch;
  LOCKTAG tag;
  if (stands && strcmp(slot->switch_id, switch_id) != 0) stale("another switch has fenced this epoch");
  guard_lock_tag(&tag, (int)(slot - guard_shared->slots));
  LWLockRelease(guard_shared->lock);
  if (!stands) (void)LockAcquire(&tag, ExclusiveLock, false, false);
  PG_RETURN_BOOL(!stands);
}

/* Under the exclusive lock. Returns a flushed WAL position after every commit of the residency. */
PG_FUNCTION_INFO_V1(domicile_guard_fence);
Datum domicile_guard_fence(PG_FUNCTION_ARGS) {
  char* residency = text_to_cstring(PG_GETARG_TEXT_PP(0));
  char* switch_id = text_to_cstring(PG_GETARG_TEXT_PP(2));
  GuardSlot* slot = slot_for_change(residency, PG_GETARG_INT64(1));
  XLogRecPtr lsn;
  if (!*switch_id || strlen(switch_id) >= GUARD_NAME || strpbrk(switch_id, " \t\r\n")) stale("not a switch id");
  strlcpy(slot->switch_id, switch_id, GUARD_NAME);
  close_slot(slot, PG_GETARG_INT64(1), GUARD_FENCED);
  LWLockRelease(guard_shared->lock);
  lsn = LogLogicalMessage("domicile.fence", residency, strlen(residency), false);
  XLogFlush(lsn);
  PG_RETURN_LSN(lsn);
}

PG_FUNCTION_INFO_V1(domicile_guard_holders);
Datum domicile_guard_holders(PG_FUNCTION_ARGS) {
  char* residency = text_to_cstring(PG_GETARG_TEXT_PP(0));
  Datum pids[256];
  int found = 0, count = 0, slot;
  guard_require();
  slot = guard_find(residency, strlen(residency));
  if (slot >= 0) {
    LOCKTAG tag;
    VirtualTransactionId* holders;
    guard_lock_tag(&tag, slot);
    holders = GetLockConflicts(&tag, ExclusiveLock, &count);
    for (int i = 0; i < count && found < 256; i++) {
      PGPROC* process = BackendIdGetProc(holders[i].backendId);
      if (process) pids[found++] = Int32GetDatum(process->pid);
    }
  }
  PG_RETURN_ARRAYTYPE_P(construct_array(pids, found, INT4OID, 4, true, TYPALIGN_INT));
}

PG_FUNCTION_INFO_V1(domicile_guard_state);
Datum domicile_guard_state(PG_FUNCTION_ARGS) {
  static const char* names[] = {"closed", "open", "fenced"};
  ReturnSetInfo* result = (ReturnSetInfo*)fcinfo->resultinfo;
  guard_require();
  InitMaterializedSRF(fcinfo, 0);
  LWLockAcquire(guard_shared->lock, LW_SHARED);
  for (uint32 i = 0; i < pg_atomic_read_u32(&guard_shared->count); i++) {
    GuardSlot* slot = &guard_shared->slots[i];
    bool nulls[6] = {false};
    Datum values[6] = {CStringGetTextDatum(slot->residency),
                       Int64GetDatum(pg_atomic_read_u64(&slot->epoch)),
                       CStringGetTextDatum(names[pg_atomic_read_u32(&slot->mode)]),
                       Int64GetDatum(slot->end_us),
                       CStringGetTextDatum(guard_boot_id()),
                       CStringGetTextDatum(slot->switch_id)};
    nulls[5] = slot->switch_id[0] == '\0';
    tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
  }
  LWLockRelease(guard_shared->lock);
  return (Datum)0;
}

/* Whether commits of the residency wait for synchronous standbys. It lies on the disk as well: after a crash nothing is
 * acknowledged that was to wait. */
PG_FUNCTION_INFO_V1(domicile_guard_lease_waits);
Datum domicile_guard_lease_waits(PG_FUNCTION_ARGS) {
  uint32 waits = PG_GETARG_BOOL(1) ? 1 : 0;
  GuardSlot* slot;
  guard_require();
  LWLockAcquire(guard_shared->lock, LW_EXCLUSIVE);
  slot = &guard_shared->slots[guard_find_or_add(text_to_cstring(PG_GETARG_TEXT_PP(0)))];
  pg_atomic_write_u32(&slot->waits, waits);
  guard_write_file();
  LWLockRelease(guard_shared->lock);
  PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(domicile_guard_lease_waiting);
Datum domicile_guard_lease_waiting(PG_FUNCTION_ARGS) {
  ReturnSetInfo* result = (ReturnSetInfo*)fcinfo->resultinfo;
  guard_require();
  InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
  for (uint32 i = 0; i < pg_atomic_read_u32(&guard_shared->count); i++) {
    GuardSlot* slot = &guard_shared->slots[i];
    bool null = false;
    Datum value = CStringGetTextDatum(slot->residency);
    if (pg_atomic_read_u32(&slot->waits)) tuplestore_putvalues(result->setResult, result->setDesc, &value, &null);
  }
  return (Datum)0;
}

PG_FUNCTION_INFO_V1(domicile_guard_permit);
Datum domicile_guard_permit(PG_FUNCTION_ARGS) {
  int slot;
  guard_require();
  LWLockAcquire(guard_shared->lock, LW_EXCLUSIVE);
  slot = guard_find_or_add(text_to_cstring(PG_GETARG_TEXT_PP(0)));
  LWLockRelease(guard_shared->lock);
  guard_permit(slot);
  PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(domicile_guard_observe);
Datum domicile_guard_observe(PG_FUNCTION_ARGS) {
  guard_require();
  LWLockAcquire(guard_shared->lock, LW_EXCLUSIVE);
  pg_atomic_write_u32(&guard_shared->observe, PG_GETARG_BOOL(0) ? 1 : 0);
  guard_write_file();
  LWLockRelease(guard_shared->lock);
  PG_RETURN_VOID();
}
