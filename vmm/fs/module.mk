# SPDX-License-Identifier: Apache-2.0
VMM_FS_OBJS := $(addprefix vmm/fs/,slots node node_fd handle server dispatch reply root special cred lock \
	op_init op_lookup op_attr op_setattr op_create op_remove op_open op_io op_dir op_xattr)

FS_TEST_OBJS = $(LIB_BASE) $(VMM_FS_OBJS) tests/lib/fusecli tests/lib/fsfix

UNIT_TESTS += fs_ops
fs_ops_TEST_OBJS = $(FS_TEST_OBJS)
