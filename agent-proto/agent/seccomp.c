// SPDX-License-Identifier: Apache-2.0
#include "agent-proto/agent/seccomp.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>
#include <unistd.h>

int seccomp_install(const Husk__Agent__V1__Seccomp *s, struct err *e)
{
	struct sock_fprog prog = { .len = (unsigned short)(s->filter.len /
							   sizeof(struct sock_filter)),
				   .filter = (struct sock_filter *)(void *)s->filter.data };

	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, s->flags, &prog) != 0)
		return err_errno(e, errno, "error loading seccomp filter");
	return 0;
}
