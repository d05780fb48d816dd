# SPDX-License-Identifier: Apache-2.0
VMM_BUS_OBJS := vmm/bus/bus

UNIT_TESTS += bus
bus_TEST_OBJS := $(LIB_BASE) vmm/bus/bus
