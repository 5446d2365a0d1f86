/* What is asked of every row, at pre-commit and at commit.
 *
 * The first row of a residency in a transaction takes a heavyweight share lock of a lock class of our own: SQL's
 * advisory functions use classes 1 and 2, so nobody outside can take it, and the deadlock detector sees it. The fence
 * takes it exclusively.
 */
#include "guard.h"

#include <signal.h>
#include <sys/socket.h>

#include "access/htup_details.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/tuptable.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "libpq/libpq-be.h"
#include "miscadmin.h"
#include "replication/logicalworker.h"
#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#define LOCK_CLASS 0xD0
#define ROWS_PER_CLOCK 64

/* What this transaction has done with a residency. `level` is the nesting level that it belongs to, 0 for nothing:
 * ROLLBACK TO gives the lock back, so what was entered inside must be forgotten with it. */
typedef struct Touch {
  int level;
  bool import; /* rows of a residency that is not ours: apply worker or permit */
  uint64 epoch;
} Touch;

static Touch touches[GUARD_SLOTS];
static int permits[GUARD_SLOTS];
static bool touched_any = false;
static unsigned logged = 0; /* observe mode says each kind of refusal once per transaction */
char* guard_test_stop = NULL;

void guard_lock_tag(LOCKTAG* tag, int slot) {
  SET_LOCKTAG_ADVISORY(*tag, InvalidOid, 0x444f4d, (uint32)slot, LOCK_CLASS);
}

void guard_permit(int slot) {
  permits[slot] = GetCurrentTransactionNestLevel();
  touched_any = true;
}

/* "q-" and 16 digits, by chance: the client has it in DETAIL. The server's log leaves DETAIL out where it may hold no
 * row's value (log_error_verbosity = terse), so a line of its own tells it there. */
static const char* log_denial(char code, const char* table, const char* what) {
  static char id[2 + 16 + 1];
  uint64 chance;
  if (!pg_strong_random(&chance, sizeof chance)) chance = (uint64)GetCurrentTimestamp();
  snprintf(id, sizeof id, "q-%016" INT64_MODIFIER "x", chance);
  ereport(LOG_SERVER_ONLY, (errcode(GUARD_ERRCODE(code)),
                            errmsg("domicile: denial %s: DM00%c, a write to \"%s\": %s", id, code, table, what),
                            errhidestmt(true), errhidecontext(true)));
  return id;
}

/* `what` never holds a row's value. Returns only in observe mode. */
static void refuse(char code, const char* table, const char* what, const char* hint) {
  unsigned bit = 1u << (code - '0');
  if (pg_atomic_read_u32(&guard_shared->observe)) {
    if (!(logged & bit))
      ereport(LOG, (errcode(GUARD_ERRCODE(code)), errmsg("domicile would refuse a write to \"%s\": %s", table, what),
                    errhidestmt(true), errhidecontext(true)));
    logged |= bit;
    touched_any = true;
    return;
  }
  ereport(ERROR, (errcode(GUARD_ERRCODE(code)), errmsg("write to \"%s\" refused: %s", table, what),
                  errdetail("Denial %s.", log_denial(code, table, what)), errhint("%s", hint),
                  /* The server's log gets no row's value either: it may lie in another jurisdiction. The context is a
                   * nested statement, or the row of a COPY. */
                  errhidestmt(true), errhidecontext(true)));
}

#define LAW_FAULT "its residency may not be held in full in this region"
#define LAW_HINT "Write it where its residency is held in full; \"domicile explain table\" names the regions."
#define HINT_OWNER "Send the write to the residency's owner; \"domicile status --writers\" names it."

static bool owned(int slot) { return pg_atomic_read_u32(&guard_shared->slots[slot].mode) == GUARD_OPEN; }

/* NULL when the lease covers `now` of this transaction. The end is read before the epoch: epochs only grow, so an
 * unchanged epoch proves that the end belongs to it. */
static const char* lease_fault(int slot, const Touch* touch, int64 now) {
  GuardSlot* s = &guard_shared->slots[slot];
  int64 until = (int64)pg_atomic_read_u64(&s->open_until);
  pg_read_barrier();
  if (pg_atomic_read_u64(&s->epoch) != touch->epoch) return "the residency's epoch has changed";
  if (until == 0) return "this site does not own the residency";
  if (until <= now) return "this site's lease of the residency is over";
  return NULL;
}

/* The clock as of at most some rows of this command ago: a bulk load would read it for each. Whatever comes in between
 * is refused before the commit, where it is read again. */
static int64 now_of_row(void) {
  static int64 read_at;
  static CommandId command = InvalidCommandId;
  static LocalTransactionId transaction = InvalidLocalTransactionId;
  static int rows;
  CommandId current = GetCurrentCommandId(false);
  if (++rows >= ROWS_PER_CLOCK || current != command || MyProc->lxid != transaction) {
    rows = 0;
    command = current;
    transaction = MyProc->lxid;
    read_at = guard_now();
  }
  return read_at;
}

/* True: the row passes on a lease. False: it was refused (observe mode), or it is an import. */
static bool pass_lease(const char* table, int slot, bool import) {
  Touch* touch = &touches[slot];
  const char* fault;
  if (import) {
    if (owned(slot)) refuse('1', table, "rows from elsewhere for a residency that this site owns", HINT_OWNER);
    if (!touch->level) *touch = (Touch){GetCurrentTransactionNestLevel(), true, 0};
    touched_any = true;
    return false;
  }
  if (!touch->level || touch->import) {
    Touch now = {GetCurrentTransactionNestLevel(), false, pg_atomic_read_u64(&guard_shared->slots[slot].epoch)};
    LOCKTAG tag;
    fault = lease_fault(slot, &now, guard_now());
    if (!fault && !pg_atomic_read_u32(&guard_shared->observe)) {
      guard_lock_tag(&tag, slot);
      (void)LockAcquire(&tag, ShareLock, false, false); /* waits while a fence is under way */
      fault = lease_fault(slot, &now, guard_now());
    }
    if (!fault) *touch = now;
    touched_any = true;
  } else {
    fault = lease_fault(slot, touch, now_of_row());
  }
  if (fault) refuse('1', table, fault, HINT_OWNER);
  return fault == NULL;
}

typedef struct Words {
  char* data;
  size_t length;
  bool null;
} Words;

/* Taken from the row's slot, which takes a row apart once for all of its columns. */
static inline Words words_of(TupleTableSlot* row, int column) {
  Words out = {NULL, 0, false};
  Datum value = slot_getattr(row, column, &out.null);
  Oid type = TupleDescAttr(row->tts_tupleDescriptor, column - 1)->atttypid;
  if (out.null) return out;
  if (type == TEXTOID || type == VARCHAROID) {
    text* packed = (text*)DatumGetPointer(value);
    if (VARATT_IS_COMPRESSED(packed) || VARATT_IS_EXTERNAL(packed)) packed = DatumGetTextPP(value);
    out.data = VARDATA_ANY(packed);
    out.length = VARSIZE_ANY_EXHDR(packed);
  } else {
    Oid function;
    bool is_varlena;
    getTypeOutputInfo(type, &function, &is_varlena);
    out.data = OidOutputFunctionCall(function, value);
    out.length = strlen(out.data);
  }
  return out;
}

static bool same(Words a, Words b) {
  return a.null == b.null && (a.null || (a.length == b.length && memcmp(a.data, b.data, a.length) == 0));
}

static void check_tenant(const char* table, Words tenant, int slot) {
  if (!tenant.null && guard_tenant_again(tenant.data, tenant.length, slot)) return;
  switch (tenant.null ? TENANT_UNKNOWN : guard_tenant(tenant.data, tenant.length, slot)) {
    case TENANT_OK:
      return;
    case TENANT_UNKNOWN:
      refuse('2', table, "its tenant is not in the directory", "Add the tenant: domicile tenant add.");
      return;
    case TENANT_ELSEWHERE:
      /* Before the directory changes its copy is written, and afterwards what it has left is deleted. */
      if (permits[slot] && guard_tenant_moves(tenant.data, tenant.length, slot)) return;
      refuse('2', table, "its tenant belongs to another residency", "See \"domicile tenant show\".");
      return;
    case TENANT_TOMBSTONE:
      if (!permits[slot]) refuse('6', table, "its tenant is moving or has moved", "Retry after the move.");
  }
}

static TriggerData* trigger_of(FunctionCallInfo fcinfo, TriggerEvent want) {
  TriggerData* data = (TriggerData*)fcinfo->context;
  if (!CALLED_AS_TRIGGER(fcinfo) || (data->tg_event & (TRIGGER_EVENT_ROW | TRIGGER_EVENT_TIMINGMASK)) != want)
    ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED), errmsg("not called as the guard's trigger")));
  guard_require();
  return data;
}

/* Which columns the trigger names, of the table that was written last: a bulk load asks for each row. Numbers never
 * change, names do, and then forget_columns is told. */
static struct {
  Oid relation, trigger;
  int tenant, residency;
} columns;

/* The same for the law's trigger. A personal column that is not there any more, or not by this name: 0. */
static struct {
  Oid relation, trigger;
  int tenant, residency, personal_count;
  int16 personal[MaxHeapAttributeNumber];
} law;

static void forget_columns(Datum unused, Oid relation) {
  (void)unused;
  if (relation == columns.relation || !OidIsValid(relation)) columns.relation = InvalidOid;
  if (relation == law.relation || !OidIsValid(relation)) law.relation = InvalidOid;
}

static void find_columns(const TriggerData* data) {
  TupleDesc shape = RelationGetDescr(data->tg_relation);
  if (columns.relation == RelationGetRelid(data->tg_relation) && columns.trigger == data->tg_trigger->tgoid) return;
  if (data->tg_trigger->tgnargs != 2) elog(ERROR, "the guard's trigger needs two arguments");
  columns.tenant = SPI_fnumber(shape, data->tg_trigger->tgargs[0]);
  columns.residency = SPI_fnumber(shape, data->tg_trigger->tgargs[1]);
  columns.relation = RelationGetRelid(data->tg_relation);
  columns.trigger = data->tg_trigger->tgoid;
}

PG_FUNCTION_INFO_V1(domicile_guard_row);
Datum domicile_guard_row(PG_FUNCTION_ARGS) {
  TriggerData* data = trigger_of(fcinfo, TRIGGER_EVENT_ROW | TRIGGER_EVENT_AFTER);
  const char* table = RelationGetRelationName(data->tg_relation);
  bool update = TRIGGER_FIRED_BY_UPDATE(data->tg_event);
  TupleTableSlot* row = update ? data->tg_newslot : data->tg_trigslot;
  int tenant_column, residency_column, slot;
  bool import;
  Words residency;

  find_columns(data);
  tenant_column = columns.tenant;
  residency_column = columns.residency;
  if (tenant_column <= 0 || residency_column <= 0) {
    refuse('2', table, "the guard's columns are missing", "Run domicile apply.");
    return PointerGetDatum(NULL);
  }
  slot_getsomeattrs(row, Max(tenant_column, residency_column));
  residency = words_of(row, residency_column);
  if (update && !same(residency, words_of(data->tg_trigslot, residency_column)))
    refuse('3', table, "a row's residency cannot be changed", "Move the tenant: domicile tenant move.");
  slot = residency.null ? -1 : guard_find(residency.data, residency.length);
  if (slot < 0) {
    /* never opened, hence not ours: nobody but the apply worker writes it */
    if (!IsLogicalWorker()) refuse('1', table, "this site does not own the residency", HINT_OWNER);
    return PointerGetDatum(NULL);
  }
  import = IsLogicalWorker() || (permits[slot] && !owned(slot));
  if (!pass_lease(table, slot, import)) return PointerGetDatum(NULL);
  check_tenant(table, words_of(row, tenant_column), slot);
  if (update) {
    Words old = words_of(data->tg_trigslot, tenant_column);
    if (!same(old, words_of(row, tenant_column))) check_tenant(table, old, slot);
  }
  return PointerGetDatum(NULL);
}

/* domicile.tenant and domicile.host: the lease of the residency "directory"; the residency that they name is data. */
PG_FUNCTION_INFO_V1(domicile_guard_directory);
Datum domicile_guard_directory(PG_FUNCTION_ARGS) {
  TriggerData* data = trigger_of(fcinfo, TRIGGER_EVENT_ROW | TRIGGER_EVENT_AFTER);
  const char* table = RelationGetRelationName(data->tg_relation);
  int slot = guard_find("directory", strlen("directory"));
  guard_directory_touched();
  touched_any = true;
  if (slot >= 0)
    (void)pass_lease(table, slot, IsLogicalWorker() || (permits[slot] && !owned(slot)));
  else if (!IsLogicalWorker())
    refuse('1', table, "this site does not own the residency", HINT_OWNER);
  return PointerGetDatum(NULL);
}

/* Does the row's tenant have the residency that the row says? The law asks because the guard's own trigger asks when
 * the row's bytes are already stored. */
static void check_label(const char* table, Words tenant, Words residency) {
  int slot = guard_find(residency.data, residency.length);
  if (IsLogicalWorker() || (slot >= 0 && permits[slot] && !owned(slot))) return;
  if (slot < 0)
    refuse('1', table, "this site does not own the residency", HINT_OWNER);
  else
    check_tenant(table, tenant, slot);
}

enum { LAW_TENANT, LAW_RESIDENCY, LAW_HELD, LAW_FULL, LAW_PERSONAL };

static void find_law(const TriggerData* data) {
  TupleDesc shape = RelationGetDescr(data->tg_relation);
  const Trigger* trigger = data->tg_trigger;
  if (law.relation == RelationGetRelid(data->tg_relation) && law.trigger == trigger->tgoid) return;
  if (trigger->tgnargs < LAW_PERSONAL || trigger->tgnargs - LAW_PERSONAL > MaxHeapAttributeNumber)
    elog(ERROR, "the law's trigger has not the arguments that it needs");
  law.relation = InvalidOid; /* until all of it is there */
  law.tenant = Max(SPI_fnumber(shape, trigger->tgargs[LAW_TENANT]), 0);
  law.residency = Max(SPI_fnumber(shape, trigger->tgargs[LAW_RESIDENCY]), 0);
  law.personal_count = trigger->tgnargs - LAW_PERSONAL;
  for (int i = 0; i < law.personal_count; i++)
    law.personal[i] = (int16)Max(SPI_fnumber(shape, trigger->tgargs[LAW_PERSONAL + i]), 0);
  law.trigger = trigger->tgoid;
  law.relation = RelationGetRelid(data->tg_relation);
}

/* `names`: with one blank between them. */
static bool listed(const char* names, Words name) {
  while (*names) {
    size_t length = strcspn(names, " ");
    if (length == name.length && memcmp(names, name.data, length) == 0) return true;
    names += length + (names[length] == ' ');
  }
  return false;
}

static bool has_personal_value(TupleTableSlot* row) {
  for (int i = 0; i < law.personal_count; i++)
    if (law.personal[i] == 0 || !slot_attisnull(row, law.personal[i])) return true;
  return false;
}

/* What law.hpp says, for a table whose personal columns have no default. As a trigger's condition it would be read and
 * planned anew by each statement, which costs a transaction of one row three times as much as the guard itself. */
static void check_law(TriggerData* data) {
  const char* table = RelationGetRelationName(data->tg_relation);
  TupleTableSlot* row = TRIGGER_FIRED_BY_UPDATE(data->tg_event) ? data->tg_newslot : data->tg_trigslot;
  char** arguments = data->tg_trigger->tgargs;
  Words residency = {NULL, 0, true}, tenant = {NULL, 0, true};
  find_law(data);
  if (law.residency) residency = words_of(row, law.residency);
  if (law.tenant) tenant = words_of(row, law.tenant);
  if (residency.null || !listed(arguments[LAW_HELD], residency) ||
      (!listed(arguments[LAW_FULL], residency) && has_personal_value(row)))
    refuse('8', table, LAW_FAULT, LAW_HINT);
  else
    check_label(table, tenant, residency);
}

/* The law: called before anything of a row is stored. Without arguments, for rows that the trigger's condition has
 * found. */
PG_FUNCTION_INFO_V1(domicile_guard_lawful);
Datum domicile_guard_lawful(PG_FUNCTION_ARGS) {
  TriggerData* data = trigger_of(fcinfo, TRIGGER_EVENT_ROW | TRIGGER_EVENT_BEFORE);
  if (data->tg_trigger->tgnargs > 0)
    check_law(data);
  else
    refuse('8', RelationGetRelationName(data->tg_relation), LAW_FAULT, LAW_HINT);
  return PointerGetDatum(TRIGGER_FIRED_BY_UPDATE(data->tg_event) ? data->tg_newtuple : data->tg_trigtuple);
}

/* Part of the law's condition. Raises, or is false. */
PG_FUNCTION_INFO_V1(domicile_guard_label);
Datum domicile_guard_label(PG_FUNCTION_ARGS) {
  Words tenant = {NULL, 0, true};
  text* residency;
  guard_require();
  if (PG_ARGISNULL(1) || PG_ARGISNULL(2)) PG_RETURN_BOOL(false); /* the law's first words refuse it */
  residency = PG_GETARG_TEXT_PP(1);
  if (!PG_ARGISNULL(0)) {
    text* id = PG_GETARG_TEXT_PP(0);
    tenant = (Words){VARDATA_ANY(id), VARSIZE_ANY_EXHDR(id), false};
  }
  check_label(text_to_cstring(PG_GETARG_TEXT_PP(2)), tenant,
              (Words){VARDATA_ANY(residency), VARSIZE_ANY_EXHDR(residency), false});
  PG_RETURN_BOOL(false);
}

PG_FUNCTION_INFO_V1(domicile_guard_truncate);
Datum domicile_guard_truncate(PG_FUNCTION_ARGS) {
  TriggerData* data = trigger_of(fcinfo, TRIGGER_EVENT_BEFORE);
  refuse('4', RelationGetRelationName(data->tg_relation), "TRUNCATE names no residency",
         "Use DELETE with a residency.");
  return PointerGetDatum(NULL);
}

/* A test's way to hold this process between the two checks, as a stopped machine would. Superusers only. */
static void stop_for_test(const char* point) {
  if (guard_test_stop && strcmp(guard_test_stop, point) == 0) raise(SIGSTOP);
}

/* Slots are only ever added: none that this transaction touched lies beyond. */
static int slots_in_use(void) { return (int)pg_atomic_read_u32(&guard_shared->count); }

/* Of this transaction alone, whatever its session has set. Nothing of the caller's runs any more that could undo it. */
static void wait_for_standbys(void) {
  if (synchronous_commit < SYNCHRONOUS_COMMIT_REMOTE_FLUSH)
    (void)set_config_option("synchronous_commit", "on", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0, false);
}

static void before_commit(void) {
  bool waits = false;
  for (int i = 0, count = slots_in_use(); i < count; i++) {
    const char* fault;
    if (!touches[i].level) continue;
    if (touches[i].import)
      fault = owned(i) ? "rows from elsewhere for a residency that this site owns" : NULL;
    else
      fault = lease_fault(i, &touches[i], guard_now());
    if (fault) refuse('1', guard_shared->slots[i].residency, fault, HINT_OWNER);
    waits = waits || (!touches[i].import && pg_atomic_read_u32(&guard_shared->slots[i].waits));
  }
  if (waits) wait_for_standbys();
  stop_for_test("pre_commit");
}

/* Also in the very next epoch, if it is open here: epochs follow one another, so nobody else has written in between.
 * That is how commits that waited for a standby end, where their owner goes on without it. */
static bool still_ours(int slot, const Touch* touch) {
  Touch next = {touch->level, false, touch->epoch + 1};
  int64 now = guard_now();
  return lease_fault(slot, touch, now) == NULL || lease_fault(slot, &next, now) == NULL;
}

/* The transaction is committed and cannot be taken back, and an ERROR here would be a PANIC. The client has not been
 * told yet: cut it off, so that nobody ever takes this write for acknowledged; the LSN finds it as salvage. */
static void after_commit(void) {
  for (int i = 0, count = slots_in_use(); i < count; i++) {
    if (!touches[i].level || touches[i].import || still_ours(i, &touches[i])) continue;
    if (pg_atomic_read_u32(&guard_shared->observe)) continue;
    ereport(LOG, (errcode(GUARD_ERRCODE('1')), errhidestmt(true),
                  errmsg("domicile: late commit of residency \"%s\" ends at %X/%X and is not acknowledged",
                         guard_shared->slots[i].residency, LSN_FORMAT_ARGS(XactLastCommitEnd))));
    if (MyProcPort) shutdown(MyProcPort->sock, SHUT_RDWR);
  }
}

static void on_transaction(XactEvent event, void* unused) {
  (void)unused;
  if (!touched_any || !guard_shared) return;
  switch (event) {
    case XACT_EVENT_PRE_COMMIT:
      before_commit();
      return;
    case XACT_EVENT_PRE_PREPARE:
      refuse('5', "prepared transaction", "a prepared transaction would outlive a fence", "Use COMMIT.");
      return;
    case XACT_EVENT_COMMIT:
      guard_directory_end(true);
      after_commit();
      break;
    case XACT_EVENT_ABORT:
      guard_directory_end(false);
      break;
    case XACT_EVENT_PREPARE: /* only in observe mode; the directory may change when it is committed, unseen */
      guard_directory_end(true);
      break;
    default:
      return;
  }
  memset(touches, 0, sizeof(Touch) * slots_in_use());
  memset(permits, 0, sizeof(permits[0]) * slots_in_use());
  touched_any = false;
  logged = 0;
}

static void on_subtransaction(SubXactEvent event, SubTransactionId mine, SubTransactionId parent, void* unused) {
  int level = GetCurrentTransactionNestLevel();
  (void)mine, (void)parent, (void)unused;
  if (!touched_any || (event != SUBXACT_EVENT_ABORT_SUB && event != SUBXACT_EVENT_COMMIT_SUB)) return;
  for (int i = 0; i < GUARD_SLOTS; i++) {
    int then = event == SUBXACT_EVENT_ABORT_SUB ? 0 : level - 1;
    if (touches[i].level >= level) touches[i].level = then;
    if (permits[i] >= level) permits[i] = then;
  }
}

void guard_check_init(void) {
  RegisterXactCallback(on_transaction, NULL);
  RegisterSubXactCallback(on_subtransaction, NULL);
  CacheRegisterRelcacheCallback(forget_columns, (Datum)0);
  guard_directory_init();
}
