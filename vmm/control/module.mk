# SPDX-License-Identifier: Apache-2.0
# What a program that drives a husk-machine links, beside LIB_BASE.
NATIVE_CLIENT_OBJS := vmm/control/native_client vmm/control/native_devices vmm/control/native_desc vmm/control/native_connect
VMM_CONTROL_OBJS := vmm/control/server

UNIT_TESTS += native
native_TEST_OBJS = $(LIB_BASE) $(NATIVE_CLIENT_OBJS) $(VMM_CONTROL_OBJS)
FUZZ_TARGETS += native
native_FUZZ_OBJS = $(LIB_BASE) $(VMM_CONTROL_OBJS) vmm/core/config
