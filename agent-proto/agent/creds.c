// SPDX-License-Identifier: Apache-2.0
#include "agent-proto/agent/creds.h"

#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ADMIN (UINT64_C(1) << CAP_SYS_ADMIN)

/* The capabilities that this kernel has; it ends the list with EINVAL. */
static uint64_t known_caps(void)
{
	unsigned n = 0;

	while (n < 64 && prctl(PR_CAPBSET_READ, n, 0, 0, 0) >= 0)
		n++;
	return n == 64 ? UINT64_MAX : (UINT64_C(1) << n) - 1;
}

static int drop_bounding(uint64_t keep, uint64_t known, struct err *e)
{
	for (unsigned n = 0; n < 64 && known >> n; n++)
		if (!(keep >> n & 1) && prctl(PR_CAPBSET_DROP, n, 0, 0, 0) < 0)
			return err_errno(e, errno, "unable to drop capability %u", n);
	return 0;
}

static int put_caps(uint64_t effective, uint64_t permitted, uint64_t inheritable, struct err *e)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	for (unsigned i = 0; i < 2; i++) {
		data[i].effective = (uint32_t)(effective >> (32 * i));
		data[i].permitted = (uint32_t)(permitted >> (32 * i));
		data[i].inheritable = (uint32_t)(inheritable >> (32 * i));
	}
	return syscall(SYS_capset, &head, data) < 0 ? err_errno(e, errno, "unable to apply caps") : 0;
}

static int set_caps(const Husk__Agent__V1__Capabilities *c, uint64_t known, uint64_t besides, struct err *e)
{
	int rc = put_caps(c->effective & known, (c->permitted & known) | besides, c->inheritable & known, e);

	if (rc < 0)
		return rc;
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return err_errno(e, errno, "ambient capabilities");
	/* The kernel raises what is inheritable and permitted, and runc passes the rest over: its own default
	 * configuration asks for more. */
	for (unsigned n = 0; n < 64; n++)
		if ((c->ambient & c->inheritable & c->permitted & known) >> n & 1 &&
		    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, n, 0, 0) < 0)
			return err_errno(e, errno, "ambient capability %u", n);
	return 0;
}

static int set_ids(const Husk__Agent__V1__User *u, struct err *e)
{
	static const Husk__Agent__V1__User root;

	if (!u)
		u = &root;
	/* The raw calls: glibc's tell other threads, of which there are none. */
	if (syscall(SYS_setgroups, u->n_additional_gids, u->additional_gids) < 0)
		return err_errno(e, errno, "setgroups");
	if (syscall(SYS_setresgid, u->gid, u->gid, u->gid) < 0)
		return err_errno(e, errno, "setgid %u", u->gid);
	if (syscall(SYS_setresuid, u->uid, u->uid, u->uid) < 0)
		return err_errno(e, errno, "setuid %u", u->uid);
	return 0;
}

/* A working directory that is no path in this root was reached through a descriptor of the agent's. */
static int check_cwd(const char *cwd, struct err *e)
{
	char path[PATH_MAX];

	if (syscall(SYS_getcwd, path, sizeof(path)) < 0)
		return errno == ERANGE || errno == ENAMETOOLONG ?
			       0 :
			       err_errno(e, errno, "working directory %s", cwd);
	if (path[0] != '/')
		return err_set(e, EPERM, "working directory %s is outside of the container", cwd);
	return 0;
}

/* The ids, with no capability lost by it if one is needed later. */
static int change_user(const Husk__Agent__V1__Process *p, bool keep, uint64_t known, struct err *e)
{
	const Husk__Agent__V1__Capabilities *c = p->capabilities;
	int rc = c ? drop_bounding(c->bounding, known, e) : 0;

	if (rc == 0 && keep && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
		rc = err_errno(e, errno, "keepcaps");
	return rc == 0 ? set_ids(p->user, e) : rc;
}

int creds_become(const Husk__Agent__V1__Process *p, bool admin_later, struct err *e)
{
	const Husk__Agent__V1__Capabilities *c = p->capabilities;
	const char *cwd = *p->cwd ? p->cwd : "/";
	uint64_t known = known_caps(), besides = admin_later ? ADMIN : 0;
	bool there = chdir(cwd) == 0;
	int rc;

	if (!there && errno != EACCES && errno != EPERM)
		return err_errno(e, errno, "chdir to cwd (\"%s\") set in config.json failed", cwd);
	rc = change_user(p, c || besides, known, e);
	if (rc < 0)
		return rc;
	if (!there && chdir(cwd) < 0)
		return err_errno(e, errno, "chdir to cwd (\"%s\") set in config.json failed", cwd);
	rc = check_cwd(cwd, e);
	if (rc == 0 && (c || besides))
		prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0);
	if (rc == 0 && c)
		rc = set_caps(c, known, besides, e);
	else if (rc == 0 && besides && p->user && p->user->uid)
		rc = put_caps(0, besides, 0, e);
	if (rc == 0 && p->no_new_privileges && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		rc = err_errno(e, errno, "no new privileges");
	return rc;
}

int creds_admin(struct err *e)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &head, data) < 0)
		return err_errno(e, errno, "capabilities");
	data[0].effective |= (uint32_t)ADMIN;
	return syscall(SYS_capset, &head, data) < 0 ? err_errno(e, errno, "unable to apply caps") : 0;
}
