# SPDX-License-Identifier: Apache-2.0
VMM_RATE_OBJS := vmm/backend/ratelimit
VMM_TAP_OBJS := vmm/backend/tap

UNIT_TESTS += ratelimit
ratelimit_TEST_OBJS := lib/err $(VMM_RATE_OBJS)
