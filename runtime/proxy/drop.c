// SPDX-License-Identifier: Apache-2.0
/* The last stage of privilege: one user without capabilities, and the system calls below. */
#include <grp.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/host/filter.h"
#include "runtime/proxy/setup.h"

#define PROXY_UID 65534

/* What the proxy may ask of the kernel once it may hear from a guest. All of it acts on descriptors
 * that it holds; nothing opens, starts, maps for execution, or names another process. */
static const struct filter_call allowed[] = {
	{ SYS_read, "streams, signalfd, eventfd, timerfd" },
	{ SYS_write, "streams, log, eventfd" },
	{ SYS_epoll_pwait, "the event loop" },
#ifdef SYS_epoll_wait
	{ SYS_epoll_wait, "the event loop" },
#endif
	{ SYS_epoll_ctl, "the event loop" },
	{ SYS_recvmsg, "requests of husk; replies of the machine" },
	{ SYS_sendmsg, "replies to husk; requests to the machine" },
	{ SYS_recvfrom, "streams, agent" },
	{ SYS_sendto, "streams, agent" },
	{ SYS_writev, "agent" },
	{ SYS_readv, "agent" },
	{ SYS_close, "connections end" },
	{ SYS_close_range, "the same, all at once" },
	{ SYS_shutdown, "end of standard input" },
	{ SYS_accept4, "connections of husk" },
	{ SYS_getsockname, "which port of the namespace was dialled" },
	{ SYS_connect, "name servers in the container's network namespace" },
	{ SYS_ppoll, "answers of the machine" },
#ifdef SYS_poll
	{ SYS_poll, "answers of the machine" },
#endif
	{ SYS_timerfd_create, "deadlines of the agent" },
	{ SYS_timerfd_settime, "deadlines of the agent" },
	{ SYS_clock_gettime, "where the vDSO cannot" },
	{ SYS_getrandom, "entropy for the guest; the allocator" },
	{ SYS_brk, "memory" },
	{ SYS_munmap, "memory" },
	{ SYS_mremap, "memory" },
	{ SYS_madvise, "memory" },
	{ SYS_futex, "locks of the C library" },
	{ SYS_rt_sigprocmask, "the C library" },
	{ SYS_rt_sigreturn, "return from a handler" },
	{ SYS_restart_syscall, "after SIGSTOP and SIGCONT" },
	{ SYS_exit_group, "the end" },
};

static const struct filter_arg allowed_with[] = {
	{ SYS_fcntl, 1, 3 /* F_GETFL */, "streams are made non-blocking" },
	{ SYS_fcntl, 1, 4 /* F_SETFL */, "streams are made non-blocking" },
	{ SYS_fcntl, 1, 1030 /* F_DUPFD_CLOEXEC */, "a terminal's stream goes both ways" },
	{ SYS_ioctl, 1, 0x5413 /* TIOCGWINSZ */, "the size of a terminal" },
	{ SYS_socket, 0, 2 /* AF_INET */, "name servers in the container's network namespace" },
	{ SYS_prctl, 0, PR_SET_NAME, "the name tells the stage" },
	{ SYS_mmap, 2, PROT_READ | PROT_WRITE, "memory" },
	{ SYS_mprotect, 2, PROT_READ | PROT_WRITE, "memory" },
	/* The last one, not for everybody. */
	{ SYS_clone, 0, SIGCHLD, "what is left in a unit of systemd's, whose tasks are limited" },
};

static int drop_user(struct err *e)
{
	struct __user_cap_header_struct hdr = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { { 0, 0, 0 }, { 0, 0, 0 } };

	/* In a user namespace without that user the own one stays, without capabilities. */
	if (setgroups(0, NULL) < 0 && errno != EPERM)
		return err_errno(e, errno, "setgroups");
	if (setresgid(PROXY_UID, PROXY_UID, PROXY_UID) < 0 && errno != EINVAL && errno != EPERM)
		return err_errno(e, errno, "setresgid");
	if (setresuid(PROXY_UID, PROXY_UID, PROXY_UID) < 0 && errno != EINVAL && errno != EPERM)
		return err_errno(e, errno, "setresuid");
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return err_errno(e, errno, "cannot clear ambient capabilities");
	if (syscall(SYS_capset, &hdr, none) < 0)
		return err_errno(e, errno, "cannot give up capabilities");
	return 0;
}

int drop_privileges(bool copies, struct err *e)
{
	struct rlimit no_core = { 0, 0 };
	int rc;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_errno(e, errno, "no_new_privs");
	if (setrlimit(RLIMIT_CORE, &no_core) < 0)
		return err_errno(e, errno, "RLIMIT_CORE");
	rc = drop_user(e);
	if (rc < 0)
		return rc;
	/* Nobody of the same user may look in, or have a core of it. */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return err_errno(e, errno, "PR_SET_DUMPABLE");
	return filter_install(allowed, ARRAY_SIZE(allowed), allowed_with, ARRAY_SIZE(allowed_with) - !copies, e);
}
