// SPDX-License-Identifier: Apache-2.0
#include "runtime/host/sock.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/cleanup.h"

static struct sockaddr_un address(int dir, const char *name)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int n = snprintf(a.sun_path, sizeof(a.sun_path), "/proc/self/fd/%d/%s", dir, name);

	bug_on(n < 0 || (size_t)n >= sizeof(a.sun_path));
	return a;
}

int sock_listen(int dir, const char *name, int *ret_fd, struct err *e)
{
	struct sockaddr_un a = address(dir, name);
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return err_errno(e, errno, "socket");
	unlinkat(dir, name, 0);
	if (bind(fd, (const struct sockaddr *)&a, sizeof(a)) < 0)
		return err_errno(e, errno, "cannot bind %s", name);
	if (fchmodat(dir, name, 0600, 0) < 0 || listen(fd, 64) < 0)
		return err_errno(e, errno, "cannot listen on %s", name);
	*ret_fd = steal_fd(&fd);
	return 0;
}

int sock_connect(int dir, const char *name, int *ret_fd)
{
	struct sockaddr_un a = address(dir, name);
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)&a, sizeof(a)) < 0)
		return -errno;
	*ret_fd = steal_fd(&fd);
	return 0;
}
