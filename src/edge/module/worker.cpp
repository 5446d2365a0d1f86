#include "edge/module/worker.hpp"

#include <fcntl.h>
#include <openssl/rand.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <ctime>

#include "edge/module/ending.hpp"
#include "edge/module/files.hpp"
#include "edge/worker_id.hpp"

extern "C" {
extern ngx_module_t ngx_domicile_core_module;
}

namespace domicile::edge {

namespace sn = domicile::snapshot;

namespace {

constexpr ngx_msec_t kPoll = 20;  // the longest that a change may stay unseen when inotify says nothing

// nginx modules have no object to hang on to: this is one process's only instance.
struct Worker {
  sn::EdgeFile* file = nullptr;  // mapped by the master, inherited
  char path[NGX_MAX_PATH] = {};
  sn::WorkerSlot* slot = nullptr;
  char authority_path[NGX_MAX_PATH] = {}, tenants_path[NGX_MAX_PATH] = {}, boot_id[64] = {};
  TenantsFile tenants;
  AuthorityFile authority;
  Watch tenants_watch, authority_watch;
  sn::World world;
  ngx_event_t poll = {};
  ngx_connection_t poll_connection = {};  // timers want one to log by
  std::size_t held_bytes = 0;
  ngx_uint_t held = 0;
  Listener listeners[4] = {};
  Recount moving_writes = nullptr;
  sn::WorkerResidency spare = {};  // counts what has no slot
} worker;

sn::WorkerSlot spare_slot;

void* create_conf(ngx_cycle_t* cycle) {
  auto* conf = static_cast<CoreConf*>(ngx_pcalloc(cycle->pool, sizeof(CoreConf)));
  if (conf == nullptr) return nullptr;
  conf->hold_requests = NGX_CONF_UNSET_UINT;
  conf->hold_bytes = NGX_CONF_UNSET_SIZE;
  conf->hold_time = NGX_CONF_UNSET_MSEC;
  conf->retry_after = NGX_CONF_UNSET;
  conf->wind_down = NGX_CONF_UNSET_MSEC;
  conf->warm_connections = conf->released_at_once = NGX_CONF_UNSET_UINT;
  if (ngx_array_init(&conf->warm_peers, cycle->pool, 4, sizeof(WarmPeer)) != NGX_OK) return nullptr;
  return conf;
}

char* add_warm_peer(ngx_conf_t* cf, ngx_command_t*, void* data) {
  static char too_long[] = "has a name or an address that is too long";
  const auto* values = static_cast<const ngx_str_t*>(cf->args->elts);
  auto* peer = static_cast<WarmPeer*>(ngx_array_push(&static_cast<CoreConf*>(data)->warm_peers));
  if (peer == nullptr) return static_cast<char*>(NGX_CONF_ERROR);
  *peer = {};
  if (values[1].len >= sizeof peer->region || values[2].len >= sizeof peer->address) return too_long;
  std::memcpy(peer->region, values[1].data, values[1].len);
  std::memcpy(peer->address, values[2].data, values[2].len);
  return NGX_CONF_OK;
}

char* init_conf(ngx_cycle_t*, void* data) {
  auto* conf = static_cast<CoreConf*>(data);
  ngx_conf_init_uint_value(conf->hold_requests, 20000);
  ngx_conf_init_size_value(conf->hold_bytes, 256u << 20);
  ngx_conf_init_msec_value(conf->hold_time, 15000);
  ngx_conf_init_value(conf->retry_after, 1);
  ngx_conf_init_msec_value(conf->wind_down, 30000);
  if (conf->wind_down == 0) conf->wind_down = 1;
  ngx_conf_init_uint_value(conf->warm_connections, 96);
  ngx_conf_init_uint_value(conf->released_at_once, 96);
  return NGX_CONF_OK;
}

ngx_command_t commands[] = {
    {literal("domicile_directory"), NGX_MAIN_CONF | NGX_DIRECT_CONF | NGX_CONF_TAKE1, ngx_conf_set_str_slot, 0,
     offsetof(CoreConf, directory), nullptr},
    {literal("domicile_region"), NGX_MAIN_CONF | NGX_DIRECT_CONF | NGX_CONF_TAKE1, ngx_conf_set_str_slot, 0,
     offsetof(CoreConf, region), nullptr},
    {literal("domicile_hold_requests"), NGX_MAIN_CONF | NGX_DIRECT_CONF | NGX_CONF_TAKE1, ngx_conf_set_num_slot, 0,
     offsetof(CoreConf, hold_requests), nullptr},
    {literal("domicile_hold_bytes"), NGX_MAIN_CONF | NGX_DIRECT_CONF | NGX_CONF_TAKE1, ngx_conf_set_size_slot, 0,
     offsetof(CoreConf, hold_bytes), nullptr},
    {literal("domicile_hold_time"), NGX_MAIN_CONF | NGX_DIRECT_CONF | NGX_CONF_TAKE1, ngx_conf_set_msec_slot, 0,
     offsetof(CoreConf, hold_time), nullptr},
    {literal("domicile_retry_after"), NGX_MAIN_CONF | NGX_DIRECT_CONF | NGX_CONF_TAKE1, ngx_conf_set_sec_slot, 0,
     offsetof(CoreConf, retry_after), nullptr},
    {literal("domicile_wind_down"), NGX_MAIN_CONF | NGX_DIRECT_CONF | NGX_CONF_TAKE1, ngx_conf_set_msec_slot, 0,
     offsetof(CoreConf, wind_down), nullptr},
    {literal("domicile_warm_connections"), NGX_MAIN_CONF | NGX_DIRECT_CONF | NGX_CONF_TAKE1, ngx_conf_set_num_slot, 0,
     offsetof(CoreConf, warm_connections), nullptr},
    {literal("domicile_warm"), NGX_MAIN_CONF | NGX_DIRECT_CONF | NGX_CONF_TAKE2, add_warm_peer, 0, 0, nullptr},
    {literal("domicile_released_at_once"), NGX_MAIN_CONF | NGX_DIRECT_CONF | NGX_CONF_TAKE1, ngx_conf_set_num_slot, 0,
     offsetof(CoreConf, released_at_once), nullptr},
    ngx_null_command};

ngx_core_module_t module_context = {literal("domicile_core"), create_conf, init_conf};

// In the master, before workers fork: one mapping for all of them, kept over reloads.
ngx_int_t init_module(ngx_cycle_t* cycle) {
  const CoreConf& conf = *reinterpret_cast<CoreConf*>(cycle->conf_ctx[ngx_domicile_core_module.index]);
  if (conf.directory.len == 0) return NGX_OK;  // loaded and not used
  if (conf.directory.len > NGX_MAX_PATH - 32 || conf.region.len == 0 || conf.region.len >= sn::kNameSize) {
    ngx_log_error(NGX_LOG_EMERG, cycle->log, 0, "domicile_directory or domicile_region is missing or too long");
    return NGX_ERROR;
  }
  char path[NGX_MAX_PATH];
  *ngx_snprintf(bytes(path), sizeof path - 1, "%V/edge.state", &conf.directory) = 0;
  if (worker.file != nullptr && std::strcmp(path, worker.path) == 0) return NGX_OK;
  const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  struct stat info = {};
  if (fd < 0 || fstat(fd, &info) != 0 || (info.st_size != 0 && info.st_size != sizeof(sn::EdgeFile)) ||
      ftruncate(fd, sizeof(sn::EdgeFile)) != 0) {
    ngx_log_error(NGX_LOG_EMERG, cycle->log, ngx_errno, "cannot use \"%s\" (remove one of another version)", path);
    if (fd >= 0) close(fd);
    return NGX_ERROR;
  }
  void* mapped = mmap(nullptr, sizeof(sn::EdgeFile), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  if (mapped == MAP_FAILED) {
    ngx_log_error(NGX_LOG_EMERG, cycle->log, ngx_errno, "cannot map \"%s\"", path);
    return NGX_ERROR;
  }
  worker.file = static_cast<sn::EdgeFile*>(mapped);
  std::memcpy(worker.path, path, sizeof path);
  worker.file->version = sn::kEdgeVersion;
  worker.file->slots = sn::kWorkerSlots;
  std::memcpy(worker.file->magic, sn::kEdgeMagic, sizeof sn::kEdgeMagic);
  return NGX_OK;
}

bool abandoned(const sn::WorkerSlot& slot, std::int64_t pid) {
  // A negative pid is a slot that is being taken.
  return pid < 0 ? process_started(-pid) == 0 : !worker_lives(pid, slot.started);
}

// Takes a free slot or that of a killed worker, and empties it; its counts died with their requests.
sn::WorkerSlot* take_slot() {
  for (auto& slot : worker.file->workers) {
    std::int64_t pid = slot.pid.load();
    if (pid != 0 && !abandoned(slot, pid)) continue;
    if (!slot.pid.compare_exchange_strong(pid, -static_cast<std::int64_t>(ngx_pid))) continue;
    slot.started = process_started(ngx_pid);
    slot.generation = slot.tenants_generation = slot.obeyed_at = 0;
    slot.held = slot.held_bytes = slot.refused_snapshots = 0;
    for (auto& decision : slot.decisions) decision = 0;
    slot.moving_writes = 0;
    for (auto& residency : slot.residencies) {
      residency.used = residency.writes_in_flight = 0;
      std::memset(residency.name, 0, sizeof residency.name);
    }
    return &slot;
  }
  return nullptr;
}

void refused(const char* path, sn::Flaw why) {
  ++worker.slot->refused_snapshots;
  const std::string_view name = sn::name_of(why);
  ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0, "domicile: %s is refused (%*s), the last good one stays", path,
                name.size(), name.data());
}

void obey() {
  worker.world.bind(&worker.tenants.view(), &worker.authority.view(), worker.boot_id);
  sn::WorkerSlot& slot = *worker.slot;
  slot.obeyed_at = static_cast<std::uint64_t>(boot_now());
  if (worker.world.tenants() != nullptr) slot.tenants_generation = worker.world.tenants()->generation();
  if (worker.moving_writes != nullptr) slot.moving_writes.store(worker.moving_writes(), std::memory_order_relaxed);
  // Last, and released: who reads this generation reads counts that include every decision of an earlier one.
  slot.generation.store(generation(), std::memory_order_release);
  for (const Listener listener : worker.listeners)
    if (listener != nullptr) listener();
}

void load_authority() {
  sn::Flaw why;
  const auto& conf = core_conf();
  const Load load = worker.authority.load(worker.authority_path, view(conf.region), worker.file->floors, why);
  if (load == Load::refused) refused("authority.snap", why);
  if (load == Load::replaced) obey();
}

void load_tenants() {
  sn::Flaw why;
  const Load load = worker.tenants.load(worker.tenants_path, &worker.file->tenants_floor, why);
  if (load == Load::refused) refused("tenants.snap", why);
  if (load == Load::replaced) obey();
}

void on_poll(ngx_event_t* event) {
  if (worker.tenants_watch.changed(worker.tenants_path)) load_tenants();
  if (worker.authority_watch.changed(worker.authority_path)) load_authority();
  // A worker on its way out goes on as long as requests keep it: they must obey too. The timer itself keeps nobody.
  ngx_add_timer(event, kPoll);
}

void on_inotify(ngx_event_t* event) {
  auto* connection = static_cast<ngx_connection_t*>(event->data);
  if (connection->close != 0) {
    connection->close = connection->idle = 0;
    begin_ending();
  }
  alignas(inotify_event) char buffer[4096];
  bool authority = false;
  for (;;) {
    const ssize_t size = read(connection->fd, buffer, sizeof buffer);
    if (size <= 0) break;
    for (ssize_t at = 0; at < size;) {
      const auto* change = reinterpret_cast<const inotify_event*>(buffer + at);
      if (change->len > 0 && std::strcmp(change->name, "authority.snap") == 0) authority = true;
      at += static_cast<ssize_t>(sizeof *change + change->len);
    }
  }
  // Always loaded, never compared first: whatever the comparison looked at could be written after the rename.
  if (authority) {
    worker.authority_watch.changed(worker.authority_path);
    load_authority();
  }
  if (worker.tenants_watch.changed(worker.tenants_path)) load_tenants();
}

// Without it the poll does the same a little later: a failure is a warning.
void watch_directory(ngx_cycle_t* cycle, const char* directory) {
  const int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  if (fd < 0 || inotify_add_watch(fd, directory, IN_MOVED_TO | IN_CLOSE_WRITE) < 0) {
    ngx_log_error(NGX_LOG_WARN, cycle->log, ngx_errno, "domicile: no inotify on %s, polling only", directory);
    if (fd >= 0) close(fd);
    return;
  }
  ngx_connection_t* connection = ngx_get_connection(fd, cycle->log);
  if (connection == nullptr) {
    close(fd);
    return;
  }
  connection->log = cycle->log;
  connection->read->log = connection->write->log = cycle->log;
  connection->read->handler = on_inotify;
  connection->read->channel = 1;  // else a worker that ends logs an open socket
  // nginx has no hook for a worker that begins to end. It tells idle connections in their order, and this one, made
  // before any client's, is the first.
  connection->idle = 1;
  if (ngx_add_event(connection->read, NGX_READ_EVENT, 0) != NGX_OK) ngx_close_connection(connection);
}

ngx_int_t init_process(ngx_cycle_t* cycle) {
  if (worker.file == nullptr || (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE)) return NGX_OK;
  worker.slot = take_slot();
  if (worker.slot == nullptr) {
    ngx_log_error(NGX_LOG_ALERT, cycle->log, 0, "domicile: all %uz worker slots are taken", sn::kWorkerSlots);
    return NGX_ERROR;
  }
  const CoreConf& conf = core_conf();
  *ngx_snprintf(bytes(worker.authority_path), NGX_MAX_PATH - 1, "%V/authority.snap", &conf.directory) = 0;
  *ngx_snprintf(bytes(worker.tenants_path), NGX_MAX_PATH - 1, "%V/tenants.snap", &conf.directory) = 0;
  char directory[NGX_MAX_PATH];
  *ngx_snprintf(bytes(directory), NGX_MAX_PATH - 1, "%V", &conf.directory) = 0;
  if (const int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC); fd >= 0) {
    const ssize_t size = read(fd, worker.boot_id, sizeof worker.boot_id - 1);
    close(fd);
    worker.boot_id[size > 0 ? size : 0] = 0;
    worker.boot_id[std::strcspn(worker.boot_id, "\n")] = 0;
  }
  watch_directory(cycle, directory);  // before the first load: nothing falls between
  worker.tenants_watch.changed(worker.tenants_path);
  worker.authority_watch.changed(worker.authority_path);
  load_tenants();
  load_authority();
  worker.poll_connection.fd = -1;
  worker.poll.handler = on_poll;
  worker.poll.data = &worker.poll_connection;
  worker.poll.log = cycle->log;
  worker.poll.cancelable = 1;
  ngx_add_timer(&worker.poll, kPoll);
  worker.slot->pid.store(ngx_pid, std::memory_order_release);
  return NGX_OK;
}

void exit_process(ngx_cycle_t*) {
  if (worker.slot != nullptr && worker.slot != &spare_slot) worker.slot->pid = 0;
}

}  // namespace

const CoreConf& core_conf() {
  return *reinterpret_cast<CoreConf*>(ngx_cycle->conf_ctx[ngx_domicile_core_module.index]);
}

const sn::World& world() { return worker.world; }

std::uint64_t generation() { return worker.world.authority() == nullptr ? 0 : worker.world.authority()->generation(); }

std::int64_t boot_now() {
  timespec now;
  clock_gettime(CLOCK_BOOTTIME, &now);
  return now.tv_sec * std::int64_t{1000000} + now.tv_nsec / 1000;
}

static void add(std::atomic<std::uint64_t>& counter) {
  // The slot has one writer: no locked instruction is needed.
  counter.store(counter.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

void name_denial(DenialId& id) {
  u_char chance[8];
  if (RAND_bytes(chance, sizeof chance) != 1) return;
  id[0] = 'e';
  id[1] = '-';
  ngx_hex_dump(bytes(id + 2), chance, sizeof chance);
}

void count(sn::Action action) {
  if (worker.slot != nullptr) add(worker.slot->decisions[static_cast<std::size_t>(action)]);
}

std::atomic<std::uint32_t>* writes_in_flight(std::string_view residency) {
  if (worker.slot == nullptr) return &worker.spare.writes_in_flight;
  for (auto& place : worker.slot->residencies) {
    if (place.used.load(std::memory_order_relaxed) == 0) {
      std::memcpy(place.name, residency.data(), residency.size());
      place.used.store(1, std::memory_order_release);
    }
    if (residency == place.name) return &place.writes_in_flight;
  }
  return &worker.spare.writes_in_flight;
}

void count_moving_writes_by(Recount recount) { worker.moving_writes = recount; }

void forget_moving_write() { worker.slot->moving_writes.fetch_sub(1, std::memory_order_release); }

bool enter_hold(std::size_t size) {
  const CoreConf& conf = core_conf();
  if (worker.held >= conf.hold_requests || worker.held_bytes + size > conf.hold_bytes) return false;
  worker.held += 1;
  worker.held_bytes += size;
  worker.slot->held = worker.held;
  worker.slot->held_bytes = worker.held_bytes;
  return true;
}

void leave_hold(std::size_t size) {
  worker.held -= 1;
  worker.held_bytes -= size;
  worker.slot->held = worker.held;
  worker.slot->held_bytes = worker.held_bytes;
}

void on_change(Listener listener) {
  for (Listener& place : worker.listeners) {
    if (place == listener) return;
    if (place == nullptr) {
      place = listener;
      return;
    }
  }
}

u_char* log_without_personal_data(ngx_log_t* log, u_char* buffer, size_t size) {
  return log->action == nullptr ? buffer : ngx_snprintf(buffer, size, " while %s", log->action);
}

}  // namespace domicile::edge

extern "C" {
ngx_module_t ngx_domicile_core_module = {NGX_MODULE_V1,
                                         &domicile::edge::module_context,
                                         domicile::edge::commands,
                                         NGX_CORE_MODULE,
                                         nullptr,
                                         domicile::edge::init_module,
                                         domicile::edge::init_process,
                                         nullptr,
                                         nullptr,
                                         domicile::edge::exit_process,
                                         nullptr,
                                         NGX_MODULE_V1_PADDING};
}
