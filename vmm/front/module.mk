# SPDX-License-Identifier: Apache-2.0
VMM_FRONT_OPTION_OBJS := vmm/front/options vmm/front/keyval
VMM_FRONT_OBJS := $(VMM_FRONT_OPTION_OBJS) vmm/front/files vmm/front/spawn vmm/front/terminal \
	vmm/front/events vmm/front/vm vmm/front/vsock

PROGRAMS += husk-vmm
husk-vmm_OBJS = vmm/front/main $(VMM_FRONT_OBJS) $(NATIVE_CLIENT_OBJS) $(LIB_BASE) lib/mounttree

UNIT_TESTS += vmm_options
vmm_options_TEST_OBJS = $(LIB_BASE) $(VMM_FRONT_OPTION_OBJS)
FUZZ_TARGETS += vmm_args
vmm_args_FUZZ_OBJS = $(LIB_BASE) $(VMM_FRONT_OPTION_OBJS)
