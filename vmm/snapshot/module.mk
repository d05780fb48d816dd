# SPDX-License-Identifier: Apache-2.0
VMM_SNAP_OBJS := vmm/snapshot/snap vmm/snapshot/snap_file vmm/snapshot/crc32c

UNIT_TESTS += snap
snap_TEST_OBJS := $(LIB_BASE) $(VMM_SNAP_OBJS)

FUZZ_TARGETS += snap
snap_FUZZ_OBJS = $(FDV_PCI_OBJS) tests/lib/echodev
