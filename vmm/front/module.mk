# SPDX-License-Identifier: Apache-2.0
VMM_FRONT_OPTION_OBJS := vmm/front/options vmm/front/keyval vmm/front/net_option vmm/front/disk_option vmm/backend/ratelimit \
	lib/diskfile
VMM_FRONT_OBJS := $(VMM_FRONT_OPTION_OBJS) vmm/front/files vmm/front/spawn vmm/front/terminal \
	vmm/front/events vmm/front/vm vmm/front/vsock vmm/front/net vmm/front/tap_open vmm/backend/tap

PROGRAMS += husk-vmm
husk-vmm_OBJS = vmm/front/main $(VMM_FRONT_OBJS) $(NATIVE_CLIENT_OBJS) $(LIB_BASE) lib/mounttree

# A front for tests of devices that come and go.
TEST_PROGRAMS += net-hotplug
net-hotplug_OBJS = tests/vm/net_hotplug $(VMM_FRONT_OPTION_OBJS) vmm/front/spawn vmm/front/net vmm/front/tap_open \
	vmm/backend/tap $(NATIVE_CLIENT_OBJS) $(LIB_BASE)
ifeq ($(ARCH)$(SAN),x86_64)
all: $(B)/bin/net-hotplug
endif

UNIT_TESTS += vmm_options
vmm_options_TEST_OBJS = $(LIB_BASE) $(VMM_FRONT_OPTION_OBJS)
FUZZ_TARGETS += vmm_args
vmm_args_FUZZ_OBJS = $(LIB_BASE) $(VMM_FRONT_OPTION_OBJS)
