# SPDX-License-Identifier: Apache-2.0
VMM_RATE_OBJS := vmm/backend/ratelimit
VMM_TAP_OBJS := vmm/backend/tap

UNIT_TESTS += ratelimit
ratelimit_TEST_OBJS := lib/err $(VMM_RATE_OBJS)
# Where the data of disks lives. liburing is linked statically: its library is small, and so starts nothing.
VMM_DISK_OBJS := vmm/backend/disk vmm/backend/disk_work vmm/backend/disk_threads vmm/backend/disk_ring
VMM_DISK_LIBS := -l:liburing.a
