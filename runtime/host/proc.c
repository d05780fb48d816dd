// SPDX-License-Identifier: Apache-2.0
#include "runtime/host/proc.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/io.h"

/* The number at field @n, where field 3 begins at @p. */
static bool field_u64(const char *p, unsigned n, uint64_t *ret)
{
	char *end;

	for (unsigned i = 3; i < n; i++) {
		p = strchr(p, ' ');
		if (!p)
			return false;
		p++;
	}
	if (*p < '0' || *p > '9')
		return false;
	errno = 0;
	*ret = strtoull(p, &end, 10);
	return errno == 0 && (*end == ' ' || *end == '\n' || *end == 0);
}

int proc_parse_stat(const char *line, size_t len, struct proc_info *ret)
{
	const char *open = memchr(line, '(', len);
	const char *close = memrchr(line, ')', len);
	uint64_t pid, ppid, start;
	struct proc_info info = { .state = 0 };
	char *end;

	if (!open || !close || close < open || close + 3 >= line + len || close[1] != ' ')
		return -EBADMSG;
	pid = strtoull(line, &end, 10);
	if (end == line || *end != ' ' || pid == 0 || pid > INT32_MAX)
		return -EBADMSG;
	if (!field_u64(close + 2, 4, &ppid) || ppid > INT32_MAX ||
	    !field_u64(close + 2, 22, &start))
		return -EBADMSG;
	info.id = (struct proc_id){ .pid = (pid_t)pid, .start = start };
	info.ppid = (pid_t)ppid;
	info.state = close[2];
	snprintf(info.comm, sizeof(info.comm), "%.*s", (int)(close - open - 1), open + 1);
	*ret = info;
	return 0;
}

int proc_read(pid_t pid, struct proc_info *ret)
{
	_cleanup_close_ int fd = -1;
	char path[32], line[1024];
	ssize_t n;

	if (pid <= 0)
		return -ESRCH;
	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	do
		n = read(fd, line, sizeof(line) - 1);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	line[n] = 0;
	return proc_parse_stat(line, (size_t)n, ret);
}

int proc_alive(const struct proc_id *id, struct proc_info *ret)
{
	struct proc_info info;
	int rc = proc_read(id->pid, &info);

	if (rc < 0)
		return rc == -ESRCH ? 0 : rc;
	if (info.id.start != id->start || info.state == 'Z' || info.state == 'X')
		return 0;
	if (ret)
		*ret = info;
	return 1;
}

int proc_open(const struct proc_id *id)
{
	int fd, alive;

	if (id->pid <= 0)
		return -ESRCH;
	fd = (int)syscall(SYS_pidfd_open, id->pid, 0);
	/* EINVAL: it has gone, and left its number to a session or a group. */
	if (fd < 0)
		return errno == EINVAL ? -ESRCH : -errno;
	/* Checked after opening: from here on the descriptor and the number mean the same process. */
	alive = proc_alive(id, NULL);
	if (alive <= 0) {
		close(fd);
		return alive < 0 ? alive : -ESRCH;
	}
	return fd;
}

int proc_signal(int pidfd, int signo)
{
	return syscall(SYS_pidfd_send_signal, pidfd, signo, NULL, 0) < 0 ? -errno : 0;
}

int proc_wait_end(int pidfd, int timeout_ms)
{
	uint64_t end = io_now_ns() + (uint64_t)timeout_ms * 1000000u;
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	for (;;) {
		uint64_t now = io_now_ns();
		int left = timeout_ms < 0 ? -1 : now >= end ? 0 : (int)((end - now) / 1000000u) + 1;
		int n = poll(&p, 1, left);

		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			return -ETIMEDOUT;
	}
}

int proc_kill(const struct proc_id *id, int timeout_ms)
{
	_cleanup_close_ int fd = proc_open(id);
	int rc;

	if (fd < 0)
		return fd == -ESRCH ? 0 : fd;
	rc = proc_signal(fd, SIGKILL);
	if (rc < 0)
		return rc == -ESRCH ? 0 : rc;
	return proc_wait_end(fd, timeout_ms);
}

bool proc_in_userns(void)
{
	_cleanup_close_ int fd = open("/proc/self/uid_map", O_RDONLY | O_CLOEXEC);
	unsigned long own = 1, first = 1, n = 0;
	char text[64] = "";

	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
		return false;
	return sscanf(text, "%lu %lu %lu", &own, &first, &n) == 3 && !(own == 0 && first == 0 && n == 4294967295);
}
