// SPDX-License-Identifier: Apache-2.0
#include "runtime/host/filter.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>

#if defined(__x86_64__)
#define OWN_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define OWN_ARCH AUDIT_ARCH_AARCH64
#endif

#ifdef HUSK_SANITIZE
#define SANITIZED true
#else
#define SANITIZED false
#endif

#define ROW_INSNS 2
#define ARG_INSNS 6
#define MAX_INSNS (8 + ROW_INSNS * 64 + ARG_INSNS * 16)

struct program {
	struct sock_filter insn[MAX_INSNS];
	unsigned short n;
};

static void put(struct program *p, struct sock_filter f)
{
	bug_on(p->n >= MAX_INSNS);
	p->insn[p->n++] = f;
}

#define LOAD(off)        ((struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(off)))
#define RETURN(v)        ((struct sock_filter)BPF_STMT(BPF_RET | BPF_K, (v)))
#define JUMP_EQ(v, t, f) ((struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (v), (t), (f)))
#define ARG_LOW(i)       (offsetof(struct seccomp_data, args) + 8 * (i))

int filter_install(const struct filter_call *calls, size_t n, const struct filter_arg *args, size_t n_args, struct err *e)
{
	static struct program p;
	struct sock_fprog prog = { .filter = p.insn };

	if (SANITIZED)
		return 0;
	put(&p, LOAD(offsetof(struct seccomp_data, arch)));
	put(&p, JUMP_EQ(OWN_ARCH, 1, 0));
	put(&p, RETURN(SECCOMP_RET_KILL_PROCESS));
	put(&p, LOAD(offsetof(struct seccomp_data, nr)));
	for (size_t i = 0; i < n; i++) {
		put(&p, JUMP_EQ((uint32_t)calls[i].nr, 0, 1));
		put(&p, RETURN(SECCOMP_RET_ALLOW));
	}
	for (size_t i = 0; i < n_args; i++) {
		/* The kernel looks at the low half of these arguments only. */
		put(&p, JUMP_EQ((uint32_t)args[i].nr, 0, 4));
		put(&p, LOAD(ARG_LOW(args[i].arg)));
		put(&p, JUMP_EQ(args[i].value, 0, 1));
		put(&p, RETURN(SECCOMP_RET_ALLOW));
		put(&p, LOAD(offsetof(struct seccomp_data, nr)));
	}
	put(&p, RETURN(SECCOMP_RET_KILL_PROCESS));
	prog.len = p.n;
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog, 0, 0) < 0)
		return err_errno(e, errno, "cannot install the system call filter");
	return 0;
}
