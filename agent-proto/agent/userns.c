// SPDX-License-Identifier: Apache-2.0
#include "agent-proto/agent/userns.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "agent-proto/proto/limits.h"
#include "lib/cleanup.h"
#include "lib/io.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif

uint32_t userns_outside(Husk__Agent__V1__IdMapping *const *m, size_t n, uint32_t id)
{
	if (!n)
		return id;
	for (size_t i = 0; i < n; i++)
		if (id >= m[i]->container_id && id - m[i]->container_id < m[i]->size)
			return m[i]->host_id + (id - m[i]->container_id);
	return UINT32_MAX;
}

/* The kernel takes the whole map in one write(2). */
static int write_map(pid_t pid, const char *name, Husk__Agent__V1__IdMapping *const *m, size_t n,
		     struct err *e)
{
	char path[64], text[AGENT_MAX_ID_MAPPINGS * 36];
	size_t len = 0;
	int rc;

	for (size_t i = 0; i < n; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%u %u %u\n",
					m[i]->container_id, m[i]->host_id, m[i]->size);
	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	rc = io_write_str(AT_FDCWD, path, text);
	return rc < 0 ? err_errno(e, -rc, "user namespace: %s", name) : 0;
}

int userns_map(pid_t pid, const Husk__Agent__V1__Container *ct, struct err *e)
{
	int rc = write_map(pid, "uid_map", ct->uid_mappings, ct->n_uid_mappings, e);

	return rc < 0 ? rc : write_map(pid, "gid_map", ct->gid_mappings, ct->n_gid_mappings, e);
}

static bool may_write_cgroup(const Husk__Agent__V1__Container *ct)
{
	bool own = false;

	for (size_t i = 0; i < ct->n_new_namespaces; i++)
		own |= ct->new_namespaces[i] == HUSK__AGENT__V1__NAMESPACE__NS_CGROUP;
	for (size_t i = 0; own && i < ct->n_mounts; i++)
		if (strncmp(ct->mounts[i]->type, "cgroup", 6) == 0 &&
		    !(ct->mounts[i]->flags & MS_RDONLY))
			return true;
	return false;
}

int userns_own_cgroup(int fd, const Husk__Agent__V1__Container *ct, struct err *e)
{
	/* Those that the kernel names in /sys/kernel/cgroup/delegate; "": the folder itself. */
	static const char *const files[] = { "",
					     "cgroup.procs",
					     "cgroup.threads",
					     "cgroup.subtree_control",
					     "memory.oom.group",
					     "memory.reclaim" };
	const Husk__Agent__V1__User *user = ct->process->user;
	uint32_t uid = userns_outside(ct->uid_mappings, ct->n_uid_mappings, user ? user->uid : 0);

	/* The agent's already, or nobody's. */
	if (uid == 0 || uid == UINT32_MAX || !may_write_cgroup(ct))
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		if (fchownat(fd, files[i], uid, (gid_t)-1, *files[i] ? 0 : AT_EMPTY_PATH) < 0 &&
		    errno != ENOENT)
			return err_errno(e, errno, "cgroup: owner of %s", files[i]);
	return 0;
}

int userns_become_root(struct err *e)
{
	/* The raw calls: glibc's tell other threads, of which there are none. */
	if (syscall(SYS_setgroups, 0, NULL) < 0 || syscall(SYS_setresgid, 0, 0, 0) < 0 ||
	    syscall(SYS_setresuid, 0, 0, 0) < 0)
		return err_errno(e, errno, "user namespace: root");
	return 0;
}

int userns_new_time(const Husk__Agent__V1__Container *ct, struct err *e)
{
	if (unshare(CLONE_NEWTIME) < 0)
		return err_errno(e, errno, "time namespace");
	for (size_t i = 0; i < ct->n_time_offsets; i++) {
		const Husk__Agent__V1__TimeOffset *o = ct->time_offsets[i];
		char text[64];
		int rc;

		snprintf(text, sizeof(text), "%u %lld %u\n", o->clock, (long long)o->secs,
			 o->nanosecs);
		rc = io_write_str(AT_FDCWD, "/proc/self/timens_offsets", text);
		if (rc < 0)
			return err_errno(e, -rc, "time namespace: offset of %s",
					 o->clock == CLOCK_MONOTONIC ? "monotonic" : "boottime");
	}
	return 0;
}

int userns_join_time(pid_t pid, struct err *e)
{
	_cleanup_close_ int fd = -1;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/ns/time_for_children", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWTIME) < 0)
		return err_errno(e, errno, "time namespace");
	return 0;
}
