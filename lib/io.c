// SPDX-License-Identifier: Apache-2.0
#include "lib/io.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/cleanup.h"

#define MAX_LEFT 1000 /* temporary files of one name, by processes that were killed */

int io_read_full(int fd, void *dst, size_t len)
{
	char *p = dst;

	while (len) {
		ssize_t n = read(fd, p, len);

		if (n < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		if (n == 0)
			return -EPIPE;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int io_pread_full(int fd, void *dst, size_t len, uint64_t off)
{
	char *p = dst;

	while (len) {
		ssize_t n = pread(fd, p, len, (off_t)off);

		if (n < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		if (n == 0)
			return -EPIPE;
		p += n;
		off += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

int io_write_full(int fd, const void *src, size_t len)
{
	const char *p = src;

	while (len) {
		ssize_t n = write(fd, p, len);

		if (n < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int io_read_file(int dirfd, const char *path, size_t cap, char **ret_data, size_t *ret_len)
{
	_cleanup_close_ int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);
	_cleanup_free_ char *data = NULL;
	size_t len = 0, size = 4096;
	struct stat st;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	if (S_ISREG(st.st_mode)) {
		if ((uint64_t)st.st_size > cap)
			return -EFBIG;
		size = (size_t)st.st_size + 2;
	}
	for (;;) {
		char *bigger = realloc(data, size);
		ssize_t n;

		if (!bigger)
			return -ENOMEM;
		data = bigger;
		n = read(fd, data + len, size - 1 - len);
		if (n < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		if (n == 0)
			break;
		len += (size_t)n;
		if (len > cap)
			return -EFBIG;
		if (len + 1 == size)
			size *= 2;
	}
	data[len] = 0;
	*ret_data = steal_ptr(&data);
	if (ret_len)
		*ret_len = len;
	return 0;
}

bool io_may_work_later(int rc)
{
	return rc == -EMFILE || rc == -ENFILE || rc == -ENOMEM || rc == -EIO || rc == -EINTR;
}

int io_write_file(int dirfd, const char *path, const void *data, size_t len, mode_t mode)
{
	static atomic_uint serial;
	_cleanup_close_ int fd = -1;
	char tmp[4096];
	int rc;

	/* Whoever had this number as process id before may have been killed between the two. */
	for (unsigned i = 0; fd < 0 && (i == 0 || (errno == EEXIST && i < MAX_LEFT)); i++) {
		if ((size_t)snprintf(tmp, sizeof(tmp), "%s.%d.%u.tmp", path, getpid(),
				     atomic_fetch_add(&serial, 1)) >= sizeof(tmp))
			return -ENAMETOOLONG;
		fd = openat(dirfd, tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
	}
	if (fd < 0)
		return -errno;
	rc = io_write_full(fd, data, len);
	if (rc == 0 && renameat(dirfd, tmp, dirfd, path) < 0)
		rc = -errno;
	if (rc < 0)
		unlinkat(dirfd, tmp, 0);
	return rc;
}

int io_write_str(int dirfd, const char *path, const char *text)
{
	_cleanup_close_ int fd = openat(dirfd, path, O_WRONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	do
		n = write(fd, text, strlen(text));
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

int io_flush_stdout(struct err *e)
{
	int why = fflush(stdout) != 0 ? errno : ferror(stdout) ? EIO : 0;

	return why ? err_errno(e, why, "cannot write to standard output") : 0;
}

int io_send_fds(int sock, const void *data, size_t len, const int *fds, size_t nfds)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(IO_MAX_FDS * sizeof(int))];
	} u;
	struct iovec iov = { .iov_base = (void *)(uintptr_t)data, .iov_len = len };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	if (nfds > IO_MAX_FDS)
		return -E2BIG;
	if (nfds) {
		struct cmsghdr *c;

		memset(&u, 0, sizeof(u));
		m.msg_control = u.space;
		m.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(nfds * sizeof(int));
		memcpy(CMSG_DATA(c), fds, nfds * sizeof(int));
	}
	do
		n = sendmsg(sock, &m, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return (size_t)n == len ? 0 : -EMSGSIZE;
}

static size_t take_fds(struct msghdr *m, int *fds, size_t room, bool *ret_too_many)
{
	size_t count = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		size_t n;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (count < room) {
				fds[count++] = fd;
			} else {
				close(fd);
				*ret_too_many = true;
			}
		}
	}
	return count;
}

ssize_t io_recv_fds(int sock, void *data, size_t len, int *fds, size_t *nfds, int flags)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(IO_MAX_FDS * sizeof(int))];
	} u;
	struct iovec iov = { .iov_base = data, .iov_len = len };
	struct msghdr m = { .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = u.space,
			    .msg_controllen = sizeof(u.space) };
	bool too_many = false;
	size_t count;
	ssize_t n;

	do
		n = recvmsg(sock, &m, MSG_CMSG_CLOEXEC | flags);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	count = take_fds(&m, fds, nfds ? *nfds : 0, &too_many);
	if (too_many || (m.msg_flags & (MSG_TRUNC | MSG_CTRUNC))) {
		while (count)
			close(fds[--count]);
		if (nfds)
			*nfds = 0;
		return -EMSGSIZE;
	}
	if (nfds)
		*nfds = count;
	return n;
}

static int set_flag(int fd, int get, int set, int flag, bool on)
{
	int v = fcntl(fd, get);

	if (v < 0)
		return -errno;
	v = on ? v | flag : v & ~flag;
	return fcntl(fd, set, v) < 0 ? -errno : 0;
}

int io_set_nonblock(int fd, bool on)
{
	return set_flag(fd, F_GETFL, F_SETFL, O_NONBLOCK, on);
}

int io_set_cloexec(int fd, bool on)
{
	return set_flag(fd, F_GETFD, F_SETFD, FD_CLOEXEC, on);
}

uint64_t io_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}
