// SPDX-License-Identifier: Apache-2.0
/* Id-mapped mounts (mount_setattr(2)): the mapping is that of a user namespace which nobody lives in. */
#include "agent-proto/agent/mounts.h"

#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/io.h"

/* The kernel takes a mapping in one write that is shorter than a page. */
#define MAX_TEXT 4096

static int write_map(const char *dir, const char *file, Husk__Agent__V1__IdMapping *const *v, size_t n)
{
	char text[MAX_TEXT], path[64];
	size_t len = 0;

	for (size_t i = 0; i < n; i++) {
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%" PRIu32 " %" PRIu32 " %" PRIu32 "\n",
					v[i]->container_id, v[i]->host_id, v[i]->size);
		if (len >= sizeof(text))
			return -E2BIG;
	}
	snprintf(path, sizeof(path), "%s/%s", dir, file);
	return io_write_str(AT_FDCWD, path, text);
}

/* "/proc/PID" of a child: not by the number that it has in this pid namespace, procfs is of another. */
static int proc_dir(int pidfd, char *dir, size_t size)
{
	_cleanup_fclose_ FILE *f = NULL;
	char path[48], line[128];
	int pid = 0;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", pidfd);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "Pid: %d", &pid) == 1)
			break;
	if (pid <= 0)
		return -ESRCH;
	snprintf(dir, size, "/proc/%d", pid);
	return 0;
}

static int fill_namespace(int pidfd, const Husk__Agent__V1__Mount *m)
{
	char dir[32], path[64];
	int rc = proc_dir(pidfd, dir, sizeof(dir)), fd;

	if (rc == 0)
		rc = write_map(dir, "uid_map", m->uid_mappings, m->n_uid_mappings);
	if (rc == 0)
		rc = write_map(dir, "gid_map", m->gid_mappings, m->n_gid_mappings);
	if (rc < 0)
		return rc;
	snprintf(path, sizeof(path), "%s/ns/user", dir);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* Descriptor of a user namespace or -errno. */
static int make_namespace(const Husk__Agent__V1__Mount *m)
{
	_cleanup_close_ int pidfd = -1;
	long pid = syscall(SYS_clone, CLONE_NEWUSER | CLONE_PIDFD | SIGCHLD, NULL, &pidfd, NULL, 0);
	int fd;

	if (pid == 0)
		for (;;)
			pause();
	if (pid < 0)
		return -errno;
	fd = fill_namespace(pidfd, m);
	kill((pid_t)pid, SIGKILL);
	waitpid((pid_t)pid, NULL, 0);
	return fd;
}

int idmap_apply(int tree, const Husk__Agent__V1__Mount *m, struct err *e)
{
	struct mount_attr a = { .attr_set = MOUNT_ATTR_IDMAP };
	unsigned at = AT_EMPTY_PATH | (m->id_map_recursive ? AT_RECURSIVE : 0u);
	_cleanup_close_ int ns = -1;

	if (!m->n_uid_mappings)
		return 0;
	ns = make_namespace(m);
	if (ns < 0)
		return err_errno(e, -ns, "id mapping");
	a.userns_fd = (uint64_t)ns;
	if (mount_setattr(tree, "", at, &a, sizeof(a)) < 0)
		return err_errno(e, errno, "id mapping of this file system");
	return 0;
}

int mounts_outside_make(struct mounts_outside *m, const char *shares_dir, const Husk__Agent__V1__Container *ct,
			struct err *e)
{
	const struct mount_env env = { .root = -1, .shares_dir = shares_dir, .cgroup = -1 };

	*m = (struct mounts_outside){ .n = 0 };
	m->trees = calloc(ct->n_mounts + 1, sizeof(*m->trees));
	if (!m->trees)
		return err_set(e, ENOMEM, "out of memory");
	for (; m->n < ct->n_mounts; m->n++) {
		const Husk__Agent__V1__Mount *mount = ct->mounts[m->n];
		_cleanup_close_ int tree = -1;
		int rc = 0;

		m->trees[m->n] = -1;
		if (!mount->n_uid_mappings || mount->flags & MS_REMOUNT || strcmp(mount->type, "bind") != 0)
			continue;
		tree = mount_make(&env, mount, mount->data, e);
		rc = tree < 0 ? tree : idmap_apply(tree, mount, e);
		if (rc < 0)
			return err_wrap(e, rc, "error mounting \"%s\" to rootfs at \"%s\": mounts[%zu]", mount->source,
					mount->destination, m->n);
		m->trees[m->n] = steal_fd(&tree);
	}
	return 0;
}

void mounts_outside_close(struct mounts_outside *m)
{
	for (size_t i = 0; i < m->n; i++)
		close_and_reset(&m->trees[i]);
	free(m->trees);
	*m = (struct mounts_outside){ .n = 0 };
}
