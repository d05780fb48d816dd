# SPDX-License-Identifier: Apache-2.0
VMM_SNAP_OBJS := vmm/snapshot/snap
