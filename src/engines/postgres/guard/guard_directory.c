/* Which residency a tenant belongs to, by the local directory domicile.tenant.
 *
 * Answers are kept in shared memory, each with the generation of the directory that it was read at: a first look-up
 * costs a seventh of a transaction, and one backend's is every backend's. Why a kept answer is right: the ENABLE ALWAYS
 * trigger on the directory marks every transaction that changes it, the apply worker's too, and such a transaction
 * raises the generation in its commit callback, which runs after its rows became visible and before its client (or the
 * publisher) is told. Who looks up notes the generation first and takes a fresh snapshot afterwards; so an answer that
 * misses a change carries an older generation and is used by nobody once the change has been acknowledged. A
 * transaction that has changed the directory itself neither uses nor fills the memory: it could still roll back. The
 * table's OID is part of an answer: it ends with the table. TRUNCATE of the directory is refused; a superuser who
 * disables the triggers is seen by guard_missing().
 */
#include "guard.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_collation.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

static Oid directory = InvalidOid; /* domicile.tenant, as long as this backend knows that it is still the same */
static bool changed_here = false;
GuardLastAnswer guard_last; /* a bulk load asks for the same tenant again and again */

void guard_directory_touched(void) {
  changed_here = true;
  guard_last.usable = false;
}

void guard_directory_end(bool committed) {
  if (changed_here && committed && guard_shared) pg_atomic_fetch_add_u64(&guard_shared->directory_generation, 1);
  changed_here = false;
}

static void forget_directory(Datum unused, Oid relation) {
  (void)unused;
  if (relation != directory && OidIsValid(relation)) return;
  directory = InvalidOid;
  guard_last.usable = false;
}

void guard_directory_init(void) { CacheRegisterRelcacheCallback(forget_directory, (Datum)0); }

static Oid directory_table(void) {
  Oid space;
  if (OidIsValid(directory)) return directory;
  space = get_namespace_oid("domicile", true);
  directory = OidIsValid(space) ? get_relname_relid("tenant", space) : InvalidOid;
  if (!OidIsValid(directory))
    ereport(ERROR, (errcode(GUARD_ERRCODE('2')), errmsg("write refused: there is no table domicile.tenant"),
                    errhint("Run domicile apply.")));
  return directory;
}

/* ---- the memory: each tenant has one place, which the next one that belongs there takes over */

static GuardKnownTenant* place_of(const char* tenant, size_t length) {
  return &guard_shared->known[hash_bytes((const unsigned char*)tenant, (int)length) % GUARD_KNOWN_TENANTS];
}

static bool answers(const GuardKnownTenant* known, const char* tenant, size_t length, Oid table, uint64 generation) {
  return known->generation == generation && known->table == table && known->database == MyDatabaseId &&
         known->tenant[length] == '\0' && memcmp(known->tenant, tenant, length) == 0;
}

/* A writer makes the version odd meanwhile: what a reader copied counts only if it was even and is the same afterwards.
 */
static bool recall(const char* tenant, size_t length, Oid table, uint64 generation, GuardKnownTenant* out) {
  GuardKnownTenant* place = place_of(tenant, length);
  uint32 version = pg_atomic_read_u32(&place->version);
  pg_read_barrier();
  pg_atomic_init_u32(&out->version, version);
  out->generation = place->generation;
  out->database = place->database;
  out->table = place->table;
  out->slot = place->slot;
  out->tombstone = place->tombstone;
  memcpy(out->tenant, place->tenant, length + 1);
  pg_read_barrier();
  return (version & 1) == 0 && version == pg_atomic_read_u32(&place->version) &&
         answers(out, tenant, length, table, generation);
}

static void keep(const char* tenant, size_t length, Oid table, uint64 generation, int slot, bool tombstone) {
  GuardKnownTenant* place = place_of(tenant, length);
  uint32 version = pg_atomic_read_u32(&place->version);
  /* Whoever is writing here has an answer as good as ours. */
  if ((version & 1) || !pg_atomic_compare_exchange_u32(&place->version, &version, version + 1)) return;
  place->generation = generation;
  place->database = MyDatabaseId;
  place->table = table;
  place->slot = slot;
  place->tombstone = tombstone;
  memcpy(place->tenant, tenant, length);
  place->tenant[length] = '\0';
  pg_write_barrier();
  pg_atomic_write_u32(&place->version, version + 2);
}

static int slot_of(Datum name) {
  char* residency = TextDatumGetCString(name);
  int slot = guard_find(residency, strlen(residency));
  pfree(residency);
  return slot;
}

typedef struct Entry {
  int slot;   /* -1: its residency is none that was ever opened here */
  int moving; /* of the other residency, while the tenant moves; -1 */
  bool tombstone;
} Entry;

/* False: no such tenant. */
static bool look_up(const char* tenant, size_t length, Oid table, Entry* out) {
  text* key_text = cstring_to_text_with_len(tenant, (int)length);
  Snapshot snapshot;
  Relation relation;
  SysScanDesc scan;
  ScanKeyData key;
  HeapTuple tuple;
  bool found = false;

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
    Datum is_tombstone = heap_getattr(tuple, get_attnum(table, "tombstone"), shape, &null_tombstone);
    AttrNumber moving_column = get_attnum(table, "moving");
    found = !null_residency && !null_tombstone;
    if (found) {
      bool null_moving = true;
      Datum moving = moving_column == InvalidAttrNumber ? 0 : heap_getattr(tuple, moving_column, shape, &null_moving);
      out->slot = slot_of(residency);
      out->moving = null_moving ? -1 : slot_of(moving);
      out->tombstone = DatumGetBool(is_tombstone);
    }
  }
  systable_endscan(scan);
  UnregisterSnapshot(snapshot);
  table_close(relation, AccessShareLock);
  pfree(key_text);
  return found;
}

static GuardTenant judge(int slot, bool tombstone, int wanted) {
  if (slot != wanted) return TENANT_ELSEWHERE;
  return tombstone ? TENANT_TOMBSTONE : TENANT_OK;
}

GuardTenant guard_tenant(const char* tenant, size_t length, int wanted) {
  uint64 generation = pg_atomic_read_u64(&guard_shared->directory_generation);
  Oid table = directory_table();
  bool may_keep = !changed_here && length < GUARD_NAME;
  GuardKnownTenant known;
  Entry entry;

  if (may_keep && recall(tenant, length, table, generation, &known)) {
    guard_last.generation = generation;
    guard_last.length = length;
    guard_last.slot = known.slot;
    guard_last.tombstone = known.tombstone;
    memcpy(guard_last.tenant, tenant, length);
    guard_last.usable = true;
    return judge(known.slot, known.tombstone, wanted);
  }
  pg_memory_barrier(); /* the generation before the snapshot, see above */
  if (!look_up(tenant, length, table, &entry)) return TENANT_UNKNOWN;
  /* A residency without a slot may get one without any change of the directory. */
  if (may_keep && entry.slot >= 0) keep(tenant, length, table, generation, entry.slot, entry.tombstone);
  return judge(entry.slot, entry.tombstone, wanted);
}

/* Asked for the rows of moves only, and so kept nowhere. */
bool guard_tenant_moves(const char* tenant, size_t length, int other) {
  Entry entry;
  return look_up(tenant, length, directory_table(), &entry) && entry.moving == other;
}
