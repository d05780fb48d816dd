# SPDX-License-Identifier: Apache-2.0
# Generated messages: X_GEN_OBJS += $(AGENT_PROTO_GEN_OBJS), X_LIBS += $(AGENT_PROTO_LIBS).
PROTOC_C ?= protoc-c
AGENT_PROTO_GEN_OBJS := agent-proto/proto/agent.pb-c
TTRPC_GEN_OBJS := agent-proto/proto/ttrpc.pb-c
AGENT_PROTO_LIBS := -lprotobuf-c

define proto_rule
$(1)/gen/agent-proto/proto/%.pb-c.c $(1)/gen/agent-proto/proto/%.pb-c.h: agent-proto/proto/%.proto
	$$(call say,PROTO,$$<)
	@mkdir -p $(1)/gen
	$$(Q)$$(PROTOC_C) --c_out=$(1)/gen $$<
endef
$(eval $(call proto_rule,$(B)))
$(eval $(call proto_rule,build/fuzz))
# Kept: made by a pattern, they would be taken for intermediate.
.SECONDARY: $(foreach d,$(B) build/fuzz,$(patsubst %,$(d)/gen/%.c,$(AGENT_PROTO_GEN_OBJS) $(TTRPC_GEN_OBJS)))
GENERATED += $(patsubst %,$(B)/gen/%.h,$(AGENT_PROTO_GEN_OBJS) $(TTRPC_GEN_OBJS))
FUZZ_GENERATED += $(patsubst %,build/fuzz/gen/%.h,$(AGENT_PROTO_GEN_OBJS) $(TTRPC_GEN_OBJS))
