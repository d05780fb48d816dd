// SPDX-License-Identifier: Apache-2.0
#include "runtime/proxy/lockin.h"

#include <errno.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static int keep_rights(uint32_t keep)
{
	struct __user_cap_header_struct hdr = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct caps[2];

	if (syscall(SYS_capget, &hdr, caps) < 0)
		return -errno;
	caps[0].permitted &= keep;
	caps[0].effective = caps[0].permitted;
	caps[0].inheritable = 0;
	caps[1] = (struct __user_cap_data_struct){ 0, 0, 0 };
	return syscall(SYS_capset, &hdr, caps) < 0 ? -errno : 0;
}

int lockin(uint32_t keep, const struct filter_call *calls, size_t n, const struct filter_arg *args, size_t n_args, struct err *e)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_errno(e, errno, "no_new_privs");
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 || keep_rights(keep) < 0)
		return err_errno(e, errno, "cannot give up capabilities");
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return err_errno(e, errno, "PR_SET_DUMPABLE");
	return filter_install(calls, n, args, n_args, e);
}
