// SPDX-License-Identifier: Apache-2.0
#include "agent-proto/agent/tty.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <termios.h>
#include <unistd.h>

#include "agent-proto/agent/mounts.h"
#include "agent-proto/agent/resolve.h"
#include "lib/cleanup.h"

#ifndef TIOCGPTPEER
#define TIOCGPTPEER _IO('T', 0x41)
#endif

static int open_master(struct err *e)
{
	_cleanup_close_ int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	_cleanup_close_ int path = -1;
	_cleanup_close_ int fd = -1;
	struct statfs fs;
	struct stat st;

	if (root < 0)
		return err_errno(e, errno, "/");
	path = resolve_open(root, "/dev/pts/ptmx", O_PATH, false);
	if (path < 0)
		return err_errno(e, -path, "terminal: /dev/pts/ptmx");
	if (fstat(path, &st) < 0 || fstatfs(path, &fs) < 0)
		return err_errno(e, errno, "terminal: /dev/pts/ptmx");
	if (fs.f_type != DEVPTS_SUPER_MAGIC || !S_ISCHR(st.st_mode) ||
	    st.st_rdev != makedev(5, 2))
		return err_set(e, EINVAL, "terminal: /dev/pts is not a devpts");
	fd = resolve_open(root, "/dev/pts/ptmx", O_RDWR | O_NOCTTY, false);
	if (fd < 0)
		return err_errno(e, -fd, "terminal: /dev/pts/ptmx");
	/* Once more on what is open now: the path could have changed in between. */
	if (fstat(fd, &st) < 0 || fstatfs(fd, &fs) < 0 || fs.f_type != DEVPTS_SUPER_MAGIC ||
	    st.st_rdev != makedev(5, 2))
		return err_set(e, EINVAL, "terminal: /dev/pts is not a devpts");
	return steal_fd(&fd);
}

int tty_open(int *ret_master, int *ret_slave, struct err *e)
{
	_cleanup_close_ int master = open_master(e);
	int unlock = 0, slave;

	if (master < 0)
		return master;
	if (ioctl(master, TIOCSPTLCK, &unlock) < 0)
		return err_errno(e, errno, "terminal: unlock");
	slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0)
		return err_errno(e, errno, "terminal: slave");
	*ret_slave = slave;
	*ret_master = steal_fd(&master);
	return 0;
}

int tty_resize(int fd, uint32_t rows, uint32_t columns)
{
	struct winsize ws = { .ws_row = (unsigned short)min_t(uint32_t, rows, UINT16_MAX),
			      .ws_col = (unsigned short)min_t(uint32_t, columns, UINT16_MAX) };

	return ioctl(fd, TIOCSWINSZ, &ws) < 0 ? -errno : 0;
}

int tty_control(int slave, struct err *e)
{
	return ioctl(slave, TIOCSCTTY, 0) < 0 ? err_errno(e, errno, "controlling terminal") : 0;
}

int tty_console(int slave, struct err *e)
{
	_cleanup_close_ int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	_cleanup_close_ int target = -1;
	_cleanup_close_ int tree = -1;
	int rc;

	if (root < 0)
		return err_errno(e, errno, "/");
	rc = resolve_make(root, "/dev/console", RESOLVE_FILE, &target, e);
	if (rc < 0)
		return rc;
	tree = mount_clone(slave, false);
	rc = tree < 0 ? tree : mount_put(tree, target);
	return rc < 0 ? err_errno(e, -rc, "/dev/console") : 0;
}
