// SPDX-License-Identifier: Apache-2.0
#include "vmm/jail/policy.h"

#include "vmm/jail/jail.h"

#define LISTS(...) (const struct jail_rule *const[]){ jail_rules_common, __VA_ARGS__, NULL }

const struct jail_policy jail_policies[JAIL_ROLES] = {
	[JAIL_CONTROL] = { "control",
			   LISTS(jail_rules_loop, jail_rules_hv_irq, jail_rules_control) },
	[JAIL_IO] = { "io", LISTS(jail_rules_loop, jail_rules_hv_irq, jail_rules_io) },
	[JAIL_VCPU] = { "vcpu", LISTS(jail_rules_hv_irq, jail_rules_hv_run, jail_rules_vcpu) },
	[JAIL_FS] = { "fs", LISTS(jail_rules_loop, jail_rules_hv_irq, jail_rules_fs) },
	[JAIL_DISK] = { "disk", LISTS(jail_rules_loop, jail_rules_hv_irq, jail_rules_disk) },
};
