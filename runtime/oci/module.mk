# SPDX-License-Identifier: Apache-2.0
OCI_SPEC_OBJS := runtime/oci/field runtime/oci/process runtime/oci/mounts runtime/oci/resources \
	runtime/oci/linux runtime/oci/hooks runtime/oci/spec
OCI_OBJS := $(OCI_SPEC_OBJS) runtime/oci/default runtime/oci/pack runtime/oci/features
OCI_LIBS := -lprotobuf-c $(LIB_JSON_LIBS)

UNIT_TESTS += oci_spec oci_features
oci_features_TEST_OBJS := $(OCI_SPEC_OBJS) runtime/oci/features $(LIB_BASE) $(LIB_JSON)
oci_features_TEST_LIBS := $(LIB_JSON_LIBS)
oci_spec_TEST_OBJS := $(OCI_SPEC_OBJS) runtime/oci/default $(LIB_BASE) $(LIB_JSON)
oci_spec_TEST_LIBS := $(LIB_JSON_LIBS)
