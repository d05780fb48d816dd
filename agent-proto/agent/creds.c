// SPDX-License-Identifier: Apache-2.0
#include "agent-proto/agent/creds.h"

#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DEFAULT_NOFILE 1024

static const struct {
	const char *name;
	int resource;
} rlimit_names[] = {
	{ "RLIMIT_AS", RLIMIT_AS },
	{ "RLIMIT_CORE", RLIMIT_CORE },
	{ "RLIMIT_CPU", RLIMIT_CPU },
	{ "RLIMIT_DATA", RLIMIT_DATA },
	{ "RLIMIT_FSIZE", RLIMIT_FSIZE },
	{ "RLIMIT_LOCKS", RLIMIT_LOCKS },
	{ "RLIMIT_MEMLOCK", RLIMIT_MEMLOCK },
	{ "RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE },
	{ "RLIMIT_NICE", RLIMIT_NICE },
	{ "RLIMIT_NOFILE", RLIMIT_NOFILE },
	{ "RLIMIT_NPROC", RLIMIT_NPROC },
	{ "RLIMIT_RSS", RLIMIT_RSS },
	{ "RLIMIT_RTPRIO", RLIMIT_RTPRIO },
	{ "RLIMIT_RTTIME", RLIMIT_RTTIME },
	{ "RLIMIT_SIGPENDING", RLIMIT_SIGPENDING },
	{ "RLIMIT_STACK", RLIMIT_STACK },
};

int creds_rlimit_by_name(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(rlimit_names); i++)
		if (strcmp(rlimit_names[i].name, name) == 0)
			return rlimit_names[i].resource;
	return -EINVAL;
}

/* What the agent raised for itself is nothing that programs expect: select(2) knows 1024. */
static void default_rlimits(void)
{
	struct rlimit lim;

	if (getrlimit(RLIMIT_NOFILE, &lim) == 0 && lim.rlim_cur > DEFAULT_NOFILE) {
		lim.rlim_cur = DEFAULT_NOFILE;
		setrlimit(RLIMIT_NOFILE, &lim);
	}
}

int creds_rlimits(const Husk__Agent__V1__Process *p, struct err *e)
{
	default_rlimits();
	for (size_t i = 0; i < p->n_rlimits; i++) {
		const Husk__Agent__V1__Rlimit *r = p->rlimits[i];
		struct rlimit lim = { .rlim_cur = r->soft, .rlim_max = r->hard };
		int resource = creds_rlimit_by_name(r->type);

		if (resource < 0)
			return err_set(e, EINVAL, "rlimit %s: unknown", r->type);
		if (setrlimit((__rlimit_resource_t)resource, &lim) < 0)
			return err_errno(e, errno, "error setting rlimit type %s", r->type);
	}
	return 0;
}

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

static int set_caps(const Husk__Agent__V1__Capabilities *c, uint64_t known, struct err *e)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	for (unsigned i = 0; i < 2; i++) {
		data[i].effective = (uint32_t)((c->effective & known) >> (32 * i));
		data[i].permitted = (uint32_t)((c->permitted & known) >> (32 * i));
		data[i].inheritable = (uint32_t)((c->inheritable & known) >> (32 * i));
	}
	if (syscall(SYS_capset, &head, data) < 0)
		return err_errno(e, errno, "unable to apply caps");
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

int creds_become(const Husk__Agent__V1__Process *p, struct err *e)
{
	const Husk__Agent__V1__Capabilities *c = p->capabilities;
	uint64_t known = known_caps();
	const char *cwd = *p->cwd ? p->cwd : "/";
	bool there = chdir(cwd) == 0;
	int rc;

	if (!there && errno != EACCES && errno != EPERM)
		return err_errno(e, errno, "chdir to cwd (\"%s\") set in config.json failed", cwd);
	if (c) {
		rc = drop_bounding(c->bounding, known, e);
		if (rc < 0)
			return rc;
		if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
			return err_errno(e, errno, "keepcaps");
	}
	rc = set_ids(p->user, e);
	if (rc < 0)
		return rc;
	if (!there && chdir(cwd) < 0)
		return err_errno(e, errno, "chdir to cwd (\"%s\") set in config.json failed", cwd);
	rc = check_cwd(cwd, e);
	if (rc == 0 && c) {
		prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0);
		rc = set_caps(c, known, e);
	}
	if (rc == 0 && p->no_new_privileges && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		rc = err_errno(e, errno, "no new privileges");
	return rc;
}
