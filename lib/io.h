/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole reads and writes, and descriptors over Unix sockets. All retry EINTR. Any thread.
 */
#ifndef LIB_IO_H
#define LIB_IO_H

#include <sys/types.h>
#include "lib/err.h"

#define IO_MAX_FDS 64 /* in one message */

/* 0, or a negative errno; -EPIPE when the file ends before @len bytes. */
int io_read_full(int fd, void *dst, size_t len);
int io_write_full(int fd, const void *src, size_t len);
int io_pread_full(int fd, void *dst, size_t len, uint64_t off);

/* The whole file at @dirfd/@path, at most @cap bytes (-EFBIG beyond), NUL-terminated. *ret_data is
 * the caller's to free. */
int io_read_file(int dirfd, const char *path, size_t cap, char **ret_data, size_t *ret_len);
/* Whether what could not be opened or read, with -errno @rc, may be readable later: then it is not to be taken for absent. */
bool io_may_work_later(int rc);
/* Replaces @dirfd/@path by rename from a temporary name beside it; fsync is not done (state
 * folders are in memory). */
int io_write_file(int dirfd, const char *path, const void *data, size_t len, mode_t mode);
/* One write(2) to an existing file such as a cgroup's or procfs's. */
int io_write_str(int dirfd, const char *path, const char *text);

/* Writes what stdio has for standard output, or says what it could not: what is read there must not end early without a word. */
int io_flush_stdout(struct err *e);

/* One message with descriptors. io_send_fds(): 0 or -errno. io_recv_fds(): bytes received, 0 at
 * end of file, or -errno; received descriptors are close-on-exec; *nfds in: room, out: count;
 * -EMSGSIZE (everything received is closed) when data or descriptors did not fit. */
int io_send_fds(int sock, const void *data, size_t len, const int *fds, size_t nfds);
ssize_t io_recv_fds(int sock, void *data, size_t len, int *fds, size_t *nfds, int flags);

int io_set_nonblock(int fd, bool on);
int io_set_cloexec(int fd, bool on);
/* CLOCK_MONOTONIC in nanoseconds. */
uint64_t io_now_ns(void);

#endif
