# SPDX-License-Identifier: Apache-2.0
VMM_MEM_OBJS := vmm/mem/gmem

UNIT_TESTS += gmem
gmem_TEST_OBJS := $(LIB_BASE) $(VMM_MEM_OBJS)
