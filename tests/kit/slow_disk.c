/* Loaded into a program with LD_PRELOAD: makes it see a disk that takes SLOW_DISK_RATE bytes a second.
 *
 * fdatasync() takes as long as that disk would need for what was written since the last one. It fails with EIO while the
 * file SLOW_DISK_BROKEN exists. How long the longest pwritev() took, in microseconds, is in the file SLOW_DISK_LONGEST. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static atomic_long written;
static long longest;

static long microseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static ssize_t noted(long begin, ssize_t size) {
    long took = microseconds() - begin;
    if (size > 0)
        atomic_fetch_add(&written, size);
    if (took > longest) {
        FILE *file = fopen(getenv("SLOW_DISK_LONGEST"), "w");
        longest = took;
        if (file) {
            fprintf(file, "%ld", took);
            fclose(file);
        }
    }
    return size;
}

ssize_t pwritev2(int fd, const struct iovec *pieces, int count, off_t offset, int flags) {
    static ssize_t (*real)(int, const struct iovec *, int, off_t, int);
    long begin = microseconds();
    if (!real)
        real = dlsym(RTLD_NEXT, "pwritev2");
    return noted(begin, real(fd, pieces, count, offset, flags));
}

/* What Python calls depends on how it was built. */
ssize_t pwritev64v2(int fd, const struct iovec *pieces, int count, off64_t offset, int flags) {
    return pwritev2(fd, pieces, count, offset, flags);
}

ssize_t pwritev(int fd, const struct iovec *pieces, int count, off_t offset) {
    return pwritev2(fd, pieces, count, offset, 0);
}

ssize_t pwritev64(int fd, const struct iovec *pieces, int count, off64_t offset) {
    return pwritev2(fd, pieces, count, offset, 0);
}

int fdatasync(int fd) {
    static int (*real)(int);
    long size = atomic_exchange(&written, 0);
    if (!real)
        real = dlsym(RTLD_NEXT, "fdatasync");
    if (access(getenv("SLOW_DISK_BROKEN"), F_OK) == 0) {
        errno = EIO;
        return -1;
    }
    usleep((useconds_t)(size * 1e6 / atof(getenv("SLOW_DISK_RATE"))));
    return real(fd);
}
