# SPDX-License-Identifier: Apache-2.0
RUNTIME_DOCTOR_OBJS := runtime/doctor/host runtime/doctor/kernel runtime/doctor/parts runtime/doctor/bundle \
	vmm/hv/kvm/probe

UNIT_TESTS += doctor
doctor_TEST_OBJS = runtime/doctor/host runtime/doctor/bundle $(OCI_SPEC_OBJS) $(LIB_BASE) $(LIB_JSON)
doctor_TEST_LIBS = $(LIB_JSON_LIBS)
