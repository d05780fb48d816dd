// SPDX-License-Identifier: Apache-2.0
/*
 * Should: make the system calls of its role, which policy_*.c list with their reasons.
 * Mustn't: make any other; run programs, make processes or namespaces, mount, reach a socket by address,
 * look into or signal other processes, map executable memory, open files by handle.
 */
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/jail/filters.h"
#include "vmm/jail/jail.h"

static const char *const names[JAIL_ROLES] = {
	[JAIL_CONTROL] = "control", [JAIL_IO] = "io", [JAIL_VCPU] = "vcpu", [JAIL_FS] = "fs",
	[JAIL_DISK] = "disk",
};

const char *jail_role_name(enum jail_role role)
{
	bug_on(role >= JAIL_ROLES);
	return names[role];
}

int jail_thread(enum jail_role role, struct err *e)
{
	bug_on(role >= JAIL_ROLES);
	/* The kernel refuses a filter to whoever might gain privileges by running a program. */
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_errno(e, errno, "jail: no_new_privs");
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &jail_filters[role]) < 0)
		return err_errno(e, errno, "jail: system call filter of the %s thread",
				 names[role]);
	return 0;
}
