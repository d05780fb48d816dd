// SPDX-License-Identifier: Apache-2.0
/*
 * Should: keep the control socket, standard error, and what the socket brings later.
 * Mustn't: hold any descriptor that its starter forgot to close; gain privileges by running a program;
 * leave memory of the guest in a core file; be looked into by others of its user.
 */
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "lib/log.h"
#include "vmm/jail/jail.h"

/* Growing the table later, when there are threads, waits for an RCU grace period (about 10 ms). */
#define FDS_AT_START 4096
/* What the file server may keep open, and room for everything else. */
#define FDS_WANTED   (1u << 17)

static void raise_file_limit(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) < 0)
		return;
	r.rlim_cur = min_t(rlim_t, r.rlim_max, FDS_WANTED);
	if (r.rlim_max < FDS_WANTED)
		log_debug("jail: only %llu open files are allowed", (unsigned long long)r.rlim_max);
	r.rlim_max = r.rlim_cur;
	setrlimit(RLIMIT_NOFILE, &r);
	if (dup2(STDERR_FILENO, (int)min_t(rlim_t, FDS_AT_START, r.rlim_cur) - 1) >= 0)
		close((int)min_t(rlim_t, FDS_AT_START, r.rlim_cur) - 1);
}

int jail_early(int last, struct err *e)
{
	const struct rlimit none = { .rlim_cur = 0, .rlim_max = 0 };
	int null;

	if (close_range((unsigned)last + 1, ~0u, 0) < 0)
		return err_errno(e, errno, "jail: close_range");
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0)
		return err_errno(e, errno, "jail: /dev/null");
	if (dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0)
		return err_errno(e, errno, "jail: dup2");
	if (null > STDERR_FILENO)
		close(null);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_errno(e, errno, "jail: no_new_privs");
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || setrlimit(RLIMIT_CORE, &none) < 0)
		return err_errno(e, errno, "jail: core files off");
	raise_file_limit();
	return 0;
}
