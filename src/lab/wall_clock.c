/* Preloaded into a server under test: shifts its wall clock by the microseconds in the file that WALL_CLOCK_SHIFT names
 * (an int64, read anew at each call), as somebody who sets a host's clock would. Other clocks stay. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static int64_t shift_us(void) {
  static volatile const int64_t* shift = NULL;
  if (!shift) {
    const char* path = getenv("WALL_CLOCK_SHIFT");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void* map = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, fd, 0);
    if (fd >= 0) close(fd);
    if (map == MAP_FAILED) return 0;
    shift = map;
  }
  return *shift;
}

int clock_gettime(clockid_t id, struct timespec* out) {
  int64_t us;
  if (syscall(SYS_clock_gettime, id, out) != 0) return -1;
  if (id != CLOCK_REALTIME) return 0;
  us = (int64_t)out->tv_sec * 1000000 + out->tv_nsec / 1000 + shift_us();
  out->tv_sec = us / 1000000;
  out->tv_nsec = us % 1000000 * 1000;
  return 0;
}

int gettimeofday(struct timeval* restrict out, void* restrict zone) {
  struct timespec now;
  (void)zone;
  if (clock_gettime(CLOCK_REALTIME, &now) != 0) return -1;
  out->tv_sec = now.tv_sec;
  out->tv_usec = now.tv_nsec / 1000;
  return 0;
}
