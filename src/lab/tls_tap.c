/* The inner side of TLS, recorded: preloaded into a program of the lab, writes down what it reads and writes through
 * libssl. A test instrument: nothing of the product links or loads it, and only `lab up --record` preloads it.
 *
 * DOMICILE_TLS_TAP=FOLDER/PROGRAM. One file for each TLS session and direction:
 *
 *   FOLDER/out/PROGRAM.PID.N.PEER               what the program said
 *   FOLDER/in.client.PEER/PROGRAM.PID.N.PEER    what it heard from a server that it had called
 *   FOLDER/in.server.PEER/PROGRAM.PID.N.PEER    what it heard from a client that had called it
 *
 * N counts sessions of a process from 1. PEER is an address without port, or "unknown" where the program gave libssl
 * no socket (libcurl does its own reading). Folders are 0700, files 0600. Without the variable, and in programs without
 * libssl, it does nothing. What cannot be recorded must not be said: the program is aborted then.
 *
 * A file is opened for each piece and closed again: programs that fork (PostgreSQL), close all they find, or wait with
 * select() meet no descriptor of ours. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { kPath = 1024, kPeer = INET6_ADDRSTRLEN, kBuckets = 1024 };

/* Taken before main: PostgreSQL writes its status over its environment, nginx clears that of its workers. */
static char folder[kPath];
static char program[64];

struct session {
  const SSL* ssl;
  pid_t pid; /* after a fork the same object is a session of another process */
  unsigned number;
  char heard[16]; /* in.client, in.server */
  char peer[kPeer];
  struct session* next;
};

static struct session* sessions[kBuckets];
static unsigned last_number;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

__attribute__((constructor)) static void begin(void) {
  const char* set = getenv("DOMICILE_TLS_TAP");
  const char* slash = set == NULL ? NULL : strrchr(set, '/');
  if (slash == NULL || (size_t)(slash - set) >= sizeof folder || strlen(slash + 1) >= sizeof program) return;
  memcpy(folder, set, (size_t)(slash - set));
  strcpy(program, slash + 1);
}

/* libssl's own function of that name. A program that loads libssl late keeps it out of the global scope. */
static void* real(const char* name) {
  void* found = dlsym(RTLD_NEXT, name);
  if (found == NULL) {
    void* library = dlopen("libssl.so.3", RTLD_LAZY | RTLD_NOLOAD);
    if (library != NULL) found = dlsym(library, name);
  }
  if (found == NULL) {
    dprintf(STDERR_FILENO, "tls_tap: libssl has no %s\n", name);
    abort();
  }
  return found;
}

/* Function pointers and object pointers are different things in C, though not in POSIX. */
#define REAL(type, variable, name)               \
  static type variable;                          \
  if (variable == NULL) {                        \
    void* found_ = real(name);                   \
    memcpy(&variable, &found_, sizeof variable); \
  }

static void find_peer(const SSL* ssl, char* peer) {
  typedef int (*get_fd_t)(const SSL*);
  REAL(get_fd_t, get_fd, "SSL_get_fd")
  struct sockaddr_storage address;
  socklen_t size = sizeof address;
  strcpy(peer, "unknown");
  const int fd = get_fd(ssl);
  if (fd < 0 || getpeername(fd, (struct sockaddr*)&address, &size) != 0) return;
  if (address.ss_family == AF_INET) inet_ntop(AF_INET, &((struct sockaddr_in*)&address)->sin_addr, peer, kPeer);
  if (address.ss_family == AF_INET6) inet_ntop(AF_INET6, &((struct sockaddr_in6*)&address)->sin6_addr, peer, kPeer);
}

static struct session** place_of(const SSL* ssl) {
  struct session** place = &sessions[((size_t)ssl >> 6) % kBuckets];
  while (*place != NULL && (*place)->ssl != ssl) place = &(*place)->next;
  return place;
}

static struct session session_of(const SSL* ssl) {
  typedef int (*is_server_t)(const SSL*);
  REAL(is_server_t, is_server, "SSL_is_server")
  const pid_t pid = getpid();
  pthread_mutex_lock(&mutex);
  struct session** place = place_of(ssl);
  if (*place == NULL) *place = calloc(1, sizeof **place);
  if (*place == NULL) abort();
  if ((*place)->pid != pid) {
    (*place)->ssl = ssl;
    (*place)->pid = pid;
    (*place)->number = ++last_number;
    strcpy((*place)->heard, is_server(ssl) ? "in.server" : "in.client");
    find_peer(ssl, (*place)->peer);
  }
  const struct session found = **place;
  pthread_mutex_unlock(&mutex);
  return found;
}

static void forget(const SSL* ssl) {
  pthread_mutex_lock(&mutex);
  struct session **place = place_of(ssl), *gone = *place;
  if (gone != NULL) *place = gone->next;
  pthread_mutex_unlock(&mutex);
  free(gone);
}

static bool append(const char* path, const char* bytes, size_t size) {
  const int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return false;
  while (size > 0) {
    const ssize_t n = write(fd, bytes, size);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    bytes += n;
    size -= (size_t)n;
  }
  close(fd);
  return size == 0;
}

static void record(const SSL* ssl, bool heard, const void* bytes, size_t size) {
  if (folder[0] == '\0' || size == 0) return;
  const int saved = errno; /* SSL_get_error looks at it after us */
  const struct session session = session_of(ssl);
  char where[kPath], path[kPath + 192];
  const int length = heard ? snprintf(where, sizeof where, "%s/%s.%s", folder, session.heard, session.peer)
                           : snprintf(where, sizeof where, "%s/out", folder);
  snprintf(path, sizeof path, "%s/%s.%d.%u.%s", where, program, (int)session.pid, session.number, session.peer);
  mkdir(where, 0700);
  if (length >= (int)sizeof where || !append(path, bytes, size)) {
    dprintf(STDERR_FILENO, "tls_tap: cannot record in %s\n", folder);
    abort();
  }
  errno = saved;
}

int SSL_read(SSL* ssl, void* bytes, int size) {
  typedef int (*read_t)(SSL*, void*, int);
  REAL(read_t, ssl_read, "SSL_read")
  const int got = ssl_read(ssl, bytes, size);
  if (got > 0) record(ssl, true, bytes, (size_t)got);
  return got;
}

int SSL_read_ex(SSL* ssl, void* bytes, size_t size, size_t* got) {
  typedef int (*read_t)(SSL*, void*, size_t, size_t*);
  REAL(read_t, ssl_read, "SSL_read_ex")
  const int done = ssl_read(ssl, bytes, size, got);
  if (done == 1) record(ssl, true, bytes, *got);
  return done;
}

int SSL_read_early_data(SSL* ssl, void* bytes, size_t size, size_t* got) {
  typedef int (*read_t)(SSL*, void*, size_t, size_t*);
  REAL(read_t, ssl_read, "SSL_read_early_data")
  const int done = ssl_read(ssl, bytes, size, got);
  if (done == SSL_READ_EARLY_DATA_SUCCESS) record(ssl, true, bytes, *got);
  return done;
}

int SSL_write(SSL* ssl, const void* bytes, int size) {
  typedef int (*write_t)(SSL*, const void*, int);
  REAL(write_t, ssl_write, "SSL_write")
  const int sent = ssl_write(ssl, bytes, size);
  if (sent > 0) record(ssl, false, bytes, (size_t)sent);
  return sent;
}

int SSL_write_ex(SSL* ssl, const void* bytes, size_t size, size_t* sent) {
  typedef int (*write_t)(SSL*, const void*, size_t, size_t*);
  REAL(write_t, ssl_write, "SSL_write_ex")
  const int done = ssl_write(ssl, bytes, size, sent);
  if (done == 1) record(ssl, false, bytes, *sent);
  return done;
}

int SSL_write_early_data(SSL* ssl, const void* bytes, size_t size, size_t* sent) {
  typedef int (*write_t)(SSL*, const void*, size_t, size_t*);
  REAL(write_t, ssl_write, "SSL_write_early_data")
  const int done = ssl_write(ssl, bytes, size, sent);
  if (done == 1) record(ssl, false, bytes, *sent);
  return done;
}

/* The kernel encrypts, from a file: what it took is read again. */
ossl_ssize_t SSL_sendfile(SSL* ssl, int fd, off_t offset, size_t size, int flags) {
  typedef ossl_ssize_t (*send_t)(SSL*, int, off_t, size_t, int);
  REAL(send_t, ssl_sendfile, "SSL_sendfile")
  const ossl_ssize_t sent = ssl_sendfile(ssl, fd, offset, size, flags);
  char buffer[16384];
  for (ossl_ssize_t done = 0; done < sent;) {
    const size_t rest = (size_t)(sent - done) < sizeof buffer ? (size_t)(sent - done) : sizeof buffer;
    const ssize_t n = pread(fd, buffer, rest, offset + done);
    if (n <= 0) abort();
    record(ssl, false, buffer, (size_t)n);
    done += n;
  }
  return sent;
}

/* The next object at this address is another session. */
void SSL_free(SSL* ssl) {
  typedef void (*free_t)(SSL*);
  REAL(free_t, ssl_free, "SSL_free")
  if (folder[0] != '\0' && ssl != NULL) forget(ssl);
  ssl_free(ssl);
}
