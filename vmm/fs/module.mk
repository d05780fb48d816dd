# SPDX-License-Identifier: Apache-2.0
VMM_FS_OBJS := $(addprefix vmm/fs/,slots node node_place node_fd node_reopen beneath handle server dispatch reply root special \
	cred lock lock_owner lock_wait \
	op_init op_lookup op_attr op_setattr op_create op_remove op_open op_io op_dir op_xattr state_save state_load)

# The virtio-fs device, its carrier.
VMM_FS_DEV_OBJS := vmm/virtio/fs vmm/virtio/fs_job vmm/virtio/fs_park vmm/virtio/fs_pool

FS_CLIENT_OBJS = $(VMM_FS_OBJS) tests/lib/fusecli tests/lib/fsfix
FS_TEST_OBJS = $(LIB_BASE) $(FS_CLIENT_OBJS)

UNIT_TESTS += fs_ops
fs_ops_TEST_OBJS = $(FS_TEST_OBJS)

UNIT_TESTS += fs_dev
fs_dev_TEST_OBJS = $(VDEV_TEST_OBJS) $(FS_CLIENT_OBJS) $(VMM_FS_DEV_OBJS)

UNIT_TESTS += fs_meta
fs_meta_TEST_OBJS = $(FS_TEST_OBJS)

UNIT_TESTS += fs_hostile
fs_hostile_TEST_OBJS = $(FS_TEST_OBJS)

UNIT_TESTS += fs_shares
fs_shares_TEST_OBJS = $(FS_TEST_OBJS)

FUZZ_TARGETS += fuse
fuse_FUZZ_OBJS = $(FS_TEST_OBJS)

FUZZ_TARGETS += fs_dev
fs_dev_FUZZ_OBJS = $(FDV_OBJS) $(FS_CLIENT_OBJS) $(VMM_FS_DEV_OBJS)

UNIT_TESTS += fs_compare
fs_compare_TEST_OBJS = $(FS_TEST_OBJS)

BENCH_PROGRAMS += bench-fs-server
bench-fs-server_OBJS = tests/bench/fs_server $(FS_TEST_OBJS)
bench-fs-server_LIBS = -Wl,--wrap=fs_request

UNIT_TESTS += fs_mount
fs_mount_TEST_OBJS = $(FS_TEST_OBJS) tests/lib/fusemount

UNIT_TESTS += fs_races
fs_races_TEST_OBJS = $(FS_TEST_OBJS)

UNIT_TESTS += fs_lies
fs_lies_TEST_OBJS = $(FS_TEST_OBJS)

UNIT_TESTS += fs_limits
fs_limits_TEST_OBJS = $(FS_TEST_OBJS)

UNIT_TESTS += fs_fds
fs_fds_TEST_OBJS = $(FS_TEST_OBJS)

UNIT_TESTS += fs_state
fs_state_TEST_OBJS = $(FS_TEST_OBJS)

FUZZ_TARGETS += fs_state
fs_state_FUZZ_OBJS = $(FS_TEST_OBJS)
