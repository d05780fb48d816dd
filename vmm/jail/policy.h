/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the threads of husk-machine may ask of the kernel: plain tables, by role, each row with its reason.
 * vmm/jail/gen.c turns them into filter programs at build time and refuses a row without a reason;
 * unit tests read them too.
 */
#ifndef VMM_JAIL_POLICY_H
#define VMM_JAIL_POLICY_H

#include <stddef.h>
#include <stdint.h>

struct jail_rule {
	const char *syscall; /* by name: a row for a call that the architecture lacks is left out */
	const char *why;
	/* (argument @arg & @mask) == @value must hold for each; mask 0: no condition. */
	struct {
		unsigned arg;
		uint64_t mask, value;
	} when[2];
	int error; /* 0: allowed; else fails with this errno instead of killing */
};

/* Argument is exactly @v: 32 bits for what the kernel takes as int. */
#define ARG32(n, v) { .arg = (n), .mask = 0xffffffffull, .value = (v) }
/* None of the bits @m is set. */
#define WITHOUT(n, m) { .arg = (n), .mask = (m), .value = 0 }

/* What the C library starts a thread with, and nothing but a thread. */
#define THREAD_FLAGS                                                                              \
	(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SYSVSEM | CLONE_SIGHAND | CLONE_THREAD |         \
	 CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID)

struct jail_policy {
	const char *name;
	const struct jail_rule *const *lists; /* NULL-terminated; each list ends with syscall NULL */
};

/* By enum jail_role. */
extern const struct jail_policy jail_policies[];

extern const struct jail_rule jail_rules_common[], jail_rules_loop[], jail_rules_control[],
	jail_rules_io[], jail_rules_vcpu[], jail_rules_fs[], jail_rules_disk[];
/* Who issues the hypervisor's calls lists them: vmm/hv/kvm/policy.c. */
extern const struct jail_rule jail_rules_hv_irq[], jail_rules_hv_run[];

#endif
