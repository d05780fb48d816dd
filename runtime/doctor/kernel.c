// SPDX-License-Identifier: Apache-2.0
/* What the host's kernel offers. */
#include <fcntl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/io.h"
#include "runtime/doctor/doctor.h"
#include "runtime/oci/spec.h"
#include "runtime/sandbox/sandbox.h"
#include "vmm/hv/kvm/probe.h"

#define CGROUP_ROOT   "/sys/fs/cgroup"
#define CGROUP2_MAGIC 0x63677270

void doctor_kvm(struct doctor_line *l, const char *config)
{
	_cleanup_close_ int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	struct err e = ERR_INIT;
	double ratio = 0;
	int rc;

	(void)config;
	if (fd < 0) {
		doctor_say(l, DOCTOR_PROBLEM,
			   errno == EACCES ? "join the group that /dev/kvm belongs to (kvm)" :
					     "switch virtualisation on in the firmware, or nested virtualisation where this is a "
					     "machine in the cloud, and load kvm_intel or kvm_amd",
			   "/dev/kvm cannot be opened: %s", strerror(errno));
		return;
	}
	rc = kvm_probe(fd, &ratio, &e);
	if (rc == -ETIME)
		doctor_say(l, DOCTOR_PROBLEM, "use a host whose processor runs guests itself", "%s", e.msg);
	else if (rc < 0)
		doctor_say(l, DOCTOR_PROBLEM, "look into the host's kernel log (dmesg)", "/dev/kvm opens, but: %s", e.msg);
	else if (ratio > 0)
		doctor_say(l, DOCTOR_OK, NULL, "a guest's ring 0 runs at %.1f times the time of user space", ratio);
	else
		doctor_say(l, DOCTOR_OK, NULL, "virtual machines can be made (their speed was not measured)");
}

void doctor_nx_huge_pages(struct doctor_line *l, const char *config)
{
	static const char path[] = "/sys/module/kvm/parameters/nx_huge_pages";
	_cleanup_free_ char *text = NULL;
	int rc = io_read_file(AT_FDCWD, path, 64, &text, NULL);

	(void)config;
	if (rc < 0 || *text == 'N' || !strncmp(text, "never", 5))
		doctor_say(l, DOCTOR_OK, NULL, "%s", rc < 0 ? "not there" : "off");
	else
		doctor_say(l, DOCTOR_WARNING,
			   "where the processor does not need it (/sys/devices/system/cpu/vulnerabilities/itlb_multihit), boot "
			   "with kvm.nx_huge_pages=never",
			   "on: each machine starts a kernel thread, which costs up to 12 ms");
}

void doctor_calls(struct doctor_line *l, const char *config)
{
	static const struct {
		const char *name;
		long nr;
	} calls[] = {
		{ "openat2", SYS_openat2 },	    { "open_tree", SYS_open_tree },   { "move_mount", SYS_move_mount },
		{ "mount_setattr", SYS_mount_setattr }, { "clone3", SYS_clone3 },     { "pidfd_open", SYS_pidfd_open },
		{ "close_range", SYS_close_range }, { "faccessat2", SYS_faccessat2 },
	};
	struct utsname uts;
	char missing[200] = "";
	size_t n = 0;

	(void)config;
	uname(&uts);
	/* Arguments that no call takes: only a kernel (or a filter) without the call says that there is none. */
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
		if (syscall(calls[i].nr, -1, -1, -1, -1, -1) < 0 && errno == ENOSYS)
			n += (size_t)snprintf(missing + n, sizeof(missing) - n, " %s", calls[i].name);
	if (n)
		doctor_say(l, DOCTOR_PROBLEM, "husk needs Linux 5.12 or newer, and no filter of a container's over these",
			   "Linux %s lacks the system calls%s", uts.release, missing);
	else
		doctor_say(l, DOCTOR_OK, NULL, "Linux %s", uts.release);
}

/* In a child, which is left in them. */
static int try_unshare(int flags)
{
	pid_t pid = fork();
	int st = 0;

	if (pid == 0)
		_exit(unshare(flags) < 0 ? errno : 0);
	if (pid < 0 || waitpid(pid, &st, 0) != pid || !WIFEXITED(st))
		return -EIO;
	return -WEXITSTATUS(st);
}

/* Copies of mounts are what machines get their files by. */
static bool may_mount(void)
{
	int fd = open_tree(AT_FDCWD, "/", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	if (fd >= 0)
		close(fd);
	return fd >= 0 || errno != EPERM;
}

void doctor_namespaces(struct doctor_line *l, const char *config)
{
	int user = try_unshare(CLONE_NEWUSER);
	int others = try_unshare((geteuid() ? CLONE_NEWUSER : 0) | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS);

	(void)config;
	if (user < 0)
		doctor_say(l, DOCTOR_PROBLEM,
			   "raise user.max_user_namespaces; where the distribution restricts them, allow them "
			   "(kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns)",
			   "no user namespace can be made, without which machines are not jailed: %s", strerror(-user));
	else if (others < 0)
		doctor_say(l, DOCTOR_PROBLEM, "run husk as root", "no mount, network, IPC and UTS namespaces can be made: %s",
			   strerror(-others));
	else if (!may_mount())
		doctor_say(l, DOCTOR_WARNING,
			   "unshare --user --map-root-user --mount husk ..., as rootless engines do of themselves",
			   "namespaces can be made, but this user is root in none: containers start in a user namespace only");
	else
		doctor_say(l, DOCTOR_OK, NULL, "user, mount, network, IPC and UTS namespaces can be made");
}

/* Words of @want that are not words of @have. */
static void lacking(const char *have, const char *const *want, char *out, size_t size)
{
	size_t n = 0;

	*out = 0;
	for (; *want; want++) {
		const char *at = strstr(have, *want);
		size_t len = strlen(*want);

		/* "cpu" is not "cpuset". */
		while (at && ((at != have && at[-1] != ' ') || (at[len] && !strchr(" \n", at[len]))))
			at = strstr(at + 1, *want);
		if (!at && n < size)
			n += (size_t)snprintf(out + n, size - n, " %s", *want);
	}
}

void doctor_cgroup(struct doctor_line *l, const char *config)
{
	static const char *const wanted[] = { "cpu", "cpuset", "io", "memory", "pids", NULL };
	_cleanup_free_ char *own = NULL;
	_cleanup_free_ char *have = NULL;
	char path[4200], missing[64];
	struct statfs fs;

	(void)config;
	if (statfs(CGROUP_ROOT, &fs) < 0 || fs.f_type != CGROUP2_MAGIC) {
		doctor_say(l, DOCTOR_WARNING, "boot with systemd.unified_cgroup_hierarchy=1",
			   CGROUP_ROOT " is not cgroup version 2: containers with limits are refused");
		return;
	}
	/* Root's containers may be anywhere; another user's are below its own group. */
	snprintf(path, sizeof(path), CGROUP_ROOT "/cgroup.controllers");
	if (geteuid() && io_read_file(AT_FDCWD, "/proc/self/cgroup", 4096, &own, NULL) == 0 && !strncmp(own, "0::/", 4)) {
		own[strcspn(own, "\n")] = 0;
		snprintf(path, sizeof(path), CGROUP_ROOT "%s/cgroup.controllers", own + 3);
	}
	if (io_read_file(AT_FDCWD, path, 4096, &have, NULL) < 0) {
		doctor_say(l, DOCTOR_WARNING, NULL, "%s cannot be read", path);
		return;
	}
	lacking(have, wanted, missing, sizeof(missing));
	if (*missing)
		doctor_say(l, DOCTOR_WARNING,
			   geteuid() ? "delegate them: Delegate=cpu cpuset io memory pids for user@.service" :
				       "enable them in the kernel, or at the container or machine that this host is",
			   "version 2, without the controllers%s: such limits are refused", missing);
	else
		doctor_say(l, DOCTOR_OK, NULL, "version 2, all controllers");
}

void doctor_favordynmods(struct doctor_line *l, const char *config)
{
	_cleanup_free_ char *mounts = NULL;
	const char *at, *end;

	(void)config;
	if (io_read_file(AT_FDCWD, "/proc/self/mountinfo", 1u << 20, &mounts, NULL) < 0)
		mounts = NULL;
	at = mounts ? strstr(mounts, " - cgroup2 ") : NULL;
	if (!at) {
		doctor_say(l, DOCTOR_OK, NULL, "no cgroup version 2 here");
		return;
	}
	end = strchrnul(at, '\n');
	if (memmem(at, (size_t)(end - at), "favordynmods", 12))
		doctor_say(l, DOCTOR_OK, NULL, "on");
	else
		doctor_say(l, DOCTOR_WARNING, "mount -o remount,favordynmods " CGROUP_ROOT " (Linux 6.0 or newer)",
			   "off: moving a process between groups waits for all processors, some 10 ms of each start");
}

void doctor_limits(struct doctor_line *l, const char *config)
{
	struct rlimit files = { 0 }, locked = { 0 };

	(void)config;
	getrlimit(RLIMIT_NOFILE, &files);
	getrlimit(RLIMIT_MEMLOCK, &locked);
	if (files.rlim_max < 4096)
		doctor_say(l, DOCTOR_WARNING, "raise the hard limit of open files (ulimit -Hn, LimitNOFILE=)",
			   "%llu open files at the most: a machine that shares many files will be slow",
			   (unsigned long long)files.rlim_max);
	else
		doctor_say(l, DOCTOR_OK, NULL, "%llu open files, %llu KiB of locked memory",
			   (unsigned long long)files.rlim_max,
			   (unsigned long long)min_t(rlim_t, locked.rlim_max, RLIM_INFINITY / 2) >> 10);
}

void doctor_memory(struct doctor_line *l, const char *config)
{
	const struct oci_resources none = { .has_memory_limit = false };
	const struct sandbox_shape s = sandbox_shape(&none);

	(void)config;
	if (sandbox_may_reserve())
		doctor_say(l, DOCTOR_OK, NULL, "machines begin with %llu MiB and can grow by %llu",
			   (unsigned long long)(s.memory >> 20), (unsigned long long)(s.later >> 20));
	else
		doctor_say(l, DOCTOR_WARNING, "sysctl vm.overcommit_memory=0",
			   "machines do not grow beyond the %llu MiB that they begin with: reserved counts as used here",
			   (unsigned long long)(s.memory >> 20));
}

static void device(struct doctor_line *l, const char *path, const char *advice, const char *without)
{
	_cleanup_close_ int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd >= 0)
		doctor_say(l, DOCTOR_OK, NULL, "can be opened");
	else
		doctor_say(l, DOCTOR_WARNING, advice, "cannot be opened: %s; %s", strerror(errno), without);
}

void doctor_tun(struct doctor_line *l, const char *config)
{
	(void)config;
	device(l, "/dev/net/tun", "load the module tun", "containers have no network beyond their loopback");
}

void doctor_vhost_net(struct doctor_line *l, const char *config)
{
	(void)config;
	device(l, "/dev/vhost-net", "load the module vhost_net", "it is used where it is asked for, and nowhere else");
}
