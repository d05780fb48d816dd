# SPDX-License-Identifier: Apache-2.0
OCI_SPEC_OBJS := runtime/oci/field runtime/oci/process runtime/oci/mounts runtime/oci/resources \
	runtime/oci/linux runtime/oci/hooks runtime/oci/spec runtime/oci/seccomp runtime/oci/sched runtime/oci/userns \
	runtime/oci/checks runtime/oci/block_io runtime/oci/unified runtime/oci/cpuset runtime/oci/vm
OCI_SPEC_OBJS += runtime/oci/mount_options runtime/oci/netdev runtime/oci/counts
OCI_OBJS := $(OCI_SPEC_OBJS) runtime/oci/seccomp_bpf runtime/oci/default runtime/oci/limits runtime/oci/pack \
	runtime/oci/pack_kernel runtime/oci/features runtime/oci/update runtime/oci/disks
OCI_LIBS := -lprotobuf-c -lseccomp $(LIB_JSON_LIBS)

UNIT_TESTS += oci_spec oci_features oci_limits oci_engines
oci_engines_TEST_OBJS := $(OCI_SPEC_OBJS) $(LIB_BASE) $(LIB_JSON)
oci_engines_TEST_LIBS := $(LIB_JSON_LIBS)
oci_features_TEST_OBJS := $(OCI_SPEC_OBJS) runtime/oci/features $(LIB_BASE) $(LIB_JSON)
oci_features_TEST_LIBS := -lseccomp $(LIB_JSON_LIBS)
oci_limits_TEST_OBJS := $(OCI_SPEC_OBJS) runtime/oci/limits $(LIB_BASE) $(LIB_JSON)
oci_limits_TEST_LIBS := $(LIB_JSON_LIBS)
oci_spec_TEST_OBJS := $(OCI_SPEC_OBJS) runtime/oci/default $(LIB_BASE) $(LIB_JSON)
oci_spec_TEST_LIBS := $(LIB_JSON_LIBS)

UNIT_TESTS += oci_seccomp
oci_seccomp_TEST_OBJS := $(OCI_SPEC_OBJS) runtime/oci/seccomp_bpf $(LIB_BASE) $(LIB_JSON)
oci_seccomp_TEST_LIBS := -lseccomp $(LIB_JSON_LIBS)

FUZZ_TARGETS += oci update
update_FUZZ_OBJS := $(OCI_OBJS) $(LIB_BASE) $(LIB_JSON)
update_FUZZ_GEN_OBJS := $(AGENT_PROTO_GEN_OBJS)
update_FUZZ_LIBS := $(OCI_LIBS)
oci_FUZZ_OBJS := $(OCI_OBJS) $(LIB_BASE) $(LIB_JSON)
oci_FUZZ_GEN_OBJS := $(AGENT_PROTO_GEN_OBJS)
oci_FUZZ_LIBS := $(OCI_LIBS)
