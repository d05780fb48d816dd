// SPDX-License-Identifier: Apache-2.0
/* What is left once the network namespace is entered: CAP_NET_ADMIN in it, and the system calls below. */
#include <errno.h>
#include <grp.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/host/filter.h"
#include "runtime/net/net.h"

#define NOBODY 65534

static const struct filter_call allowed[] = {
	{ SYS_sendmsg, "netlink, the proxy, husk, the machine" },
	{ SYS_recvmsg, "netlink, the proxy, husk, the machine" },
	{ SYS_sendto, "netlink" },
	{ SYS_recvfrom, "netlink's events" },
	{ SYS_ppoll, "all of them" },
#ifdef SYS_poll
	{ SYS_poll, "all of them" },
#endif
	{ SYS_accept4, "proxies of containers that join" },
	{ SYS_close, "taps that go" },
	{ SYS_write, "the log" },
	{ SYS_clock_gettime, "where the vDSO cannot" },
	{ SYS_getpid, "netlink's numbers" },
	{ SYS_getrandom, "the allocator" },
	{ SYS_brk, "memory" },
	{ SYS_munmap, "memory" },
	{ SYS_mremap, "memory" },
	{ SYS_madvise, "memory" },
	{ SYS_futex, "locks of the C library" },
	{ SYS_rt_sigreturn, "return from a handler" },
	{ SYS_restart_syscall, "after SIGSTOP and SIGCONT" },
	{ SYS_exit_group, "the end" },
};

static const struct filter_arg allowed_with[] = {
	/* No file can be made, or read that cannot be written to; as nobody. */
	{ SYS_openat, 2, NET_TUN_FLAGS, "/dev/net/tun" },
	{ SYS_ioctl, 1, (uint32_t)TUNSETIFF, "a tap" },
	{ SYS_ioctl, 1, SIOCGIFINDEX, "its number" },
	{ SYS_ioctl, 1, SIOCGIFNAME, "the name of what is in the way" },
	{ SYS_socket, 0, AF_INET, "to ask for these" },
	{ SYS_mmap, 2, PROT_READ | PROT_WRITE, "memory" },
	{ SYS_mprotect, 2, PROT_READ | PROT_WRITE, "memory" },
};

int net_drop_privileges(struct err *e)
{
	struct __user_cap_header_struct hdr = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct caps[2] = { { .effective = 1u << CAP_NET_ADMIN, .permitted = 1u << CAP_NET_ADMIN } };
	struct rlimit no_core = { 0, 0 };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || setrlimit(RLIMIT_CORE, &no_core) < 0)
		return err_errno(e, errno, "no_new_privs");
	/* Only what stays is kept over the change of the user. */
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
		return err_errno(e, errno, "PR_SET_KEEPCAPS");
	/* In a user namespace without that user the own one stays. */
	if (setgroups(0, NULL) < 0 && errno != EPERM)
		return err_errno(e, errno, "setgroups");
	if (setresgid(NOBODY, NOBODY, NOBODY) < 0 && errno != EINVAL && errno != EPERM)
		return err_errno(e, errno, "setresgid");
	if (setresuid(NOBODY, NOBODY, NOBODY) < 0 && errno != EINVAL && errno != EPERM)
		return err_errno(e, errno, "setresuid");
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 || syscall(SYS_capset, &hdr, caps) < 0)
		return err_errno(e, errno, "cannot give up capabilities");
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return err_errno(e, errno, "PR_SET_DUMPABLE");
	return filter_install(allowed, ARRAY_SIZE(allowed), allowed_with, ARRAY_SIZE(allowed_with), e);
}
