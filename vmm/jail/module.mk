# SPDX-License-Identifier: Apache-2.0
VMM_JAIL_OBJS := vmm/jail/early vmm/jail/userns vmm/jail/root vmm/jail/thread
VMM_JAIL_GEN_OBJS := jail_filters
VMM_JAIL_LIBS := -lcap
JAIL_POLICY_OBJS := vmm/jail/policy vmm/jail/policy_common vmm/jail/policy_roles vmm/jail/policy_fs \
	vmm/hv/kvm/policy

# make JAIL=log: forbidden calls are logged by the kernel and done, to find out what a policy lacks.
JAIL ?= kill
HOSTCC ?= cc

build/host/jail-gen: vmm/jail/gen.c $(JAIL_POLICY_OBJS:%=%.c) vmm/jail/policy.h vmm/jail/jail.h vmm/hv/hv.h
	$(call say,HOSTCC,$@)
	@mkdir -p $(@D)
	$(Q)$(HOSTCC) -std=gnu11 -I. -D_GNU_SOURCE $(WARN) -O1 -o $@ $(filter %.c,$^) -lseccomp

$(B)/gen/jail_filters.c: build/host/jail-gen
	$(call say,GEN,$@)
	@mkdir -p $(@D)
	$(Q)build/host/jail-gen $(ARCH) $(JAIL) >$@

UNIT_TESTS += jail
jail_TEST_OBJS := $(JAIL_POLICY_OBJS) vmm/jail/thread vmm/bus/bus lib/err lib/log
jail_TEST_GEN_OBJS := jail_filters
