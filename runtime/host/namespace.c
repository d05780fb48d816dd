// SPDX-License-Identifier: Apache-2.0
#include "runtime/host/namespace.h"

#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"

static const struct kind {
	const char *name, *a, *own, *what;
	int type;
} kinds[] = {
	{ "network", "a network", "/proc/self/ns/net", "network", CLONE_NEWNET },
	{ "ipc", "an ipc", "/proc/self/ns/ipc", "shared memory", CLONE_NEWIPC },
	{ "uts", "a uts", "/proc/self/ns/uts", "name", CLONE_NEWUTS },
};

int namespace_open(const char *path, const char *name, int *ret, struct err *e)
{
	/* Not blocking: whatever stands there may be a FIFO. */
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	const struct kind *k = kinds;
	struct stat its, own;

	while (strcmp(k->name, name) != 0) {
		k++;
		bug_on(k == kinds + ARRAY_SIZE(kinds));
	}
	if (fd < 0)
		return err_errno(e, errno, "cannot open %s", path);
	if (ioctl(fd, NS_GET_NSTYPE) != k->type)
		return err_set(e, EINVAL, "%s is not %s namespace", path, k->a);
	if (fstat(fd, &its) < 0 || stat(k->own, &own) < 0)
		return err_errno(e, errno, "cannot tell the namespace %s from the host's", path);
	if (its.st_ino == own.st_ino && its.st_dev == own.st_dev)
		return err_set(e, EINVAL, "%s is the host's: sharing the host's %s is not supported", path, k->what);
	*ret = steal_fd(&fd);
	return 0;
}
