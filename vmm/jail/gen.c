// SPDX-License-Identifier: Apache-2.0
/*
 * Runs on the build machine: turns the policies' tables into filter programs, as a C file on standard
 * output. Each program is a binary tree over system call numbers, which the kernel walks three times
 * faster than a list.
 *
 *	jail-gen ARCH kill|log
 *
 * "log" is for debugging: what is not allowed is logged by the kernel and then done.
 */
#include <errno.h>
#include <linux/filter.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/jail/jail.h"
#include "vmm/jail/policy.h"

__attribute__((noreturn)) static void die(const char *role, const char *what, const char *why)
{
	fprintf(stderr, "jail-gen: policy %s: %s: %s\n", role, what, why);
	exit(1);
}

static void add_rule(scmp_filter_ctx ctx, uint32_t arch, const char *role,
		     const struct jail_rule *r)
{
	uint32_t action = r->error ? SCMP_ACT_ERRNO((uint32_t)r->error) : SCMP_ACT_ALLOW;
	struct scmp_arg_cmp cmp[ARRAY_SIZE(r->when)];
	unsigned n = 0;
	int nr, rc;

	if (!r->why || !r->why[0])
		die(role, r->syscall, "the row gives no reason");
	nr = seccomp_syscall_resolve_name_arch(arch, r->syscall);
	if (nr == __NR_SCMP_ERROR)
		die(role, r->syscall, "no such system call");
	if (nr < 0) /* it exists, but not on this architecture */
		return;
	for (size_t i = 0; i < ARRAY_SIZE(r->when); i++)
		if (r->when[i].mask)
			cmp[n++] = (struct scmp_arg_cmp){ r->when[i].arg, SCMP_CMP_MASKED_EQ,
							  r->when[i].mask, r->when[i].value };
	rc = seccomp_rule_add_array(ctx, action, nr, n, cmp);
	if (rc < 0 && rc != -EEXIST) /* two lists may hold the same row */
		die(role, r->syscall, strerror(-rc));
}

static void emit(scmp_filter_ctx ctx, const char *role)
{
	struct sock_filter ins;
	FILE *f = tmpfile();
	size_t n = 0;

	if (!f || seccomp_export_bpf(ctx, fileno(f)) < 0)
		die(role, "export", "failed");
	rewind(f);
	printf("static const struct sock_filter filter_%s[] = {\n", role);
	while (fread(&ins, sizeof(ins), 1, f) == 1) {
		printf("\t{ %#x, %u, %u, %#x },\n", ins.code, ins.jt, ins.jf, ins.k);
		n++;
	}
	printf("}; /* %zu instructions */\n\n", n);
	fclose(f);
}

static void generate(const struct jail_policy *p, uint32_t arch, uint32_t action)
{
	scmp_filter_ctx ctx = seccomp_init(action);

	if (!ctx || seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2) < 0 ||
	    seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS) < 0)
		die(p->name, "libseccomp", "too old");
	if (arch != seccomp_arch_native() &&
	    (seccomp_arch_add(ctx, arch) < 0 || seccomp_arch_remove(ctx, SCMP_ARCH_NATIVE) < 0))
		die(p->name, "architecture", "not supported");
	for (size_t i = 0; p->lists[i]; i++)
		for (const struct jail_rule *r = p->lists[i]; r->syscall; r++)
			add_rule(ctx, arch, p->name, r);
	emit(ctx, p->name);
	seccomp_release(ctx);
}

int main(int argc, char **argv)
{
	uint32_t arch, action;

	if (argc != 3) {
		fprintf(stderr, "usage: jail-gen ARCH kill|log\n");
		return 1;
	}
	arch = seccomp_arch_resolve_name(argv[1]);
	if (!arch)
		die("*", argv[1], "unknown architecture");
	action = strcmp(argv[2], "log") == 0 ? SCMP_ACT_LOG : SCMP_ACT_KILL_PROCESS;
	printf("/* Made by vmm/jail/gen.c from vmm/jail/policy_*.c. */\n"
	       "#include <linux/filter.h>\n#include \"vmm/jail/filters.h\"\n\n");
	for (size_t i = 0; i < JAIL_ROLES; i++)
		generate(&jail_policies[i], arch, action);
	printf("const struct sock_fprog jail_filters[] = {\n");
	for (size_t i = 0; i < JAIL_ROLES; i++) {
		const char *name = jail_policies[i].name;

		printf("\t{ sizeof(filter_%s) / sizeof(filter_%s[0]), (struct sock_filter *)filter_%s },\n",
		       name, name, name);
	}
	printf("};\n");
	return fflush(stdout) || ferror(stdout) ? 1 : 0;
}
