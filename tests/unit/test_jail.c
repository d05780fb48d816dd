// SPDX-License-Identifier: Apache-2.0
/* The jail's policies as tables, and as the kernel applies them: a child binds itself to a role and tries. */
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/kvm.h>
#include <linux/sockios.h>
#include <linux/vhost.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/util.h"
#include "tests/unit/check.h"
#include "vmm/bus/bus.h"
#include "vmm/hv/hv.h"
#include "vmm/jail/jail.h"
#include "vmm/jail/policy.h"

/* Not in any policy, whatever its arguments. */
static const char *const never[] = {
	"execve",	  "execveat",	   "ptrace",	    "process_vm_readv", "process_vm_writev",
	"open_by_handle_at", "name_to_handle_at", "mount",  "umount2",	  "mount_setattr",
	"open_tree",	  "move_mount",	   "fsopen",	    "fsmount",	  "fsconfig",
	"fspick",	  "pivot_root",	   "chroot",	    "unshare",	  "setns",
	"socket",	  "connect",	   "bind",	    "listen",	  "accept",
	"fork",		  "vfork",	   "kill",	    "tkill",	  "rt_sigqueueinfo",
	"rt_tgsigqueueinfo", "pidfd_open", "pidfd_getfd",   "pidfd_send_signal", "process_madvise",
	"bpf",		  "perf_event_open", "userfaultfd", "io_uring_setup",
	"io_uring_register", "keyctl",	   "add_key",	    "request_key", "init_module",
	"finit_module",	  "delete_module", "kexec_load",    "kexec_file_load", "reboot",
	"swapon",	  "swapoff",	   "settimeofday",  "clock_settime", "adjtimex",
	"iopl",		  "ioperm",	   "personality",   "seccomp",	  "setuid",
	"setgid",	  "setreuid",	   "setregid",	    "sethostname", "setdomainname",
	"quotactl",	  "acct",	   "syslog",	    "memfd_create", "shmget",
	"msgget",	  "semget",	   "mq_open",	    "inotify_init1", "fanotify_init",
	"pkey_mprotect",  "modify_ldt",	   "arch_prctl",    "prlimit64",  "setrlimit",
	"migrate_pages",  "move_pages",	   "kcmp",	    "open",	  "creat",
	"mknod",	  "landlock_create_ruleset",
};

static void each_row_has_a_reason(void **state)
{
	(void)state;
	for (size_t p = 0; p < JAIL_ROLES; p++)
		for (size_t l = 0; jail_policies[p].lists[l]; l++)
			for (const struct jail_rule *r = jail_policies[p].lists[l]; r->syscall; r++)
				if (!r->why || strlen(r->why) < 4)
					fail_msg("%s: %s has no reason", jail_policies[p].name,
						 r->syscall);
}

static void names_match_roles(void **state)
{
	(void)state;
	for (unsigned p = 0; p < JAIL_ROLES; p++)
		assert_string_equal(jail_policies[p].name, jail_role_name(p));
}

static void forbidden_calls_are_absent(void **state)
{
	(void)state;
	for (size_t p = 0; p < JAIL_ROLES; p++)
		for (size_t l = 0; jail_policies[p].lists[l]; l++)
			for (const struct jail_rule *r = jail_policies[p].lists[l]; r->syscall; r++)
				for (size_t i = 0; i < ARRAY_SIZE(never); i++)
					if (!strcmp(r->syscall, never[i]))
						fail_msg("policy %s allows %s", jail_policies[p].name,
							 r->syscall);
}

/* --- as the kernel sees it --------------------------------------------------------------------------- */

#define CONTROL (1u << JAIL_CONTROL)
#define IO      (1u << JAIL_IO)
#define VCPU    (1u << JAIL_VCPU)
#define FS      (1u << JAIL_FS)
#define DISK    (1u << JAIL_DISK)
#define ALL     (CONTROL | IO | VCPU | FS | DISK)

struct call {
	const char *why;
	unsigned roles;
	long nr;
	unsigned long a[6];
};

static char buf[4096];
#define PTR(p) ((unsigned long)(uintptr_t)(p))

/* How a child that was bound to @role and then made the call ended, as by waitpid(2). */
static int try_call(enum jail_role role, const struct call *c)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		if (jail_thread(role, NULL) < 0)
			_exit(99);
		syscall(c->nr, c->a[0], c->a[1], c->a[2], c->a[3], c->a[4], c->a[5]);
		syscall(SYS_exit_group, 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

/* One row a class of calls; the arguments are such that the kernel would do it, or refuse it harmlessly. */
static const struct call deadly[] = {
	{ "run a program", ALL, SYS_execve, { PTR("/bin/true"), 0, 0 } },
	{ "run a program by descriptor", ALL, SYS_execveat, { 0, PTR(""), 0, 0, AT_EMPTY_PATH } },
	{ "look into a process", ALL, SYS_ptrace, { 0 } },
	{ "read a process's memory", ALL, SYS_process_vm_readv, { 1 } },
	{ "write a process's memory", ALL, SYS_process_vm_writev, { 1 } },
	{ "open by handle", ALL, SYS_open_by_handle_at, { 0, PTR(buf), 0 } },
	{ "get a handle", ALL, SYS_name_to_handle_at, { 0 } },
	{ "mount", ALL, SYS_mount, { 0 } },
	{ "unmount", ALL, SYS_umount2, { PTR("/nowhere"), 0 } },
	{ "loosen a mount", ALL, SYS_mount_setattr, { 0 } },
	{ "copy a mount", ALL, SYS_open_tree, { 0 } },
	{ "move a mount", ALL, SYS_move_mount, { 0 } },
	{ "make a file system", ALL, SYS_fsopen, { PTR("tmpfs"), 0 } },
	{ "change the root", ALL, SYS_chroot, { PTR("/") } },
	{ "pivot the root", ALL, SYS_pivot_root, { 0 } },
	{ "new namespaces", ALL, SYS_unshare, { CLONE_NEWUSER } },
	{ "enter namespaces", ALL, SYS_setns, { 0, 0 } },
	{ "clone into namespaces", ALL, SYS_clone, { CLONE_NEWUSER | SIGCHLD } },
	{ "make a process", ALL, SYS_clone, { SIGCHLD } },
	{ "make a thread", IO | VCPU | CONTROL, SYS_clone, { CLONE_VM | CLONE_THREAD | CLONE_SIGHAND } },
	{ "clone3 where no thread starts another", IO | VCPU | CONTROL, SYS_clone3, { 0 } },
	{ "a network socket", ALL, SYS_socket, { AF_INET, SOCK_STREAM, 0 } },
	{ "a netlink socket", ALL, SYS_socket, { AF_NETLINK, SOCK_RAW, 0 } },
	{ "a unix socket", ALL, SYS_socket, { AF_UNIX, SOCK_STREAM, 0 } },
	{ "connect", ALL, SYS_connect, { 0 } },
	{ "bind", ALL, SYS_bind, { 0 } },
	{ "listen", ALL, SYS_listen, { 0 } },
	{ "accept elsewhere than in control", IO | VCPU | FS | DISK, SYS_accept4, { 0 } },
	{ "a pair of sockets for a disk", DISK, SYS_socketpair, { AF_UNIX, SOCK_STREAM, 0, PTR(buf) } },
	{ "a disk's data elsewhere", CONTROL | IO | VCPU, SYS_pwritev2, { 0 } },
	{ "a pair of network sockets", ALL, SYS_socketpair, { AF_INET, SOCK_STREAM, 0, PTR(buf) } },
	{ "send to an address", IO, SYS_sendto, { 0, 0, 0, 0, PTR(buf), 16 } },
	{ "signal a process", ALL, SYS_kill, { 0, 0 } },
	{ "signal a thread otherwise than by the kick", ALL, SYS_tgkill, { 1, 1, SIGKILL } },
	{ "executable memory", ALL, SYS_mmap,
	  { 0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1ul, 0 } },
	{ "memory made executable", ALL, SYS_mprotect, { PTR(buf), 0, PROT_EXEC } },
	{ "make a tap", ALL, SYS_ioctl, { 0, TUNSETIFF, PTR(buf) } },
	{ "give a tap away", ALL, SYS_ioctl, { 0, TUNSETOWNER, 0 } },
	{ "a tap's settings elsewhere than in io", CONTROL | VCPU | FS, SYS_ioctl, { 0, TUNSETOFFLOAD, 0 } },
	{ "vhost-net elsewhere than in io", CONTROL | VCPU | FS, SYS_ioctl, { 0, VHOST_SET_OWNER, 0 } },
	{ "vhost's log", ALL, SYS_ioctl, { 0, VHOST_SET_LOG_FD, PTR(buf) } },
	{ "change an interface", ALL, SYS_ioctl, { 0, SIOCSIFFLAGS, PTR(buf) } },
	{ "eBPF", ALL, SYS_bpf, { 0 } },
	{ "performance counters", ALL, SYS_perf_event_open, { 0 } },
	{ "userfaultfd", ALL, SYS_userfaultfd, { 0 } },
	{ "io_uring", ALL, SYS_io_uring_setup, { 0 } },
	{ "an io_uring elsewhere than at disks", CONTROL | IO | VCPU | FS, SYS_io_uring_enter, { -1ul } },
	{ "another filter", ALL, SYS_seccomp, { 0 } },
	{ "keys", ALL, SYS_keyctl, { 0 } },
	{ "kernel modules", ALL, SYS_finit_module, { -1ul } },
	{ "reboot", ALL, SYS_reboot, { 0 } },
	{ "set the clock", ALL, SYS_clock_settime, { 0 } },
	{ "a terminal's input queue", ALL, SYS_ioctl, { 0, 0x5412 /* TIOCSTI */, PTR(buf) } },
	{ "a new VM", ALL, SYS_ioctl, { 0, KVM_CREATE_VM, 0 } },
	{ "guest memory mapped anew", ALL, SYS_ioctl, { 0, KVM_SET_USER_MEMORY_REGION, 0 } },
	{ "run a guest elsewhere than in a vcpu's thread", CONTROL | IO | FS | DISK, SYS_ioctl,
	  { 0, KVM_RUN, 0 } },
	{ "file calls elsewhere than in the file server", VCPU | IO | CONTROL | DISK, SYS_openat, { AT_FDCWD, PTR("/"), 0 } },
	{ "change owner elsewhere", VCPU | IO | CONTROL | DISK, SYS_fchown, { 0 } },
	{ "a device node", ALL, SYS_mknodat, { AT_FDCWD, PTR("/nowhere/x"), S_IFBLK | 0600, 0 } },
	{ "a device node that is no whiteout", ALL, SYS_mknodat, { AT_FDCWD, PTR("/nowhere/x"), S_IFCHR | 0600, 0x103 } },
	{ "become another user elsewhere", VCPU | IO | CONTROL | DISK, SYS_setresuid, { 0 } },
};

static void forbidden_calls_kill(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(deadly); i++)
		for (unsigned role = 0; role < JAIL_ROLES; role++) {
			int status;

			if (!(deadly[i].roles & 1u << role))
				continue;
			status = try_call(role, &deadly[i]);
			if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
				fail_msg("%s: %s: status %#x, not SIGSYS", jail_role_name(role),
					 deadly[i].why, status);
		}
}

static const struct call fine[] = {
	{ "wake", ALL, SYS_futex, { PTR(buf), 1, 1 } },
	{ "write", ALL, SYS_write, { -1ul, 0, 0 } },
	{ "memory", ALL, SYS_mmap, { 0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1ul, 0 } },
	{ "doorbells", ALL, SYS_ioctl, { -1ul, KVM_IOEVENTFD, PTR(buf) } },
	{ "routes", ALL, SYS_ioctl, { -1ul, KVM_SET_GSI_ROUTING, PTR(buf) } },
	{ "run the guest", VCPU, SYS_ioctl, { -1ul, KVM_RUN, 0 } },
	{ "say where it stopped", VCPU, SYS_ioctl, { -1ul, KVM_GET_REGS, PTR(buf) } },
	{ "loop", CONTROL | IO | FS | DISK, SYS_epoll_pwait, { -1ul, PTR(buf), 1, 0, 0, 8 } },
	{ "receive descriptors", CONTROL, SYS_recvmsg, { -1ul, PTR(buf), 0 } },
	{ "what a client has not read", CONTROL, SYS_ioctl, { -1ul, SIOCOUTQ, PTR(buf) } },
	{ "what of memory is there", CONTROL, SYS_mincore, { PTR(buf), 0, PTR(buf) } },
	{ "accept", CONTROL, SYS_accept4, { -1ul, 0, 0, 0 } },
	{ "connections", IO, SYS_socketpair, { AF_UNIX, SOCK_STREAM, 0, PTR(buf) } },
	{ "send on a connected socket", IO, SYS_sendto, { -1ul, 0, 0, 0, 0, 0 } },
	{ "files", FS, SYS_openat, { -1ul, PTR("x"), O_PATH } },
	{ "users of the guest", FS, SYS_setfsuid, { 0 } },
	{ "requests of a disk", DISK, SYS_io_uring_enter, { -1ul } },
	{ "flush of a disk", DISK, SYS_fdatasync, { -1ul } },
	{ "fall back to clone", FS | DISK, SYS_clone3, { 0 } },
	{ "kick", CONTROL | VCPU, SYS_tgkill, { 1ul << 30, 1ul << 30, HV_KICK_SIGNAL } },
};

static void allowed_calls_pass(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(fine); i++)
		for (unsigned role = 0; role < JAIL_ROLES; role++) {
			int status;

			if (!(fine[i].roles & 1u << role))
				continue;
			status = try_call(role, &fine[i]);
			if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
				fail_msg("%s: %s: status %#x", jail_role_name(role), fine[i].why,
					 status);
		}
}

/* Where the user may have no signal queued any more: the kick comes through all the same. */
static void a_kick_is_never_lost(void **state)
{
	pid_t pid = fork();
	int status;

	(void)state;
	assert_true(pid >= 0);
	if (pid == 0) {
		const struct rlimit none = { 0, 0 };
		sigset_t set;

		sigemptyset(&set);
		sigaddset(&set, HV_KICK_SIGNAL);
		sigprocmask(SIG_BLOCK, &set, NULL);
		if (setrlimit(RLIMIT_SIGPENDING, &none) < 0)
			_exit(2);
		if (pthread_kill(pthread_self(), HV_KICK_SIGNAL) || sigpending(&set) < 0)
			_exit(1);
		_exit(sigismember(&set, HV_KICK_SIGNAL) ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* --- what a thread comes to only when another one is slow ---------------------------------------------- */

static atomic_bool is_in, may_leave;

static uint64_t slow_read(void *dev, uint64_t off, unsigned size)
{
	(void)dev;
	(void)off;
	(void)size;
	atomic_store(&is_in, true);
	while (!atomic_load(&may_leave))
		usleep(1000);
	return 0;
}

static const struct bus_ops slow = { .name = "slow", .read = slow_read };
static const struct bus_ops other = { .name = "other" };

static void *read_slowly(void *bus)
{
	uint32_t v;

	bus_read(bus, 0x1000, &v, sizeof(v));
	return NULL;
}

static void *let_go(void *arg)
{
	usleep(20000);
	atomic_store(&may_leave, true);
	return arg;
}

/* Each thread that may write to configuration space, or take a device away. */
static void a_change_of_the_bus_waits_in_every_role(void **state)
{
	(void)state;
	for (unsigned role = 0; role < JAIL_ROLES; role++) {
		int status;
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (pid == 0) {
			pthread_t t[2];
			struct bus *b;

			if (bus_new(&b, NULL) < 0 || bus_add(b, 0x1000, 16, &slow, NULL, NULL) < 0 ||
			    bus_add(b, 0x2000, 16, &other, NULL, NULL) < 0 || pthread_create(&t[0], NULL, read_slowly, b))
				_exit(98);
			while (!atomic_load(&is_in))
				usleep(1000);
			if (pthread_create(&t[1], NULL, let_go, NULL) || jail_thread((enum jail_role)role, NULL) < 0)
				_exit(99);
			/* Not _exit(): a sanitizer does more then. */
			syscall(SYS_exit_group, bus_move(b, 0x2000, 0x3000, NULL) < 0);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
			fail_msg("%s: status %#x", jail_role_name(role), status);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_row_has_a_reason),
		cmocka_unit_test(names_match_roles),
		cmocka_unit_test(forbidden_calls_are_absent),
		cmocka_unit_test(forbidden_calls_kill),
		cmocka_unit_test(allowed_calls_pass),
		cmocka_unit_test(a_kick_is_never_lost),
		cmocka_unit_test(a_change_of_the_bus_waits_in_every_role),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
