// SPDX-License-Identifier: Apache-2.0
#include "runtime/container/source.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "agent-proto/proto/limits.h"
#include "lib/cleanup.h"
#include "lib/mounttree.h"

#ifndef MQUEUE_MAGIC
#define MQUEUE_MAGIC 0x19800202
#endif
#ifndef MS_NOSYMFOLLOW
#define MS_NOSYMFOLLOW 256
#endif
#ifndef ST_NOSYMFOLLOW
#define ST_NOSYMFOLLOW 0x2000
#endif
/* Of statfs(2), where they are the bits of mount(2). */
#define SAME_FLAGS (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME | MS_NODIRATIME)

/* File systems that show a kernel rather than files. */
static const struct {
	long magic;
	const char *type; /* NULL: the guest has nothing like it */
	const char *data;
	bool sub; /* folders in it may be asked for too */
} kernel_fs[] = {
	{ PROC_SUPER_MAGIC, "proc", "", true },
	{ SYSFS_MAGIC, "sysfs", "", true },
	{ CGROUP2_SUPER_MAGIC, "cgroup", "", false },
	{ CGROUP_SUPER_MAGIC, "cgroup", "", false },
	{ DEVPTS_SUPER_MAGIC, "devpts", "ptmxmode=0666,mode=0620", false },
	{ MQUEUE_MAGIC, "mqueue", "", false },
	{ HUGETLBFS_MAGIC, "hugetlbfs", "", false },
	{ BPF_FS_MAGIC, "bpf", "", false },
	{ DEBUGFS_MAGIC, "debugfs", "", true },
	{ TRACEFS_MAGIC, "tracefs", "", true },
	{ SECURITYFS_MAGIC, "securityfs", "", true },
	{ NSFS_MAGIC, NULL, NULL, false },
	{ EFIVARFS_MAGIC, NULL, NULL, false },
	{ PSTOREFS_MAGIC, NULL, NULL, false },
	{ BINFMTFS_MAGIC, NULL, NULL, false },
	{ SELINUX_MAGIC, NULL, NULL, false },
	{ 0x62656570 /* configfs */, NULL, NULL, false },
	{ 0x65735543 /* fusectl */, NULL, NULL, false },
};

/* Devices without anything of the host behind them, by the name that the guest's own has. */
static const struct {
	unsigned major, minor;
	const char *name;
} own_devices[] = {
	{ 1, 3, "null" }, { 1, 5, "zero" }, { 1, 7, "full" },	  { 1, 8, "random" },
	{ 1, 9, "urandom" }, { 5, 0, "tty" },  { 10, 200, "net/tun" }, { 10, 229, "fuse" },
};

static int own(struct source *s, const char *type, const char *data, const char *sub, struct err *e)
{
	if ((size_t)snprintf(s->sub, sizeof(s->sub), "%s", sub) >= sizeof(s->sub))
		return err_set(e, ENAMETOOLONG, "path too long");
	if (data != s->data)
		snprintf(s->data, sizeof(s->data), "%s", data);
	s->pack.type = "own";
	s->pack.name = type;
	s->pack.subpath = s->sub;
	s->pack.data = s->data;
	return 1;
}

static int decide_special(struct source *s, const char *real, const struct stat *st, struct err *e)
{
	const char *what = S_ISFIFO(st->st_mode) ? "FIFO" : "device of the host";

	if (S_ISCHR(st->st_mode))
		for (size_t i = 0; i < ARRAY_SIZE(own_devices); i++)
			if (st->st_rdev == makedev(own_devices[i].major, own_devices[i].minor))
				return own(s, "dev", "", own_devices[i].name, e);
	if (S_ISSOCK(st->st_mode)) {
		s->pack.type = "socket";
		s->pack.sock = (struct oci_pack_socket){ .mode = st->st_mode & 07777, .uid = st->st_uid, .gid = st->st_gid };
		return 1;
	}
	return err_set(e, EINVAL, "%s is a %s, which a virtual machine cannot share", real, what);
}

/* Another process's view of the host, or husk's own. */
static bool names_a_process(const char *sub)
{
	return (*sub >= '0' && *sub <= '9') || strncmp(sub, "self", 4) == 0 ||
	       strncmp(sub, "thread-self", 11) == 0;
}

/* @real is "/proc/sys" or such; where in the file system that is, when it is mounted at the usual place. */
static const char *sub_of(const char *type, const char *real)
{
	static const struct {
		const char *type, *at;
	} usual[] = {
		{ "proc", "/proc" },
		{ "sysfs", "/sys" },
		{ "debugfs", "/sys/kernel/debug" },
		{ "tracefs", "/sys/kernel/tracing" },
		{ "securityfs", "/sys/kernel/security" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(usual); i++) {
		size_t len = strlen(usual[i].at);

		if (strcmp(type, usual[i].type) == 0 && strncmp(real, usual[i].at, len) == 0 &&
		    (real[len] == '/' || !real[len]))
			return real[len] ? real + len + 1 : "";
	}
	return NULL;
}

static int decide_kernel_fs(struct source *s, size_t i, const char *real, const struct stat *st, struct err *e)
{
	const char *type = kernel_fs[i].type, *sub = type ? sub_of(type, real) : NULL;

	if (type && strcmp(type, "cgroup") == 0 &&
	    (strcmp(real, "/sys/fs/cgroup") == 0 || strncmp(real, "/sys/fs/cgroup/", 15) != 0))
		return own(s, type, "", "", e);
	if (type && !kernel_fs[i].sub && strcmp(type, "cgroup") != 0 && S_ISDIR(st->st_mode))
		return own(s, type, kernel_fs[i].data, "", e);
	if (sub && !(strcmp(type, "proc") == 0 && names_a_process(sub)))
		return own(s, type, "", sub, e);
	return err_set(e, EINVAL, "%s belongs to the host's kernel, which a virtual machine cannot share", real);
}

static bool is_path(const char *path, const char *want)
{
	size_t len = strlen(want);

	return strncmp(path, want, len) == 0 && path[len + strspn(path + len, "/")] == 0;
}

int source_decide(struct source *s, const char *real, const struct stat *st, long fs_type,
		  const char *destination, struct err *e)
{
	for (size_t i = 0; i < ARRAY_SIZE(kernel_fs); i++)
		if (fs_type == kernel_fs[i].magic)
			return decide_kernel_fs(s, i, real, st, e);
	if (!S_ISDIR(st->st_mode))
		return S_ISREG(st->st_mode) ? 0 : decide_special(s, real, st, e);
	if (strcmp(real, "/dev") == 0)
		return own(s, "dev", "", "", e);
	/* With version 1 a tmpfs holds the hierarchies. */
	if (strcmp(real, "/sys/fs/cgroup") == 0)
		return own(s, "cgroup", "", "", e);
	if (strcmp(real, "/dev/shm") == 0 || (fs_type == TMPFS_MAGIC && is_path(destination, "/dev/shm")))
		return own(s, "tmpfs", s->data, "", e);
	if (strncmp(real, "/dev/", 5) == 0 && strncmp(real, "/dev/shm/", 9) != 0)
		return err_set(e, EINVAL, "%s holds devices of the host, which a virtual machine cannot share", real);
	return 0;
}

static uint64_t flags_of(const struct statfs *fs)
{
	uint64_t f = (uint64_t)fs->f_flags;

	return (f & SAME_FLAGS) | (f & ST_NOSYMFOLLOW ? MS_NOSYMFOLLOW : 0);
}

/* Volumes that an orchestrator changes by exchanging a link: the next look must see it. */
static bool changes_at_once(const char *real)
{
	static const char *const kinds[] = { "configmap", "secret", "projected", "downward-api" };

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		char part[64];

		snprintf(part, sizeof(part), "/kubernetes.io~%s/", kinds[i]);
		if (strstr(real, part))
			return true;
	}
	return false;
}

/* What is mounted below, so that the guest mounts it too, with its own flags. Else it would do so when somebody
 * looks there, with the flags of the mount above. */
static int find_below(struct source *s, const char *real, struct mountinfo *mi, struct err *e)
{
	struct oci_pack_submount *list;
	int rc = mi->n ? 0 : mountinfo_load(mi, e);

	if (rc < 0)
		return rc;
	list = calloc(AGENT_MAX_SUBMOUNTS, sizeof(*list));
	if (!list)
		return err_set(e, ENOMEM, "out of memory");
	s->pack.below = list;
	for (size_t i = 0; i < mi->n && s->pack.n_below < AGENT_MAX_SUBMOUNTS; i++) {
		const char *below = mountinfo_below(&mi->rows[i], real);

		if (!below || strlen(below) > AGENT_MAX_STRING || mountinfo_is_kernel_fs(mi->rows[i].type))
			continue;
		list[s->pack.n_below].path = below;
		list[s->pack.n_below++].flags = mi->rows[i].flags & (SAME_FLAGS | MS_NOSYMFOLLOW);
	}
	return 0;
}

/* An O_PATH descriptor of what is there, and where that is. */
static int look(int bundle, const char *path, char *real, size_t size, struct err *e)
{
	/* Not open(2): this makes what is mounted on demand appear. */
	_cleanup_close_ int fd = open_tree(bundle, path, OPEN_TREE_CLOEXEC);
	char link[40];
	ssize_t n;

	if (fd < 0 && errno == ENOENT)
		return err_set(e, ENOENT, "stat %s: no such file or directory", path);
	if (fd < 0)
		return err_errno(e, errno, "stat %s", path);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, real, size - 1);
	if (n < 0)
		return err_errno(e, errno, "%s", path);
	real[n] = 0;
	return steal_fd(&fd);
}

void source_share(struct source *s, int fd)
{
	s->fd = fd;
	s->pack.type = "bind";
	s->pack.is_file = !s->is_dir;
}

static int share(struct source *s, int fd, const char *path, const char *real, const struct oci_mount *m,
		 struct err *e)
{
	bool ro = (m->flags & MS_RDONLY) && !(m->rec_clear & MOUNT_ATTR_RDONLY);
	bool all_ro = m->rec_set & MOUNT_ATTR_RDONLY;
	int rc = mounttree_open(fd, "",
				(m->recursive ? MOUNTTREE_ALL : 0u) | (ro ? MOUNTTREE_READONLY : 0u) |
					(all_ro ? MOUNTTREE_READONLY_ALL : 0u),
				&s->fd, NULL, e);

	if (rc == -EINVAL && !m->recursive)
		return err_set(e, EINVAL, "%s has mounts below it that this user may not leave out; rbind can", path);
	if (rc < 0)
		return rc;
	s->readonly = all_ro || (ro && !s->pack.n_below);
	s->nocache = changes_at_once(real);
	source_share(s, s->fd);
	return 0;
}

/* A folder without mounts below it is one share for all containers of a machine that have it, and so is a tmpfs that the
 * guest has in the place of the host's: sockets, named pipes, mapped pages and watches in it are between those containers
 * then, as they are on the host. */
static int find_common(struct source *s, int fd, const struct oci_mount *m, struct err *e)
{
	bool tmpfs = s->pack.type && strcmp(s->pack.type, "own") == 0 && strcmp(s->pack.name, "tmpfs") == 0;
	bool folder = s->fd >= 0 && s->is_dir && !s->pack.n_below;
	unsigned long long mnt;
	struct statx st;

	if (!(tmpfs || folder) || m->n_uid_mappings || m->n_gid_mappings || m->flags & MS_REMOUNT)
		return 0;
	if (statx(fd, "", AT_EMPTY_PATH, STATX_INO | STATX_MNT_ID, &st) < 0)
		return err_errno(e, errno, "stat %s", m->source);
	if (!(st.stx_mask & STATX_MNT_ID) || st.stx_mnt_id >= UINT32_MAX)
		return 0;
	mnt = tmpfs ? 0 : st.stx_mnt_id;
	s->common = tmpfs ? 0 : (uint32_t)mnt + 1;
	snprintf(s->common_key, sizeof(s->common_key), "%s%u:%u:%llu:%llu:%d%d", tmpfs ? "tmpfs:" : "", st.stx_dev_major,
		 st.stx_dev_minor, (unsigned long long)st.stx_ino, mnt, s->readonly, s->nocache);
	s->pack.common = s->common_key;
	return 0;
}

void source_alone(struct source *s)
{
	s->common = 0;
	s->pack.common = NULL;
}

/* Without a trace on the other side: such a connection is no more than an address kept. */
static bool is_datagram(int fd)
{
	_cleanup_close_ int probe = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un at = { .sun_family = AF_UNIX };

	snprintf(at.sun_path, sizeof(at.sun_path), "/proc/self/fd/%d", fd);
	return probe >= 0 && connect(probe, (struct sockaddr *)&at, sizeof(at)) == 0;
}

static void begin(struct source *s, const struct stat *st, const struct statfs *fs)
{
	*s = (struct source){ .fd = -1, .sock = -1, .is_dir = S_ISDIR(st->st_mode) };
	s->pack.flags = flags_of(fs);
	/* For what becomes a tmpfs: as large as the host's. */
	if (fs->f_blocks)
		snprintf(s->data, sizeof(s->data), "mode=1777,size=%llu",
			 (unsigned long long)fs->f_blocks * (unsigned long long)fs->f_bsize);
	else
		snprintf(s->data, sizeof(s->data), "mode=1777");
}

int source_found(struct source *s, const char *real, const struct stat *st, const struct statfs *fs, const char *destination,
		 struct err *e)
{
	begin(s, st, fs);
	return source_decide(s, real, st, (long)fs->f_type, destination, e);
}

/* 1: the guest's own or a socket, 0: a share. *ret_fd is the caller's. */
static int look_and_decide(struct source *s, int bundle, const struct oci_mount *m, char *real, size_t size, int *ret_fd,
			   struct err *e)
{
	int fd = look(bundle, m->source, real, size, e);
	struct statfs fs;
	struct stat st;

	*s = (struct source){ .fd = -1, .sock = -1 };
	*ret_fd = fd;
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0 || fstatfs(fd, &fs) < 0)
		return err_errno(e, errno, "stat %s", m->source);
	begin(s, &st, &fs);
	/* What disks_open() has found. */
	if (S_ISBLK(st.st_mode) && m->block.is &&
	    st.st_rdev == makedev((unsigned)m->block.major, (unsigned)m->block.minor))
		return own(s, "dev", "", "", e);
	return m->flags & MS_REMOUNT ? 0 : source_decide(s, real, &st, (long)fs.f_type, m->destination, e);
}

int source_look(int bundle, const struct oci_mount *m, struct err *e)
{
	_cleanup_close_ int fd = -1;
	struct source s;
	char real[4096];
	int rc = look_and_decide(&s, bundle, m, real, sizeof(real), &fd, e);

	return rc < 0 ? rc : !rc;
}

int source_open(struct source *s, int bundle, const struct oci_mount *m, struct mountinfo *mi,
		struct err *e)
{
	_cleanup_close_ int fd = -1;
	char real[4096];
	int rc = look_and_decide(s, bundle, m, real, sizeof(real), &fd, e);

	if (rc > 0 && strcmp(s->pack.type, "socket") == 0) {
		s->pack.sock.datagram = is_datagram(fd);
		s->sock = steal_fd(&fd);
	}
	if (rc != 0)
		return rc < 0 || s->sock >= 0 ? min_t(int, rc, 0) : find_common(s, fd, m, e);
	if (m->recursive && s->is_dir)
		rc = find_below(s, real, mi, e);
	if (rc == 0)
		rc = share(s, fd, m->source, real, m, e);
	return rc < 0 ? rc : find_common(s, fd, m, e);
}

int source_open_root(struct source *s, int bundle, const char *path, bool readonly,
		     struct mountinfo *mi, struct err *e)
{
	const struct oci_mount all = { .recursive = true };
	char real[4096];
	_cleanup_close_ int fd = look(bundle, path, real, sizeof(real), e);
	struct statfs fs;

	*s = (struct source){ .fd = -1, .sock = -1, .is_dir = true };
	if (fd < 0)
		return fd;
	if (fstatfs(fd, &fs) < 0)
		return err_errno(e, errno, "stat %s", path);
	s->pack.flags = flags_of(&fs);
	/* Only of a read-only root do those below look different. */
	if (readonly) {
		int rc = find_below(s, real, mi, e);

		if (rc < 0)
			return rc;
	}
	return share(s, fd, path, real, &all, e);
}

void source_done(struct source *s)
{
	close_and_reset(&s->fd);
	close_and_reset(&s->sock);
	free((void *)(uintptr_t)s->pack.below);
	s->pack.below = NULL;
}
