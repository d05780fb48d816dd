# SPDX-License-Identifier: Apache-2.0
# Programs that tests run in guests and on the host, static.
PROGRAMS += fs-conform
fs-conform_STATIC := 1
fs-conform_OBJS := $(addprefix tests/fs/,main script actor ops_file ops_data ops_name ops_attr ops_xattr ops_lock ops_map \
	ops_dir ops_event) $(LIB_BASE)

PROGRAMS += leftovers
leftovers_STATIC := 1
leftovers_OBJS := tests/vm/leftovers

PROGRAMS += impostor
impostor_STATIC := 1
impostor_OBJS := tests/guest/impostor

PROGRAMS += udp-echo map-again
udp-echo_STATIC := 1
udp-echo_OBJS := tests/guest/udp_echo
map-again_STATIC := 1
map-again_OBJS := tests/guest/map_again

# The file server behind this machine's own /dev/fuse, for whoever works on it.
BENCH_PROGRAMS += fs-mount
fs-mount_OBJS := tests/fs/mount tests/lib/fusemount $(VMM_FS_OBJS) $(LIB_BASE)

PROGRAMS += fs-watch
fs-watch_STATIC := 1
fs-watch_OBJS := tests/fs/watch

PROGRAMS += fs-random
fs-random_STATIC := 1
fs-random_OBJS := $(addprefix tests/fs/,random random_ops random_tree) $(LIB_BASE)
