# SPDX-License-Identifier: Apache-2.0
VMM_BUS_OBJS := vmm/bus/bus
