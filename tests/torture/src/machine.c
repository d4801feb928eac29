/* What a process believes of its machine, changed from outside while it runs: the wall clock is ahead or behind, and the disk under
 * one directory is full. Preloaded; a page shared through a file says how things are.
 *
 * Monotonic clocks are as they are: setting the wall clock does not move them either. A full disk refuses what needs room, a write
 * beyond the end of a file; what is there is written over as always. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

struct page {
    volatile int64_t clock_offset_s;
    volatile int64_t disk_is_full;
};

static const struct page as_it_is;
static const struct page *page = &as_it_is;
static const char *disk;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("TORTURE_MACHINE");
    disk = getenv("TORTURE_DISK");
    if (path == NULL)
        return;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    void *mapped = mmap(NULL, sizeof(struct page), PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    if (mapped != MAP_FAILED)
        page = mapped;
}

#define REAL(name) ((__typeof__(&name))real(#name))

static void *real(const char *name) {
    return dlsym(RTLD_NEXT, name);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    static __typeof__(&clock_gettime) next;
    if (next == NULL)
        next = REAL(clock_gettime);
    int result = next(clock, now);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += page->clock_offset_s;
    return result;
}

int gettimeofday(struct timeval *now, void *zone) {
    static int (*next)(struct timeval *, void *);
    if (next == NULL)
        next = (int (*)(struct timeval *, void *))real("gettimeofday");
    int result = next(now, zone);
    if (result == 0)
        now->tv_sec += page->clock_offset_s;
    return result;
}

time_t time(time_t *out) {
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0)
        return -1;
    if (out != NULL)
        *out = now.tv_sec;
    return now.tv_sec;
}

/* Whether what ends there needs room that the disk does not have. */
static int has_no_room(int fd, int64_t end) {
    if (!page->disk_is_full || disk == NULL)
        return 0;
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0)
        return 0;
    path[length] = 0;
    struct stat file;
    return strncmp(path, disk, strlen(disk)) == 0 && fstat(fd, &file) == 0 && S_ISREG(file.st_mode) &&
           end > file.st_size;
}

#define REFUSE_BEYOND(fd, end)                                                                                        \
    if (has_no_room(fd, end)) {                                                                                       \
        errno = ENOSPC;                                                                                               \
        return -1;                                                                                                    \
    }

/* Where a write without a position would end. */
static int64_t here(int fd, size_t count) {
    if (!page->disk_is_full)
        return 0;
    struct stat file;
    int flags = fcntl(fd, F_GETFL);
    if (flags >= 0 && (flags & O_APPEND) && fstat(fd, &file) == 0)
        return (int64_t)file.st_size + (int64_t)count;
    return (int64_t)lseek(fd, 0, SEEK_CUR) + (int64_t)count;
}

ssize_t write(int fd, const void *bytes, size_t count) {
    static __typeof__(&write) next;
    if (next == NULL)
        next = REAL(write);
    REFUSE_BEYOND(fd, here(fd, count))
    return next(fd, bytes, count);
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at) {
    static __typeof__(&pwrite) next;
    if (next == NULL)
        next = REAL(pwrite);
    REFUSE_BEYOND(fd, (int64_t)at + (int64_t)count)
    return next(fd, bytes, count, at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t at) {
    static __typeof__(&pwrite64) next;
    if (next == NULL)
        next = REAL(pwrite64);
    REFUSE_BEYOND(fd, (int64_t)at + (int64_t)count)
    return next(fd, bytes, count, at);
}

int ftruncate(int fd, off_t size) {
    static __typeof__(&ftruncate) next;
    if (next == NULL)
        next = REAL(ftruncate);
    REFUSE_BEYOND(fd, (int64_t)size)
    return next(fd, size);
}

int ftruncate64(int fd, off64_t size) {
    static __typeof__(&ftruncate64) next;
    if (next == NULL)
        next = REAL(ftruncate64);
    REFUSE_BEYOND(fd, (int64_t)size)
    return next(fd, size);
}
