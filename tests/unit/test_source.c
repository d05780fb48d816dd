// SPDX-License-Identifier: Apache-2.0
/* What the sources of bind mounts are taken for, and how the host's mounts are read. */
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#include "runtime/container/source.h"
#include "tests/unit/check.h"

#define EXT4  EXT4_SUPER_MAGIC
#define DIR_  S_IFDIR
#define REG   S_IFREG

static void each_source_has_its_place(void **state)
{
	static const struct {
		const char *real;
		long fs;
		mode_t mode;
		unsigned major, minor;
		const char *dst;
		int rc;
		const char *own, *sub, *text;
	} rows[] = {
		{ "/srv/data", EXT4, DIR_, 0, 0, "/d", 0, NULL, NULL, NULL },
		{ "/srv/file", EXT4, REG, 0, 0, "/d", 0, NULL, NULL, NULL },
		{ "/tmp/x", TMPFS_MAGIC, DIR_, 0, 0, "/d", 0, NULL, NULL, NULL },
		{ "/device", EXT4, DIR_, 0, 0, "/d", 0, NULL, NULL, NULL },
		{ "/srv/p", EXT4, S_IFIFO, 0, 0, "/d", -EINVAL, NULL, NULL, "/srv/p is a FIFO, which a virtual machine" },
		{ "/dev/vda", TMPFS_MAGIC, S_IFBLK, 254, 0, "/d", -EINVAL, NULL, NULL, "/dev/vda is a device of the host" },
		{ "/dev/kvm", TMPFS_MAGIC, S_IFCHR, 10, 232, "/d", -EINVAL, NULL, NULL, "is a device of the host" },
		{ "/dev/null", TMPFS_MAGIC, S_IFCHR, 1, 3, "/d", 1, "dev", "null", NULL },
		{ "/srv/null", EXT4, S_IFCHR, 1, 3, "/d", 1, "dev", "null", NULL },
		{ "/dev/mem", TMPFS_MAGIC, S_IFCHR, 1, 1, "/d", -EINVAL, NULL, NULL, "is a device of the host" },
		{ "/dev/sda", TMPFS_MAGIC, S_IFBLK, 1, 3, "/d", -EINVAL, NULL, NULL, "is a device of the host" },
		{ "/dev/net/tun", TMPFS_MAGIC, S_IFCHR, 10, 200, "/d", 1, "dev", "net/tun", NULL },
		{ "/dev", TMPFS_MAGIC, DIR_, 0, 0, "/d", 1, "dev", "", NULL },
		{ "/dev/snd", TMPFS_MAGIC, DIR_, 0, 0, "/d", -EINVAL, NULL, NULL, "/dev/snd holds devices of the host" },
		{ "/dev/shm", TMPFS_MAGIC, DIR_, 0, 0, "/d", 1, "tmpfs", "", NULL },
		{ "/dev/shm/mine", TMPFS_MAGIC, DIR_, 0, 0, "/d", 0, NULL, NULL, NULL },
		{ "/var/lib/x/shm", TMPFS_MAGIC, DIR_, 0, 0, "/dev/shm//", 1, "tmpfs", "", NULL },
		{ "/var/lib/x/shm", EXT4, DIR_, 0, 0, "/dev/shm", 0, NULL, NULL, NULL },
		{ "/var/lib/x/shm", TMPFS_MAGIC, DIR_, 0, 0, "/dev/shm/x", 0, NULL, NULL, NULL },
		{ "/proc", PROC_SUPER_MAGIC, DIR_, 0, 0, "/d", 1, "proc", "", NULL },
		{ "/proc/sys/net", PROC_SUPER_MAGIC, DIR_, 0, 0, "/d", 1, "proc", "sys/net", NULL },
		{ "/proc/cpuinfo", PROC_SUPER_MAGIC, REG, 0, 0, "/d", 1, "proc", "cpuinfo", NULL },
		{ "/proc/1/ns", PROC_SUPER_MAGIC, DIR_, 0, 0, "/d", -EINVAL, NULL, NULL, "belongs to the host's kernel" },
		{ "/mnt/proc", PROC_SUPER_MAGIC, DIR_, 0, 0, "/d", -EINVAL, NULL, NULL, "belongs to the host's kernel" },
		{ "net:[4026531840]", NSFS_MAGIC, REG, 0, 0, "/d", -EINVAL, NULL, NULL, "belongs to the host's kernel" },
		{ "/sys", SYSFS_MAGIC, DIR_, 0, 0, "/d", 1, "sysfs", "", NULL },
		{ "/sys/class/net", SYSFS_MAGIC, DIR_, 0, 0, "/d", 1, "sysfs", "class/net", NULL },
		{ "/sys/fs/cgroup", CGROUP2_SUPER_MAGIC, DIR_, 0, 0, "/d", 1, "cgroup", "", NULL },
		{ "/sys/fs/cgroup", TMPFS_MAGIC, DIR_, 0, 0, "/d", 1, "cgroup", "", NULL },
		{ "/sys/fs/cgroup/x", CGROUP2_SUPER_MAGIC, DIR_, 0, 0, "/d", -EINVAL, NULL, NULL, "belongs to the host's" },
		{ "/dev/pts", DEVPTS_SUPER_MAGIC, DIR_, 0, 0, "/d", 1, "devpts", "", NULL },
		{ "/dev/pts/0", DEVPTS_SUPER_MAGIC, S_IFCHR, 136, 0, "/d", -EINVAL, NULL, NULL, "belongs to the host's" },
		{ "/sys/kernel/debug/x", DEBUGFS_MAGIC, DIR_, 0, 0, "/d", 1, "debugfs", "x", NULL },
		{ "/sys/firmware/efi/efivars", EFIVARFS_MAGIC, DIR_, 0, 0, "/d", -EINVAL, NULL, NULL, "belongs to the host's" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct stat st = { .st_mode = rows[i].mode, .st_rdev = makedev(rows[i].major, rows[i].minor) };
		struct source s = { .fd = -1, .data = "mode=1777" };
		struct err e = ERR_INIT;
		int rc = source_decide(&s, rows[i].real, &st, rows[i].fs, rows[i].dst, &e);

		if (rc != rows[i].rc)
			fail_msg("%s: %d, %s", rows[i].real, rc, e.msg);
		if (rc < 0)
			check_row(rows[i].real, strstr(e.msg, rows[i].text) != NULL);
		if (rc == 0)
			check_row(rows[i].real, s.pack.type == NULL);
		if (rc > 0) {
			check_row(rows[i].real, strcmp(s.pack.type, "own") == 0);
			check_row(rows[i].real, strcmp(s.pack.name, rows[i].own) == 0);
			check_row(rows[i].real, strcmp(s.pack.subpath, rows[i].sub) == 0);
			check_row(rows[i].real, !strcmp(rows[i].own, "tmpfs") == !strcmp(s.pack.data, "mode=1777"));
		}
	}
}

/* Whether or not somebody listens, and without him noticing. */
static void sockets_are_told_apart(void **state)
{
	static const struct {
		const char *why;
		int type;
		bool listens;
	} rows[] = {
		{ "a server", SOCK_STREAM, true },
		{ "nobody listens", SOCK_STREAM, false },
		{ "datagrams", SOCK_DGRAM, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct sockaddr_un at = { .sun_family = AF_UNIX };
		struct oci_mount m = { .source = at.sun_path, .destination = "/s", .bind = true };
		struct mountinfo mi = { .n = 0 };
		struct err e = ERR_INIT;
		struct source s;
		int fd = socket(AF_UNIX, rows[i].type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

		snprintf(at.sun_path, sizeof(at.sun_path), "/tmp/husk-source-%d-%zu", getpid(), i);
		assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
		assert_int_equal(chmod(at.sun_path, 0640), 0);
		if (rows[i].listens)
			assert_int_equal(listen(fd, 1), 0);
		check_row(rows[i].why, source_open(&s, AT_FDCWD, &m, &mi, &e) == 0);
		check_row(rows[i].why, s.sock >= 0 && s.fd < 0 && strcmp(s.pack.type, "socket") == 0 &&
					       s.pack.sock.mode == 0640 && s.pack.sock.uid == (uint32_t)geteuid());
		check_row(rows[i].why, s.pack.sock.datagram == (rows[i].type == SOCK_DGRAM));
		/* Nobody was connected to. */
		if (rows[i].listens)
			check_row(rows[i].why, accept(fd, NULL, NULL) < 0 && errno == EAGAIN);
		source_done(&s);
		close(fd);
		unlink(at.sun_path);
	}
}

static void mounts_are_read(void **state)
{
	static const char text[] =
		"22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n"
		"36 22 0:32 / /a ro,nosuid,nodev,noexec,noatime master:2 propagate_from:3 - tmpfs tmpfs rw,size=64k\n"
		"37 36 0:33 /sub\\040dir /a/b\\012\\134\\054c rw,nodiratime,nosymfollow - fuse.x a\\040b rw\n"
		"x38 36 0:34 / /a/y rw - proc proc rw\n"
		"39 36 0:34 / relative rw - proc proc rw\n"
		"40 36 0:34 / /a/z rw\n"
		"41 36 0:34 / /a/\\00x\\9 rw -\n"
		"42 36 0:34 / /ab rw - proc proc rw";
	struct mountinfo m;

	(void)state;
	assert_int_equal(mountinfo_parse(&m, strdup(text)), 0);
	assert_int_equal(m.n, 4);
	assert_int_equal(m.rows[0].flags, MS_RELATIME);
	assert_string_equal(m.rows[0].type, "ext4");
	assert_int_equal(m.rows[1].flags, MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME);
	assert_string_equal(m.rows[1].type, "tmpfs");
	assert_string_equal(m.rows[2].root, "/sub dir");
	assert_string_equal(m.rows[2].at, "/a/b\n\\,c");
	assert_int_equal(m.rows[2].flags, MS_NODIRATIME | 256);
	assert_ptr_equal(mountinfo_by_id(&m, 37), &m.rows[2]);
	assert_null(mountinfo_by_id(&m, 38));
	assert_string_equal(mountinfo_below(&m.rows[2], "/a"), "b\n\\,c");
	assert_string_equal(mountinfo_below(&m.rows[2], "/a/"), "b\n\\,c");
	assert_string_equal(mountinfo_below(&m.rows[1], "/"), "a");
	assert_null(mountinfo_below(&m.rows[1], "/a"));
	assert_null(mountinfo_below(&m.rows[0], "/"));
	assert_null(mountinfo_below(&m.rows[3], "/a"));
	mountinfo_free(&m);
	assert_int_equal(mountinfo_load(&m, NULL), 0);
	assert_true(m.n > 0);
	mountinfo_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_source_has_its_place),
		cmocka_unit_test(sockets_are_told_apart),
		cmocka_unit_test(mounts_are_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
