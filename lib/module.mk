# SPDX-License-Identifier: Apache-2.0
LIB_BASE := lib/err lib/log lib/buf lib/io lib/evloop lib/evbatch
LIB_JSON := lib/json lib/json_write
LIB_JSON_LIBS := -lyajl_s

GENERATED :=
FUZZ_GENERATED :=

UNIT_TESTS += lib_base evloop json
lib_base_TEST_OBJS := $(LIB_BASE)
evloop_TEST_OBJS := $(LIB_BASE)
UNIT_TESTS += runprog
runprog_TEST_OBJS := lib/runprog $(LIB_BASE)
json_TEST_OBJS := lib/err lib/log lib/buf $(LIB_JSON)
json_TEST_LIBS := $(LIB_JSON_LIBS)
FUZZ_TARGETS += json
json_FUZZ_OBJS := lib/err lib/log lib/buf $(LIB_JSON)
json_FUZZ_LIBS := $(LIB_JSON_LIBS)
