// SPDX-License-Identifier: Apache-2.0
#include "runtime/host/netns.h"

#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"

int netns_open(const char *path, int *ret, struct err *e)
{
	/* Not blocking: whatever stands there may be a FIFO. */
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat its, own;

	if (fd < 0)
		return err_errno(e, errno, "cannot open %s", path);
	if (ioctl(fd, NS_GET_NSTYPE) != CLONE_NEWNET)
		return err_set(e, EINVAL, "%s is not a network namespace", path);
	if (fstat(fd, &its) < 0 || stat("/proc/self/ns/net", &own) < 0)
		return err_errno(e, errno, "cannot tell the namespace %s from the host's", path);
	if (its.st_ino == own.st_ino && its.st_dev == own.st_dev)
		return err_set(e, EINVAL, "%s is the host's: sharing the host's network is not supported", path);
	*ret = steal_fd(&fd);
	return 0;
}
