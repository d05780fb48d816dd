// SPDX-License-Identifier: Apache-2.0
/*
 * linux.seccomp as a program of the kernel's, by libseccomp, with a head of our own: as runc does it, a system call that
 * is newer than all that the profile names fails with ENOSYS and not with the default action, or C
 * libraries that try a new call first would never try the old one.
 */
#include "runtime/oci/field.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent-proto/proto/limits.h"
#include "lib/cleanup.h"
#include "lib/io.h"
#include "lib/log.h"

#define X32_BIT 0x40000000u

static int refused(struct err *e, int rc, const char *what)
{
	return err_errno(e, -rc, "config.json: linux.seccomp: %s", what);
}

/* ---- the profile, by libseccomp ------------------------------------------------------------------ */

static struct scmp_arg_cmp compare(const struct oci_seccomp_arg *a)
{
	return (struct scmp_arg_cmp){ .arg = a->index,
				      .op = (enum scmp_compare)a->op,
				      .datum_a = a->value,
				      .datum_b = a->value_two };
}

static bool index_given_twice(const struct oci_seccomp_rule *r)
{
	unsigned seen = 0;

	for (size_t i = 0; i < r->n_args; i++) {
		if (seen >> r->args[i].index & 1)
			return true;
		seen |= 1u << r->args[i].index;
	}
	return false;
}

/* All conditions must hold; but where one argument has several, each stands alone (runc's, for old profiles). */
static int add_call(scmp_filter_ctx f, const struct oci_seccomp_rule *r, int nr)
{
	struct scmp_arg_cmp cmp[6];
	bool alone = index_given_twice(r);
	int rc = 0;

	if (!alone) {
		for (size_t i = 0; i < r->n_args; i++)
			cmp[i] = compare(&r->args[i]);
		return seccomp_rule_add_array(f, r->action, nr, (unsigned)r->n_args, cmp);
	}
	for (size_t i = 0; rc == 0 && i < r->n_args; i++) {
		cmp[0] = compare(&r->args[i]);
		rc = seccomp_rule_add_array(f, r->action, nr, 1, cmp);
	}
	return rc;
}

static int add_rule(scmp_filter_ctx f, const struct oci_seccomp *s,
		    const struct oci_seccomp_rule *r, struct err *e)
{
	/* libseccomp takes it for a mistake. */
	if (r->action == s->default_action)
		return 0;
	for (size_t i = 0; i < r->names.n; i++) {
		int nr = seccomp_syscall_resolve_name(r->names.v[i]);
		int rc;

		if (nr == __NR_SCMP_ERROR) {
			log_debug("config.json: linux.seccomp: unknown system call \"%.60s\" "
				  "passed over",
				  r->names.v[i]);
			continue;
		}
		rc = add_call(f, r, nr);
		if (rc < 0)
			return refused(e, rc, r->names.v[i]);
	}
	return 0;
}

/* An architecture that is unknown here, or of the other byte order, is none that the guest could execute: its calls
 * are as little foreseen as those of one that is not listed. */
static int add_archs(scmp_filter_ctx f, const struct oci_seccomp *s, struct err *e)
{
	for (size_t i = 0; i < s->n_archs; i++) {
		int rc = s->archs[i] ? seccomp_arch_add(f, s->archs[i]) : -EDOM;

		if (rc < 0 && rc != -EEXIST && rc != -EDOM)
			return refused(e, rc, "architectures");
	}
	return 0;
}

/* libseccomp 2.5 writes to descriptors only. */
static int export(scmp_filter_ctx f, struct sock_filter *insn, size_t max, size_t *ret_n,
		  struct err *e)
{
	_cleanup_close_ int mem = memfd_create("seccomp", MFD_CLOEXEC);
	off_t size;
	int rc;

	if (mem < 0)
		return refused(e, -errno, "memfd");
	rc = seccomp_export_bpf(f, mem);
	if (rc < 0)
		return refused(e, rc, "cannot be compiled");
	size = lseek(mem, 0, SEEK_CUR);
	if (size < 0 || (size_t)size > max * sizeof(*insn))
		return err_set(
			e, E2BIG,
			"config.json: linux.seccomp: makes %lld instructions, a kernel takes %zu",
			(long long)size / (long long)sizeof(*insn), max);
	rc = io_pread_full(mem, insn, (size_t)size, 0);
	if (rc < 0)
		return refused(e, rc, "memfd");
	*ret_n = (size_t)size / sizeof(*insn);
	return 0;
}

static int compile(scmp_filter_ctx f, const struct oci_seccomp *s, struct sock_filter *insn,
		   size_t max, size_t *ret_n, struct err *e)
{
	int rc = seccomp_attr_set(f, SCMP_FLTATR_CTL_NNP, 0);

	if (rc < 0)
		return refused(e, rc, "cannot be compiled");
	rc = add_archs(f, s, e);
	for (size_t i = 0; rc == 0 && i < s->n_rules; i++)
		rc = add_rule(f, s, &s->rules[i], e);
	return rc < 0 ? rc : export(f, insn, max, ret_n, e);
}

/* ---- the head ------------------------------------------------------------------------------------ */

/* What the kernel calls an architecture whose calls a profile lists, and the highest number of those; x32 is x86_64
 * with a bit in the number. */
struct newest {
	uint32_t arch, nr;
	bool has_x32;
	uint32_t x32_nr;
};
#define MAX_ARCHS 32
#define MAX_HEAD  (MAX_ARCHS * 8)

#define LOAD(member)                                                                               \
	((struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,                                    \
				      offsetof(struct seccomp_data, member)))
#define JUMP(op, v, t, f)                                                                          \
	((struct sock_filter)BPF_JUMP(BPF_JMP | (op) | BPF_K, (v), (uint8_t)(t), (uint8_t)(f)))
#define NO_SUCH_CALL ((struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS))

static const struct {
	uint32_t scmp, audit;
} audit_of[] = {
	{ SCMP_ARCH_X32, AUDIT_ARCH_X86_64 }, /* the others' numbers are the same */
	{ SCMP_ARCH_MIPS64N32, AUDIT_ARCH_MIPS64N32 },
	{ SCMP_ARCH_MIPSEL64N32, AUDIT_ARCH_MIPSEL64N32 },
};

static uint32_t to_audit(uint32_t scmp)
{
	for (size_t i = 0; i < ARRAY_SIZE(audit_of); i++)
		if (audit_of[i].scmp == scmp)
			return audit_of[i].audit;
	return scmp;
}

/* The highest number that the profile's names have there, -1: none. */
static int highest(const struct oci_seccomp *s, uint32_t arch)
{
	int most = -1;

	for (size_t i = 0; i < s->n_rules; i++) {
		for (size_t k = 0; k < s->rules[i].names.n; k++) {
			int nr = seccomp_syscall_resolve_name_arch(arch, s->rules[i].names.v[k]);

			if (nr > most)
				most = nr;
		}
	}
	return most;
}

static void note_arch(const struct oci_seccomp *s, uint32_t arch, struct newest *list, size_t *n)
{
	uint32_t audit = to_audit(arch);
	int nr = highest(s, arch);
	size_t i = 0;

	while (i < *n && list[i].arch != audit)
		i++;
	if (nr < 0 || i == MAX_ARCHS)
		return;
	if (i == *n)
		list[(*n)++] = (struct newest){ .arch = audit, .nr = UINT32_MAX };
	if (arch == SCMP_ARCH_X32) {
		list[i].has_x32 = true;
		list[i].x32_nr = (uint32_t)nr;
	} else {
		list[i].nr = (uint32_t)nr;
	}
}

static size_t put_arch(const struct newest *a, struct sock_filter *out)
{
	size_t n = 0;

	if (a->arch != AUDIT_ARCH_X86_64) {
		out[n++] = LOAD(arch);
		out[n++] = JUMP(BPF_JEQ, a->arch, 0, 3);
		out[n++] = LOAD(nr);
		out[n++] = JUMP(BPF_JGT, a->nr, 0, 1);
		out[n++] = NO_SUCH_CALL;
		return n;
	}
	out[n++] = LOAD(arch);
	out[n++] = JUMP(BPF_JEQ, a->arch, 0, 5);
	out[n++] = LOAD(nr);
	out[n++] = JUMP(BPF_JGE, X32_BIT, 0, 1);
	/* Without x32 in the profile its calls are a foreign architecture's, and libseccomp's to refuse. */
	out[n++] = a->has_x32 ? JUMP(BPF_JGT, a->x32_nr, 1, 2) : JUMP(BPF_JA, 2, 0, 0);
	out[n++] = JUMP(BPF_JGT, a->nr, 0, 1);
	out[n++] = NO_SUCH_CALL;
	return n;
}

/* Where the default is to let calls through, the kernel itself says what it does not know. */
static bool wants_head(uint32_t action)
{
	switch (action & SECCOMP_RET_ACTION_FULL) {
	case SECCOMP_RET_ALLOW:
	case SECCOMP_RET_LOG:
	case SECCOMP_RET_TRACE:
		return false;
	default:
		return action != SCMP_ACT_ERRNO(ENOSYS);
	}
}

static size_t make_head(const struct oci_seccomp *s, struct sock_filter *out)
{
	struct newest list[MAX_ARCHS];
	size_t narchs = 0, n = 0;

	if (!wants_head(s->default_action))
		return 0;
	note_arch(s, seccomp_arch_native(), list, &narchs);
	for (size_t i = 0; i < s->n_archs; i++)
		if (s->archs[i])
			note_arch(s, s->archs[i], list, &narchs);
	for (size_t i = 0; i < narchs; i++)
		n += put_arch(&list[i], out + n);
	return n;
}

int oci_seccomp_compile(struct oci_spec *s, struct err *e)
{
	struct sock_filter *insn;
	scmp_filter_ctx f;
	size_t head, n = 0;
	int rc;

	if (!s->seccomp.present)
		return 0;
	insn = calloc(MAX_HEAD + AGENT_MAX_SECCOMP, sizeof(*insn));
	if (!insn)
		return err_set(e, ENOMEM, "out of memory");
	/* What this host's kernel can do says nothing about the guest's. */
	seccomp_api_set(6);
	f = seccomp_init(s->seccomp.default_action);
	if (!f) {
		free(insn);
		return err_set(e, EINVAL,
			       "config.json: linux.seccomp: libseccomp refuses the default action");
	}
	head = make_head(&s->seccomp, insn);
	rc = compile(f, &s->seccomp, insn + head, AGENT_MAX_SECCOMP - head, &n, e);
	seccomp_release(f);
	if (rc < 0) {
		free(insn);
		return rc;
	}
	free(s->seccomp.filter);
	s->seccomp.filter = insn;
	s->seccomp.filter_len = (head + n) * sizeof(*insn);
	return 0;
}
