// SPDX-License-Identifier: Apache-2.0
/* The "process" object: of config.json, and alone in the file of `exec --process`. */
#include "runtime/oci/field.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "lib/log.h"

static const char *const cap_names[] = {
	"CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID",
	"SETPCAP", "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW",
	"IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT",
	"SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD",
	"LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG",
	"WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF", "CHECKPOINT_RESTORE",
};

static const char *const rlimit_names[] = {
	"RLIMIT_AS", "RLIMIT_CORE", "RLIMIT_CPU", "RLIMIT_DATA", "RLIMIT_FSIZE", "RLIMIT_LOCKS",
	"RLIMIT_MEMLOCK", "RLIMIT_MSGQUEUE", "RLIMIT_NICE", "RLIMIT_NOFILE", "RLIMIT_NPROC",
	"RLIMIT_RSS", "RLIMIT_RTPRIO", "RLIMIT_RTTIME", "RLIMIT_SIGPENDING", "RLIMIT_STACK",
};

int oci_cap_by_name(const char *name)
{
	if (strncasecmp(name, "CAP_", 4) != 0)
		return -EINVAL;
	for (size_t i = 0; i < ARRAY_SIZE(cap_names); i++)
		if (strcasecmp(name + 4, cap_names[i]) == 0)
			return (int)i;
	return -EINVAL;
}

const char *oci_cap_name(unsigned cap)
{
	return cap < ARRAY_SIZE(cap_names) ? cap_names[cap] : NULL;
}

static int read_cap_set(struct oci_ctx *c, const struct json *v, void *dst)
{
	uint64_t *set = dst;
	struct oci_strv names = { 0 };
	int rc = oci_read_strv(c, v, &names);

	for (size_t i = 0; rc == 0 && i < names.n; i++) {
		int bit = oci_cap_by_name(names.v[i]);

		/* A newer kernel's: as runc, which says so and goes on. */
		if (bit < 0)
			log_warn("%s: ignoring unknown or unavailable capabilities: [%.40s]", c->file,
				 names.v[i]);
		else
			*set |= 1ull << bit;
	}
	return rc;
}

static const struct oci_field caps_fields[] = {
	OCI_FIELD("bounding", OCI_GUEST, struct oci_caps, bounding, read_cap_set),
	OCI_FIELD("effective", OCI_GUEST, struct oci_caps, effective, read_cap_set),
	OCI_FIELD("inheritable", OCI_GUEST, struct oci_caps, inheritable, read_cap_set),
	OCI_FIELD("permitted", OCI_GUEST, struct oci_caps, permitted, read_cap_set),
	OCI_FIELD("ambient", OCI_GUEST, struct oci_caps, ambient, read_cap_set),
	OCI_END,
};

static int read_caps(struct oci_ctx *c, const struct json *v, void *dst)
{
	struct oci_caps *caps = dst;

	caps->present = true;
	return oci_read_object(c, v, caps_fields, caps);
}

static int read_umask(struct oci_ctx *c, const struct json *v, void *dst)
{
	struct oci_user *u = dst;
	int rc = oci_read_u32(c, v, &u->umask);

	if (rc == 0 && u->umask > 0777)
		return oci_fail(c, v, "out of range");
	u->has_umask = rc == 0;
	return rc;
}

static int read_additional_gids(struct oci_ctx *c, const struct json *v, void *dst)
{
	struct oci_user *u = dst;
	void *p;
	int rc = oci_read_array(c, v, sizeof(uint32_t), oci_read_u32, &p, &u->n_additional_gids);

	if (rc == 0)
		u->additional_gids = p;
	return rc;
}

const struct oci_field oci_user_fields[] = {
	OCI_FIELD("uid", OCI_GUEST, struct oci_user, uid, oci_read_u32),
	OCI_FIELD("gid", OCI_GUEST, struct oci_user, gid, oci_read_u32),
	OCI_WHOLE("umask", OCI_GUEST, read_umask),
	OCI_WHOLE("additionalGids", OCI_GUEST, read_additional_gids),
	OCI_IGNORE("username"),
	OCI_END,
};

static int read_user(struct oci_ctx *c, const struct json *v, void *dst)
{
	return oci_read_object(c, v, oci_user_fields, dst);
}

static int read_u16(struct oci_ctx *c, const struct json *v, void *dst)
{
	uint32_t n = 0;
	int rc = oci_read_u32(c, v, &n);

	if (rc < 0)
		return rc;
	if (n > UINT16_MAX)
		return oci_fail(c, v, "%.40s is out of range", v->str);
	*(uint16_t *)dst = (uint16_t)n;
	return 0;
}

static const struct oci_field console_fields[] = {
	OCI_FIELD("height", OCI_GUEST, struct oci_process, rows, read_u16),
	OCI_FIELD("width", OCI_GUEST, struct oci_process, columns, read_u16),
	OCI_END,
};

static int read_console_size(struct oci_ctx *c, const struct json *v, void *dst)
{
	return oci_read_object(c, v, console_fields, dst);
}

static int read_rlimit_type(struct oci_ctx *c, const struct json *v, void *dst)
{
	int rc = oci_read_str(c, v, dst);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < ARRAY_SIZE(rlimit_names); i++)
		if (strcmp(v->str, rlimit_names[i]) == 0)
			return 0;
	return oci_fail(c, v, "unknown resource limit \"%.40s\"", v->str);
}

static const struct oci_field rlimit_fields[] = {
	OCI_REQUIRED("type", OCI_GUEST, struct oci_rlimit, type, read_rlimit_type),
	OCI_REQUIRED("soft", OCI_GUEST, struct oci_rlimit, soft, oci_read_u64),
	OCI_REQUIRED("hard", OCI_GUEST, struct oci_rlimit, hard, oci_read_u64),
	OCI_END,
};

static int read_rlimit(struct oci_ctx *c, const struct json *v, void *dst)
{
	struct oci_rlimit *r = dst;
	int rc = oci_read_object(c, v, rlimit_fields, r);

	if (rc == 0 && r->soft > r->hard)
		return oci_fail(c, v, "soft limit is above the hard limit");
	return rc;
}

static int read_rlimits(struct oci_ctx *c, const struct json *v, void *dst)
{
	struct oci_process *p = dst;
	void *array;
	int rc = oci_read_array(c, v, sizeof(struct oci_rlimit), read_rlimit, &array, &p->n_rlimits);

	if (rc < 0)
		return rc;
	p->rlimits = array;
	for (size_t i = 0; i < p->n_rlimits; i++)
		for (size_t j = 0; j < i; j++)
			if (strcmp(p->rlimits[i].type, p->rlimits[j].type) == 0)
				return oci_fail(c, v->items[i], "%s given twice", p->rlimits[i].type);
	return 0;
}

static int read_args(struct oci_ctx *c, const struct json *v, void *dst)
{
	struct oci_strv *args = dst;
	int rc = oci_read_strv(c, v, args);

	if (rc == 0 && args->n == 0)
		return oci_fail(c, v, "must not be empty");
	if (rc == 0 && !args->v[0][0])
		return oci_fail(c, v->items[0], "must not be empty");
	return rc;
}

static int read_oom_score_adj(struct oci_ctx *c, const struct json *v, void *dst)
{
	struct oci_process *p = dst;
	int64_t n = 0;
	int rc = oci_read_i64(c, v, &n);

	if (rc < 0)
		return rc;
	if (n < -1000 || n > 1000)
		return oci_fail(c, v, "%.40s is not between -1000 and 1000", v->str);
	p->has_oom_score_adj = true;
	p->oom_score_adj = (int)n;
	return 0;
}

const struct oci_field oci_process_fields[] = {
	OCI_FIELD("terminal", OCI_HOST, struct oci_process, terminal, oci_read_bool),
	OCI_WHOLE("consoleSize", OCI_GUEST, read_console_size),
	OCI_FIELD("user", OCI_GUEST, struct oci_process, user, read_user),
	OCI_REQUIRED("args", OCI_GUEST, struct oci_process, args, read_args),
	OCI_IGNORE("commandLine"),
	OCI_FIELD("env", OCI_GUEST, struct oci_process, env, oci_read_env),
	OCI_REQUIRED("cwd", OCI_GUEST, struct oci_process, cwd, oci_read_abspath),
	OCI_FIELD("capabilities", OCI_GUEST, struct oci_process, caps, read_caps),
	OCI_WHOLE("rlimits", OCI_GUEST, read_rlimits),
	OCI_FIELD("noNewPrivileges", OCI_GUEST, struct oci_process, no_new_privileges, oci_read_bool),
	OCI_WHOLE("oomScoreAdj", OCI_GUEST, read_oom_score_adj),
	OCI_IGNORE("apparmorProfile"),
	OCI_IGNORE("selinuxLabel"),
	OCI_WHOLE("scheduler", OCI_GUEST, oci_read_scheduler),
	OCI_WHOLE("ioPriority", OCI_GUEST, oci_read_io_priority),
	OCI_WHOLE("execCPUAffinity", OCI_GUEST, oci_read_affinity),
	OCI_END,
};

int oci_read_process(struct oci_ctx *c, const struct json *v, void *dst)
{
	return oci_read_object(c, v, oci_process_fields, dst);
}
