/* Which residency a tenant belongs to, by the local directory domicile.tenant.
 *
 * A backend remembers answers tagged with a generation that lives in shared memory. Why a remembered answer is right:
 * the ENABLE ALWAYS trigger on the directory marks every transaction that changes it, the apply worker's too, and such
 * a transaction raises the generation in its commit callback, which runs after its rows became visible and before its
 * client (or the publisher) is told. A reader notes the generation first and takes a fresh snapshot afterwards; so an
 * answer that misses a change carries an older generation and is dropped as soon as the change has been acknowledged.
 * A transaction that has changed the directory itself neither uses nor fills the memory: it could still roll back.
 * TRUNCATE of the directory is refused; a superuser who disables the triggers is seen by guard_missing().
 */
#include "guard.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_collation.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#define REMEMBERED_TENANTS 65536

typedef struct TenantEntry {
  char tenant[GUARD_NAME];
  char residency[GUARD_NAME];
  bool tombstone;
} TenantEntry;

static HTAB* remembered = NULL;
static uint64 remembered_generation = 0;
static TenantEntry last; /* a bulk load asks for the same tenant again and again */
static bool last_valid = false;
static bool changed_here = false;

void guard_directory_touched(void) { changed_here = true; }

void guard_directory_end(bool committed) {
  if (changed_here && committed && guard_shared) pg_atomic_fetch_add_u64(&guard_shared->directory_generation, 1);
  changed_here = false;
}

static void forget_all(void) {
  HASHCTL control = {.keysize = GUARD_NAME, .entrysize = sizeof(TenantEntry), .hcxt = TopMemoryContext};
  if (remembered) hash_destroy(remembered);
  remembered = NULL;
  last_valid = false;
  remembered = hash_create("domicile tenants", 1024, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

/* False: no such tenant. A residency that is too long for us is cut and so equals none that we know. */
static bool look_up(const char* tenant, size_t length, TenantEntry* out) {
  Oid space = get_namespace_oid("domicile", true);
  Oid table = OidIsValid(space) ? get_relname_relid("tenant", space) : InvalidOid;
  text* key_text = cstring_to_text_with_len(tenant, (int)length);
  Snapshot snapshot;
  Relation relation;
  SysScanDesc scan;
  ScanKeyData key;
  HeapTuple tuple;
  bool found = false;

  if (!OidIsValid(table))
    ereport(ERROR, (errcode(GUARD_ERRCODE('2')), errmsg("write refused: there is no table domicile.tenant"),
                    errhint("Run domicile apply.")));
  relation = table_open(table, AccessShareLock);
  (void)RelationGetIndexList(relation); /* fills in the primary key's index */
  ScanKeyEntryInitialize(&key, 0, get_attnum(table, "tenant_id"), BTEqualStrategyNumber, InvalidOid,
                         DEFAULT_COLLATION_OID, F_TEXTEQ, PointerGetDatum(key_text));
  /* The newest committed state, also in a REPEATABLE READ transaction: an old snapshot would admit a moved tenant. */
  snapshot = RegisterSnapshot(GetLatestSnapshot());
  scan = systable_beginscan(relation, relation->rd_pkindex, OidIsValid(relation->rd_pkindex), snapshot, 1, &key);
  tuple = systable_getnext(scan);
  if (HeapTupleIsValid(tuple)) {
    bool null_residency, null_tombstone;
    TupleDesc shape = RelationGetDescr(relation);
    Datum residency = heap_getattr(tuple, get_attnum(table, "residency"), shape, &null_residency);
    Datum tombstone = heap_getattr(tuple, get_attnum(table, "tombstone"), shape, &null_tombstone);
    found = !null_residency && !null_tombstone;
    if (found) {
      char* text_residency = TextDatumGetCString(residency);
      memset(out->residency, 0, GUARD_NAME);
      if (strlen(text_residency) < GUARD_NAME) strlcpy(out->residency, text_residency, GUARD_NAME);
      out->tombstone = DatumGetBool(tombstone);
      pfree(text_residency);
    }
  }
  systable_endscan(scan);
  UnregisterSnapshot(snapshot);
  table_close(relation, AccessShareLock);
  pfree(key_text);
  return found;
}

static GuardTenant judge(const TenantEntry* entry, const char* residency) {
  if (strcmp(entry->residency, residency) != 0) return TENANT_ELSEWHERE;
  return entry->tombstone ? TENANT_TOMBSTONE : TENANT_OK;
}

GuardTenant guard_tenant(const char* tenant, size_t length, const char* residency) {
  TenantEntry entry;
  TenantEntry* kept;
  uint64 generation = pg_atomic_read_u64(&guard_shared->directory_generation);

  pg_memory_barrier(); /* the generation before the snapshot, see above */
  if (changed_here || length >= GUARD_NAME)
    return look_up(tenant, length, &entry) ? judge(&entry, residency) : TENANT_UNKNOWN;
  if (generation != remembered_generation || !remembered || hash_get_num_entries(remembered) >= REMEMBERED_TENANTS) {
    forget_all();
    remembered_generation = generation;
  }
  if (last_valid && memcmp(last.tenant, tenant, length) == 0 && last.tenant[length] == '\0')
    return judge(&last, residency);
  memset(entry.tenant, 0, GUARD_NAME);
  memcpy(entry.tenant, tenant, length);
  kept = hash_search(remembered, entry.tenant, HASH_FIND, NULL);
  if (!kept) {
    if (!look_up(tenant, length, &entry)) return TENANT_UNKNOWN;
    kept = hash_search(remembered, entry.tenant, HASH_ENTER, NULL);
    memcpy(kept, &entry, sizeof(entry));
  }
  last = *kept;
  last_valid = true;
  return judge(kept, residency);
}
