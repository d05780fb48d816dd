// SPDX-License-Identifier: Apache-2.0
#include "agent-proto/agent/devfilter.h"

#include <linux/bpf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/cleanup.h"

#define ALL (BPF_DEVCG_ACC_MKNOD | BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE)
#define CHR BPF_DEVCG_DEV_CHAR
#define BLK BPF_DEVCG_DEV_BLOCK

/* Allowed whatever the rules say, as in runc: without them no container works. */
static const struct {
	int type, major, minor; /* -1: any */
	unsigned access;
	const char *path; /* a configuration that has a device there says itself what is allowed; NULL: none can */
} always[] = {
	{ CHR, -1, -1, BPF_DEVCG_ACC_MKNOD, NULL },
	{ BLK, -1, -1, BPF_DEVCG_ACC_MKNOD, NULL },
	{ CHR, 1, 3, ALL, "/dev/null" },
	{ CHR, 1, 5, ALL, "/dev/zero" },
	{ CHR, 1, 7, ALL, "/dev/full" },
	{ CHR, 1, 8, ALL, "/dev/random" },
	{ CHR, 1, 9, ALL, "/dev/urandom" },
	{ CHR, 5, 0, ALL, "/dev/tty" },
	{ CHR, 5, 2, ALL, NULL },   /* ptmx */
	{ CHR, 136, -1, ALL, NULL }, /* pts */
};

static bool has_at(Husk__Agent__V1__Device *const *devices, size_t n, const char *path)
{
	for (size_t i = 0; path && i < n; i++)
		if (strcmp(devices[i]->path, path) == 0)
			return true;
	return false;
}

#define ALU64_MOV_X(d, s) ((struct bpf_insn){ BPF_ALU64 | BPF_MOV | BPF_X, d, s, 0, 0 })
#define ALU64_IMM(op, d, i) ((struct bpf_insn){ BPF_ALU64 | (op) | BPF_K, d, 0, 0, i })
#define LOAD_W(d, s, o) ((struct bpf_insn){ BPF_LDX | BPF_MEM | BPF_W, d, s, o, 0 })
#define JNE(d, i, o) ((struct bpf_insn){ BPF_JMP32 | BPF_JNE | BPF_K, d, 0, o, i })
#define JSET(d, i, o) ((struct bpf_insn){ BPF_JMP32 | BPF_JSET | BPF_K, d, 0, o, i })
#define JA(o) ((struct bpf_insn){ BPF_JMP | BPF_JA, 0, 0, o, 0 })
#define EXIT() ((struct bpf_insn){ BPF_JMP | BPF_EXIT, 0, 0, 0, 0 })

enum { R_TYPE = BPF_REG_2, R_ACCESS = BPF_REG_3, R_MAJOR = BPF_REG_4, R_MINOR = BPF_REG_5 };

#define HEAD_LEN 6
#define RULE_LEN 7 /* at most */

struct filter {
	struct bpf_insn *insn;
	unsigned n;
};

static void emit(struct filter *f, struct bpf_insn i)
{
	f->insn[f->n++] = i;
}

static void emit_head(struct filter *f)
{
	/* r1: struct bpf_cgroup_dev_ctx; access_type holds the type below and the access above. */
	emit(f, LOAD_W(R_TYPE, BPF_REG_1, 0));
	emit(f, ALU64_MOV_X(R_ACCESS, R_TYPE));
	emit(f, ALU64_IMM(BPF_AND, R_TYPE, 0xffff));
	emit(f, ALU64_IMM(BPF_RSH, R_ACCESS, 16));
	emit(f, LOAD_W(R_MAJOR, BPF_REG_1, 4));
	emit(f, LOAD_W(R_MINOR, BPF_REG_1, 8));
}

/*
 * One rule. A device that does not fit falls out of it. Else what it denies of what is still asked for ends it all, and
 * what it allows need not be asked any more; nothing left is the end, too. So for each kind of access the last
 * rule counts that names it, as in the groups of version 1.
 */
static void emit_rule(struct filter *f, int type, int major, int minor, unsigned access, bool allow)
{
	unsigned tail = access == ALL ? 2 : 4;
	unsigned n = (type != 0) + (major >= 0) + (minor >= 0);

	if (type)
		emit(f, JNE(R_TYPE, type, (short)(--n + tail)));
	if (major >= 0)
		emit(f, JNE(R_MAJOR, major, (short)(--n + tail)));
	if (minor >= 0)
		emit(f, JNE(R_MINOR, minor, (short)(--n + tail)));
	if (access != ALL && allow) {
		emit(f, ALU64_IMM(BPF_AND, R_ACCESS, (int)(ALL & ~access)));
		emit(f, JNE(R_ACCESS, 0, 2));
	} else if (access != ALL) {
		emit(f, JSET(R_ACCESS, (int)access, 1));
		emit(f, JA(2));
	}
	emit(f, ALU64_IMM(BPF_MOV, BPF_REG_0, allow));
	emit(f, EXIT());
}

static unsigned access_bits(const char *s)
{
	return (strchr(s, 'm') ? (unsigned)BPF_DEVCG_ACC_MKNOD : 0u) |
	       (strchr(s, 'r') ? (unsigned)BPF_DEVCG_ACC_READ : 0u) |
	       (strchr(s, 'w') ? (unsigned)BPF_DEVCG_ACC_WRITE : 0u);
}

static int type_bits(const char *s)
{
	switch (s[0]) {
	case 'c':
		return BPF_DEVCG_DEV_CHAR;
	case 'b':
		return BPF_DEVCG_DEV_BLOCK;
	default:
		return 0;
	}
}

static int load(const struct filter *f)
{
	static const char license[] = "Apache-2.0";
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
	attr.insns = (uint64_t)(uintptr_t)f->insn;
	attr.insn_cnt = f->n;
	attr.license = (uint64_t)(uintptr_t)license;
	long fd = syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));

	return fd < 0 ? -errno : (int)fd;
}

/* @was: the program to take the place of; -1: none. */
static int attach(int cgroup, int prog, int was)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.target_fd = (uint32_t)cgroup;
	attr.attach_bpf_fd = (uint32_t)prog;
	attr.attach_type = BPF_CGROUP_DEVICE;
	attr.attach_flags = BPF_F_ALLOW_MULTI | (was < 0 ? 0 : BPF_F_REPLACE);
	attr.replace_bpf_fd = was < 0 ? 0 : (uint32_t)was;
	return syscall(SYS_bpf, BPF_PROG_ATTACH, &attr, sizeof(attr)) < 0 ? -errno : 0;
}

int devfilter_attach(int cgroup, Husk__Agent__V1__DeviceRule *const *rules, size_t n,
		     Husk__Agent__V1__Device *const *devices, size_t n_devices, int *prog_fd, struct err *e)
{
	_cleanup_close_ int prog = -1;
	_cleanup_free_ struct bpf_insn *insn = NULL;
	struct filter f = { .insn = NULL };
	bool decided = false;
	int rc;

	insn = calloc(HEAD_LEN + RULE_LEN * (n + ARRAY_SIZE(always)) + 2, sizeof(*insn));
	if (!insn)
		return err_set(e, ENOMEM, "out of memory");
	f.insn = insn;
	emit_head(&f);
	for (size_t i = 0; i < ARRAY_SIZE(always); i++)
		if (!has_at(devices, n_devices, always[i].path))
			emit_rule(&f, always[i].type, always[i].major, always[i].minor, always[i].access, true);
	for (size_t i = n; i-- > 0 && !decided;) {
		/* Nothing falls out of a rule without a condition, and the verifier refuses instructions that
		 * nothing reaches. "a" is every device and every access, whatever stands beside it. */
		decided = !type_bits(rules[i]->type);
		if (decided)
			emit_rule(&f, 0, -1, -1, ALL, rules[i]->allow);
		else
			emit_rule(&f, type_bits(rules[i]->type), (int)rules[i]->major, (int)rules[i]->minor,
				  access_bits(rules[i]->access), rules[i]->allow);
	}
	if (!decided) {
		emit(&f, ALU64_IMM(BPF_MOV, BPF_REG_0, 0));
		emit(&f, EXIT());
	}
	prog = load(&f);
	rc = prog < 0 ? prog : attach(cgroup, prog, *prog_fd);
	if (rc < 0)
		return err_errno(e, -rc, "device filter");
	close_and_reset(prog_fd);
	*prog_fd = steal_fd(&prog);
	return 0;
}
