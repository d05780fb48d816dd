// SPDX-License-Identifier: Apache-2.0
#include "agent-proto/agent/boot.h"

#include <endian.h>
#include <fcntl.h>
#include <linux/input.h>
#include <linux/random.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <linux/vm_sockets.h> /* wants sys/socket.h before it */

#include "agent-proto/agent/mounts.h"
#include "agent-proto/proto/limits.h"
#include "lib/cleanup.h"
#include "lib/io.h"

#define SHARES_TAG "husk"
#define BACKLOG    1024 /* each exec takes up to four connections, and hundreds may be begun at a time */
#define MAX_FILES  1048576 /* what fs.nr_open is then */
#define SECURE (MS_NOSUID | MS_NODEV | MS_NOEXEC)

/* sysfs, devpts, mqueue: each container has its own, the agent needs none (but see boot_sysfs()). */
static const struct {
	const char *type, *dir;
	unsigned long flags;
	bool optional; /* what is there already will do */
} world[] = {
	{ "devtmpfs", "/dev", MS_NOSUID | MS_NOEXEC, true },
	{ "proc", "/proc", SECURE, false },
	{ "cgroup2", BOOT_CGROUP, SECURE, false },
};

static const char *const folders[] = {
	"/proc", "/dev", "/run", BOOT_SHARES, BOOT_ROOTFS, BOOT_CGROUP, BOOT_FUSE,
	BOOT_SYS, BOOT_IMAGE, BOOT_SOCKETS, BOOT_COMMON,
};

/* The kernel refuses to pivot from its first root. A bind mount of it, moved over it, will do; it is
 * read-only, so that nothing can ever write to the agent's own program. */
static int cover_root(struct err *e)
{
	if (mount("/", BOOT_ROOTFS, NULL, MS_BIND, NULL) < 0 ||
	    mount(NULL, BOOT_ROOTFS, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) < 0 ||
	    chdir(BOOT_ROOTFS) < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 ||
	    chdir("/") < 0)
		return err_errno(e, errno, "root");
	return 0;
}

int boot_world(struct err *e)
{
	const struct rlimit files = { .rlim_cur = MAX_FILES, .rlim_max = MAX_FILES };
	const struct rlimit none = { .rlim_cur = RLIM_INFINITY, .rlim_max = RLIM_INFINITY };
	int rc;

	umask(022);
	/* For the agent; what a container asks for beyond it is raised for its process (limits.h). */
	if (setrlimit(RLIMIT_NOFILE, &files) < 0)
		return err_errno(e, errno, "RLIMIT_NOFILE");
	/* By default the half of what the memory of the start would do for; containers inherit them. */
	if (setrlimit(RLIMIT_NPROC, &none) < 0 || setrlimit(RLIMIT_SIGPENDING, &none) < 0)
		return err_errno(e, errno, "RLIMIT_NPROC");
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++)
		if (mkdir(folders[i], 0755) < 0 && errno != EEXIST)
			return err_errno(e, errno, "%s", folders[i]);
	rc = cover_root(e);
	for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(world); i++)
		if (mount(world[i].type, world[i].dir, world[i].type, world[i].flags, NULL) < 0 &&
		    !world[i].optional)
			rc = err_errno(e, errno, "mount %s", world[i].dir);
	return rc;
}

void boot_memory(void)
{
	io_write_str(AT_FDCWD, "/proc/sys/vm/percpu_pagelist_high_fraction", "128");
}

static char waiting[64]; /* the connection's count of requests under way */

int boot_shares(struct err *e)
{
	struct stat st;

	if (mount(SHARES_TAG, BOOT_SHARES, "virtiofs", 0, NULL) < 0)
		return err_errno(e, errno, "virtio-fs device \"" SHARES_TAG "\"");
	if (mount("fusectl", BOOT_FUSE, "fusectl", SECURE, NULL) == 0 && stat(BOOT_SHARES, &st) == 0)
		snprintf(waiting, sizeof(waiting), BOOT_FUSE "/%u/waiting", minor(st.st_dev));
	return 0;
}

int boot_sysfs(struct err *e)
{
	return mount("sysfs", BOOT_SYS, "sysfs", SECURE, NULL) < 0 ? err_errno(e, errno, "sysfs") : 0;
}

void boot_find_devices(void)
{
	io_write_str(AT_FDCWD, BOOT_SYS "/bus/pci/rescan", "1");
}

void boot_remove_device(const char *interface)
{
	char path[128];

	/* The virtio device's PCI device. */
	snprintf(path, sizeof(path), BOOT_SYS "/class/net/%s/device/../remove", interface);
	io_write_str(AT_FDCWD, path, "1");
}

void boot_remove_disk(const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), BOOT_SYS "/class/block/%s/device/../remove", name);
	io_write_str(AT_FDCWD, path, "1");
}

/* For names and places to mount on, not for data. */
static int small_tmpfs(const char *dir, const char *options, struct err *e)
{
	return mount("tmpfs", dir, "tmpfs", SECURE, options) < 0 ? err_errno(e, errno, "tmpfs") : 0;
}

int boot_sockets(struct err *e)
{
	/* Containers mount them from inside of their user namespaces; once they run they do not see the folder. */
	return small_tmpfs(BOOT_SOCKETS, "size=64k,mode=0711", e);
}

int boot_common(struct err *e)
{
	return small_tmpfs(BOOT_COMMON, "size=64k,mode=0700", e);
}

bool boot_shares_quiet(void)
{
	_cleanup_close_ int fd = waiting[0] ? open(waiting, O_RDONLY | O_CLOEXEC) : -1;
	char text[16];
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text));

	/* A kernel without the count: as if, at once. */
	return n < 1 || text[0] == '0';
}

int boot_loopback(struct err *e)
{
	struct ifreq ifr = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &ifr) < 0)
		return err_errno(e, errno, "loopback interface");
	return 0;
}

int boot_listen(unsigned port, struct err *e)
{
	struct sockaddr_vm at = { .svm_family = AF_VSOCK,
				  .svm_cid = VMADDR_CID_ANY,
				  .svm_port = port };
	_cleanup_close_ int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, BACKLOG) < 0)
		return err_errno(e, errno, "vsock port %u", port);
	return steal_fd(&fd);
}

int boot_ready(struct err *e)
{
	struct sockaddr_vm at = { .svm_family = AF_VSOCK,
				  .svm_cid = VMADDR_CID_HOST,
				  .svm_port = AGENT_PORT_READY };
	uint32_t hail[2] = { htole32(AGENT_VERSION), 0 };
	/* Stays open: its end tells the host of the agent's. */
	int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0), rc;

	if (fd < 0 || connect(fd, (struct sockaddr *)&at, sizeof(at)) < 0) {
		rc = err_errno(e, errno, "vsock port %u of the host", AGENT_PORT_READY);
		close_and_reset(&fd);
		return rc;
	}
	rc = io_write_full(fd, hail, sizeof(hail));
	return rc < 0 ? err_errno(e, -rc, "ready signal") : 0;
}

bool boot_is_host(int fd)
{
	struct sockaddr_vm peer = { .svm_cid = VMADDR_CID_ANY };
	socklen_t len = sizeof(peer);

	return getpeername(fd, (struct sockaddr *)&peer, &len) == 0 && len == sizeof(peer) &&
	       peer.svm_family == AF_VSOCK && peer.svm_cid == VMADDR_CID_HOST;
}

int boot_set_clock(const struct timespec *now)
{
	return clock_settime(CLOCK_REALTIME, now) < 0 ? -errno : 0;
}

int boot_add_entropy(const void *data, size_t len)
{
	struct {
		struct rand_pool_info head;
		uint8_t bytes[512];
	} pool = { .head = { .entropy_count = (int)len * 8, .buf_size = (int)len } };
	_cleanup_close_ int fd = open("/dev/urandom", O_WRONLY | O_CLOEXEC);

	if (fd < 0 || len > sizeof(pool.bytes))
		return -EINVAL;
	memcpy(pool.bytes, data, len);
	return ioctl(fd, RNDADDENTROPY, &pool) < 0 ? -errno : 0;
}

int boot_power_button(void)
{
	for (int i = 0; i < 8; i++) {
		unsigned long keys[KEY_CNT / (8 * sizeof(unsigned long)) + 1] = { 0 };
		const unsigned bits = 8 * sizeof(unsigned long);
		char path[32];
		int fd;

		snprintf(path, sizeof(path), "/dev/input/event%d", i);
		fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
		if (fd < 0)
			return -ENOENT;
		if (ioctl(fd, EVIOCGBIT(EV_KEY, sizeof(keys)), keys) >= 0 &&
		    keys[KEY_POWER / bits] >> KEY_POWER % bits & 1)
			return fd;
		close(fd);
	}
	return -ENOENT;
}

bool boot_power_pressed(int fd)
{
	struct input_event ev;
	bool pressed = false;

	while (read(fd, &ev, sizeof(ev)) == sizeof(ev))
		pressed |= ev.type == EV_KEY && ev.code == KEY_POWER && ev.value == 1;
	return pressed;
}

_Noreturn void boot_power_off(void)
{
	sync();
	reboot(RB_POWER_OFF);
	reboot(RB_AUTOBOOT); /* a machine that cannot switch itself off */
	for (;;)
		pause();
}

_Noreturn void boot_fatal(const char *what)
{
	dprintf(STDERR_FILENO, "husk-agent: fatal: %s\n", what);
	boot_power_off();
}
