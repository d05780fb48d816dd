// SPDX-License-Identifier: Apache-2.0
/* "linux.seccomp" as plain data. What becomes of it: seccomp_bpf.c. */
#include "runtime/oci/field.h"

#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>

#include "lib/log.h"

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1ul << 5)
#endif

#define EPERM_DEFAULT 1
#define MAX_ERRNO     4095 /* the kernel cuts it there */

#define NO_TOKEN 0 /* of an architecture that this libseccomp does not know */

static const struct oci_word actions[] = {
	{ "SCMP_ACT_KILL", SCMP_ACT_KILL_THREAD },
	{ "SCMP_ACT_KILL_THREAD", SCMP_ACT_KILL_THREAD },
	{ "SCMP_ACT_KILL_PROCESS", SCMP_ACT_KILL_PROCESS },
	{ "SCMP_ACT_TRAP", SCMP_ACT_TRAP },
	{ "SCMP_ACT_ERRNO", SCMP_ACT_ERRNO(0) },
	{ "SCMP_ACT_TRACE", SCMP_ACT_TRACE(0) },
	{ "SCMP_ACT_ALLOW", SCMP_ACT_ALLOW },
	{ "SCMP_ACT_LOG", SCMP_ACT_LOG },
};

static const struct oci_word operators[] = {
	{ "SCMP_CMP_NE", SCMP_CMP_NE },
	{ "SCMP_CMP_LT", SCMP_CMP_LT },
	{ "SCMP_CMP_LE", SCMP_CMP_LE },
	{ "SCMP_CMP_EQ", SCMP_CMP_EQ },
	{ "SCMP_CMP_GE", SCMP_CMP_GE },
	{ "SCMP_CMP_GT", SCMP_CMP_GT },
	{ "SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ },
};

#ifndef SCMP_ARCH_LOONGARCH64
#define SCMP_ARCH_LOONGARCH64 NO_TOKEN
#endif
#ifndef SCMP_ARCH_M68K
#define SCMP_ARCH_M68K NO_TOKEN
#endif
#ifndef SCMP_ARCH_SH
#define SCMP_ARCH_SH NO_TOKEN
#endif
#ifndef SCMP_ARCH_SHEB
#define SCMP_ARCH_SHEB NO_TOKEN
#endif

static const struct oci_word architectures[] = {
	{ "SCMP_ARCH_X86", SCMP_ARCH_X86 },
	{ "SCMP_ARCH_X86_64", SCMP_ARCH_X86_64 },
	{ "SCMP_ARCH_X32", SCMP_ARCH_X32 },
	{ "SCMP_ARCH_ARM", SCMP_ARCH_ARM },
	{ "SCMP_ARCH_AARCH64", SCMP_ARCH_AARCH64 },
	{ "SCMP_ARCH_MIPS", SCMP_ARCH_MIPS },
	{ "SCMP_ARCH_MIPS64", SCMP_ARCH_MIPS64 },
	{ "SCMP_ARCH_MIPS64N32", SCMP_ARCH_MIPS64N32 },
	{ "SCMP_ARCH_MIPSEL", SCMP_ARCH_MIPSEL },
	{ "SCMP_ARCH_MIPSEL64", SCMP_ARCH_MIPSEL64 },
	{ "SCMP_ARCH_MIPSEL64N32", SCMP_ARCH_MIPSEL64N32 },
	{ "SCMP_ARCH_PPC", SCMP_ARCH_PPC },
	{ "SCMP_ARCH_PPC64", SCMP_ARCH_PPC64 },
	{ "SCMP_ARCH_PPC64LE", SCMP_ARCH_PPC64LE },
	{ "SCMP_ARCH_S390", SCMP_ARCH_S390 },
	{ "SCMP_ARCH_S390X", SCMP_ARCH_S390X },
	{ "SCMP_ARCH_PARISC", SCMP_ARCH_PARISC },
	{ "SCMP_ARCH_PARISC64", SCMP_ARCH_PARISC64 },
	{ "SCMP_ARCH_RISCV64", SCMP_ARCH_RISCV64 },
	{ "SCMP_ARCH_LOONGARCH64", SCMP_ARCH_LOONGARCH64 },
	{ "SCMP_ARCH_M68K", SCMP_ARCH_M68K },
	{ "SCMP_ARCH_SH", SCMP_ARCH_SH },
	{ "SCMP_ARCH_SHEB", SCMP_ARCH_SHEB },
};

static const struct oci_word flags[] = {
	/* There is one thread when the filter is installed. */
	{ "SECCOMP_FILTER_FLAG_TSYNC", SECCOMP_FILTER_FLAG_TSYNC },
	{ "SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG },
	{ "SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW },
	/* It says how long a supervisor may be waited for, and there is none: the kernel takes it with a listener
	 * alone. */
	{ "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", 0 },
};

#define READ_WORD(c, v, words, what, ret) oci_read_word(c, v, words, ARRAY_SIZE(words), what, ret)

static int read_action(struct oci_ctx *c, const struct json *v, void *dst)
{
	if (v->type == JSON_STRING && strcmp(v->str, "SCMP_ACT_NOTIFY") == 0)
		return oci_fail(c, v,
				"SCMP_ACT_NOTIFY is not supported: a supervisor on the host "
				"cannot serve system calls in a virtual machine");
	return READ_WORD(c, v, actions, "action", dst);
}

static int read_arch(struct oci_ctx *c, const struct json *v, void *dst)
{
	return READ_WORD(c, v, architectures, "architecture", dst);
}

static int read_flag(struct oci_ctx *c, const struct json *v, void *dst)
{
	return READ_WORD(c, v, flags, "flag", dst);
}

static int read_op(struct oci_ctx *c, const struct json *v, void *dst)
{
	return READ_WORD(c, v, operators, "operator", dst);
}

static int read_index(struct oci_ctx *c, const struct json *v, void *dst)
{
	int rc = oci_read_u32(c, v, dst);

	if (rc == 0 && *(uint32_t *)dst > 5)
		return oci_fail(c, v, "a system call has arguments 0 to 5");
	return rc;
}

/* The errno beside an action, -1: none. */
static int read_errno(struct oci_ctx *c, const struct json *v, void *dst)
{
	uint32_t n = 0;
	int rc = oci_read_u32(c, v, &n);

	if (rc < 0)
		return rc;
	if (n > MAX_ERRNO)
		return oci_fail(c, v, "%.20s is out of range, 0 to 4095", v->str);
	*(int *)dst = (int)n;
	return 0;
}

/* Of an action and its errno, the two as one number of libseccomp's. Beside another action runc does not look at it. */
static void join_errno(struct oci_ctx *c, const struct json *v, const char *field, uint32_t *action, int errnum)
{
	char path[200];

	if (*action == SCMP_ACT_ERRNO(0) || *action == SCMP_ACT_TRACE(0))
		*action |= (uint32_t)(errnum < 0 ? EPERM_DEFAULT : errnum);
	else if (errnum >= 0)
		log_warn("%s: %s: %s is without effect: only SCMP_ACT_ERRNO and SCMP_ACT_TRACE have one", c->file,
			 json_path(v, path, sizeof(path)), field);
}

static const struct oci_field arg_fields[] = {
	OCI_REQUIRED("index", OCI_GUEST, struct oci_seccomp_arg, index, read_index),
	OCI_REQUIRED("value", OCI_GUEST, struct oci_seccomp_arg, value, oci_read_u64),
	OCI_FIELD("valueTwo", OCI_GUEST, struct oci_seccomp_arg, value_two, oci_read_u64),
	OCI_REQUIRED("op", OCI_GUEST, struct oci_seccomp_arg, op, read_op),
	OCI_END,
};

static int read_arg(struct oci_ctx *c, const struct json *v, void *dst)
{
	return oci_read_object(c, v, arg_fields, dst);
}

static int read_args(struct oci_ctx *c, const struct json *v, void *dst)
{
	struct oci_seccomp_rule *r = dst;
	void *p;
	int rc = oci_read_array(c, v, sizeof(struct oci_seccomp_arg), read_arg, &p, &r->n_args);

	if (rc == 0)
		r->args = p;
	return rc;
}

struct rule_reading {
	struct oci_seccomp_rule r;
	int errnum;
};

static const struct oci_field rule_fields[] = {
	OCI_REQUIRED("names", OCI_GUEST, struct rule_reading, r.names, oci_read_strv),
	OCI_REQUIRED("action", OCI_GUEST, struct rule_reading, r.action, read_action),
	OCI_FIELD("errnoRet", OCI_GUEST, struct rule_reading, errnum, read_errno),
	OCI_FIELD("args", OCI_GUEST, struct rule_reading, r, read_args),
	OCI_END,
};

static int read_rule(struct oci_ctx *c, const struct json *v, void *dst)
{
	struct rule_reading reading = { .errnum = -1 };
	int rc = oci_read_object(c, v, rule_fields, &reading);

	if (rc == 0)
		join_errno(c, v, "errnoRet", &reading.r.action, reading.errnum);
	*(struct oci_seccomp_rule *)dst = reading.r;
	return rc;
}

struct seccomp_reading {
	struct oci_seccomp s;
	int errnum;
	bool has_flags;
};

static int read_rules(struct oci_ctx *c, const struct json *v, void *dst)
{
	struct seccomp_reading *r = dst;
	void *p;
	int rc =
		oci_read_array(c, v, sizeof(struct oci_seccomp_rule), read_rule, &p, &r->s.n_rules);

	if (rc == 0)
		r->s.rules = p;
	return rc;
}

static int read_archs(struct oci_ctx *c, const struct json *v, void *dst)
{
	struct seccomp_reading *r = dst;
	void *p;
	int rc = oci_read_array(c, v, sizeof(uint32_t), read_arch, &p, &r->s.n_archs);

	if (rc == 0)
		r->s.archs = p;
	return rc;
}

static int read_flags(struct oci_ctx *c, const struct json *v, void *dst)
{
	struct seccomp_reading *r = dst;
	const uint32_t *list;
	void *p;
	size_t n;
	int rc = oci_read_array(c, v, sizeof(uint32_t), read_flag, &p, &n);

	if (rc < 0)
		return rc;
	list = p;
	r->has_flags = true;
	for (size_t i = 0; i < n; i++)
		r->s.flags |= list[i];
	return 0;
}

const struct oci_field oci_seccomp_fields[] = {
	OCI_REQUIRED("defaultAction", OCI_GUEST, struct seccomp_reading, s.default_action,
		     read_action),
	OCI_FIELD("defaultErrnoRet", OCI_GUEST, struct seccomp_reading, errnum, read_errno),
	OCI_WHOLE("architectures", OCI_GUEST, read_archs),
	OCI_WHOLE("flags", OCI_GUEST, read_flags),
	OCI_WHOLE("syscalls", OCI_GUEST, read_rules),
	OCI_REFUSE("listenerPath"),
	OCI_REFUSE("listenerMetadata"),
	OCI_END,
};

static bool is_unset(const struct json *v, const char *name)
{
	const struct json *m = json_get(v, name);

	return !m || oci_is_empty(m);
}

int oci_read_seccomp(struct oci_ctx *c, const struct json *v, void *dst)
{
	struct seccomp_reading reading = { .errnum = -1 };
	int rc;

	/* As runc: with neither of the two nothing is asked for. */
	if (v->type == JSON_OBJECT && is_unset(v, "defaultAction") && is_unset(v, "syscalls"))
		return 0;
	rc = oci_read_object(c, v, oci_seccomp_fields, &reading);
	if (rc < 0)
		return rc;
	join_errno(c, v, "defaultErrnoRet", &reading.s.default_action, reading.errnum);
	/* runc's default; an empty list is a list. */
	if (!reading.has_flags)
		reading.s.flags = SECCOMP_FILTER_FLAG_SPEC_ALLOW;
	reading.s.present = true;
	*(struct oci_seccomp *)dst = reading.s;
	return 0;
}
