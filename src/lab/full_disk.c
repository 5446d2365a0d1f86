/* Preloaded into a process under test: while the first byte of the file that FULL_DISK names is '1', no file below the
 * folder FULL_DISK_BELOW grows, as on a full disk. What lies within a file's present size can still be overwritten. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static int full(void) {
  static volatile const char* flag = NULL;
  if (!flag) {
    const char* path = getenv("FULL_DISK");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void* map = fd < 0 ? MAP_FAILED : mmap(NULL, 1, PROT_READ, MAP_SHARED, fd, 0);
    if (fd >= 0) close(fd);
    if (map == MAP_FAILED) return 0;
    flag = map;
  }
  return *flag == '1';
}

static int refused(int fd, off_t end) {
  char link[64], path[4096];
  const char* below = getenv("FULL_DISK_BELOW");
  struct stat about;
  ssize_t length;
  if (!full() || !below) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  length = readlink(link, path, sizeof path - 1);
  if (length <= 0) return 0;
  path[length] = 0;
  if (strncmp(path, below, strlen(below)) != 0 || fstat(fd, &about) != 0 || !S_ISREG(about.st_mode)) return 0;
  if (end < 0) end = lseek(fd, 0, SEEK_CUR) + -end;
  if (fcntl(fd, F_GETFL) & O_APPEND) end = about.st_size + 1;
  if (end <= about.st_size) return 0;
  errno = ENOSPC;
  return 1;
}

ssize_t write(int fd, const void* data, size_t size) {
  if (size && refused(fd, -(off_t)size)) return -1;
  return syscall(SYS_write, fd, data, size);
}

ssize_t pwrite(int fd, const void* data, size_t size, off_t at) {
  if (refused(fd, at + (off_t)size)) return -1;
  return syscall(SYS_pwrite64, fd, data, size, at);
}
ssize_t pwrite64(int fd, const void* data, size_t size, off_t at) { return pwrite(fd, data, size, at); }

ssize_t pwritev(int fd, const struct iovec* parts, int count, off_t at) {
  off_t end = at;
  for (int i = 0; i < count; ++i) end += (off_t)parts[i].iov_len;
  if (refused(fd, end)) return -1;
  return syscall(SYS_pwritev, fd, parts, count, (unsigned long)at, 0UL);
}
ssize_t pwritev64(int fd, const struct iovec* parts, int count, off_t at) { return pwritev(fd, parts, count, at); }

int posix_fallocate(int fd, off_t at, off_t length) {
  if (refused(fd, at + length)) return ENOSPC;
  return syscall(SYS_fallocate, fd, 0, at, length) == 0 ? 0 : errno;
}
int posix_fallocate64(int fd, off_t at, off_t length) { return posix_fallocate(fd, at, length); }
