# SPDX-License-Identifier: Apache-2.0
LIB_BASE := lib/err lib/log lib/buf lib/io lib/evloop
LIB_JSON := lib/json lib/json_write
LIB_JSON_LIBS := -lyajl_s

GENERATED :=
FUZZ_GENERATED :=
