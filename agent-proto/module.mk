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
.SECONDARY: $(foreach d,$(B) build/fuzz,$(foreach x,c h,$(patsubst %,$(d)/gen/%.$(x),\
	$(AGENT_PROTO_GEN_OBJS) $(TTRPC_GEN_OBJS))))
GENERATED += $(patsubst %,$(B)/gen/%.h,$(AGENT_PROTO_GEN_OBJS) $(TTRPC_GEN_OBJS))
FUZZ_GENERATED += $(patsubst %,build/fuzz/gen/%.h,$(AGENT_PROTO_GEN_OBJS) $(TTRPC_GEN_OBJS))

TTRPC_OBJS := agent-proto/ttrpc/arena agent-proto/ttrpc/status agent-proto/ttrpc/frame
TTRPC_CLIENT_OBJS := $(TTRPC_OBJS) agent-proto/ttrpc/client
TTRPC_SERVER_OBJS := $(TTRPC_OBJS) agent-proto/ttrpc/server
# The host's end: X_OBJS += $(AGENT_CLIENT_OBJS), X_GEN_OBJS += $(AGENT_CLIENT_GEN_OBJS); lib/ besides.
AGENT_CLIENT_OBJS := $(TTRPC_CLIENT_OBJS) agent-proto/client/client agent-proto/client/calls \
	agent-proto/client/decode agent-proto/client/decode_stats agent-proto/client/text
AGENT_CLIENT_GEN_OBJS := $(AGENT_PROTO_GEN_OBJS) $(TTRPC_GEN_OBJS)

# The guest's end, without boot*.c and main.c: tests run it on the host.
AGENT_OBJS := $(TTRPC_SERVER_OBJS) $(addprefix agent-proto/agent/,agent conn service check container \
	process process_io child mounts resolve rootfs image disks devices tty creds limits seccomp userns inherit message \
	program stream relay sockets datagrams cgroup update freezer oom stats procs devfilter starthooks) lib/runprog
AGENT_OBJS += $(addprefix agent-proto/agent/,common diskplug diskplug_steps mount mount_source copyup idmap proc_guard follow follow_first) \
	lib/mountinfo
AGENT_OBJS += $(addprefix agent-proto/agent/,rtn network network_set network_check resolver resolver_look forward udp listener letgo look fork)
AGENT_GEN_OBJS := $(AGENT_PROTO_GEN_OBJS) $(TTRPC_GEN_OBJS)

PROGRAMS += husk-agent
husk-agent_OBJS := agent-proto/agent/main agent-proto/agent/boot agent-proto/agent/boot_tables $(AGENT_OBJS) $(LIB_BASE)
husk-agent_GEN_OBJS := $(AGENT_GEN_OBJS)
# Without symbols: every page of it is the guest's memory.
husk-agent_LIBS := $(AGENT_PROTO_LIBS) -Wl,-s
husk-agent_STATIC := 1

# The real agent and the real client, over Unix sockets.
AGENTHOST_OBJS := tests/lib/agenthost tests/lib/agentreq $(AGENT_OBJS) \
	$(filter-out $(AGENT_OBJS),$(AGENT_CLIENT_OBJS)) $(LIB_BASE)
define agenthost_test
UNIT_TESTS += $(1)
$(1)_TEST_OBJS := $$(AGENTHOST_OBJS)
$(1)_TEST_GEN_OBJS := $$(AGENT_GEN_OBJS)
$(1)_TEST_LIBS := $$(AGENT_PROTO_LIBS)
endef
$(foreach t,agent_container agent_process agent_group agent_check agent_kernel agent_mounts agent_network agent_sockets agent_disks agent_busy,$(eval $(call agenthost_test,$(t))))

UNIT_TESTS += ttrpc agent_client agent_hostile
ttrpc_TEST_OBJS := $(TTRPC_OBJS) agent-proto/ttrpc/client agent-proto/ttrpc/server $(LIB_BASE)
ttrpc_TEST_GEN_OBJS := $(AGENT_GEN_OBJS)
ttrpc_TEST_LIBS := $(AGENT_PROTO_LIBS)
$(foreach t,agent_client agent_hostile,$(eval $(t)_TEST_OBJS := tests/lib/agentliar $$(AGENT_CLIENT_OBJS) $$(LIB_BASE)) \
	$(eval $(t)_TEST_GEN_OBJS := $$(AGENT_GEN_OBJS)) $(eval $(t)_TEST_LIBS := $$(AGENT_PROTO_LIBS)))

FUZZ_TARGETS += ttrpc_client ttrpc_server agent_reply agent_network
ttrpc_client_FUZZ_OBJS := $(TTRPC_CLIENT_OBJS) agent-proto/client/decode agent-proto/client/decode_stats agent-proto/client/text lib/err \
	lib/buf lib/log
ttrpc_server_FUZZ_OBJS := $(TTRPC_SERVER_OBJS) agent-proto/agent/check agent-proto/agent/limits lib/io lib/err lib/buf \
	lib/log
agent_reply_FUZZ_OBJS := agent-proto/client/decode agent-proto/client/decode_stats agent-proto/client/text agent-proto/ttrpc/arena lib/err lib/log
agent_network_FUZZ_OBJS := agent-proto/agent/network_check agent-proto/agent/check agent-proto/agent/devfilter agent-proto/agent/limits \
	agent-proto/ttrpc/arena lib/io lib/err lib/log
$(foreach t,ttrpc_client ttrpc_server agent_reply agent_network,$(eval $(t)_FUZZ_GEN_OBJS := $$(AGENT_GEN_OBJS)) \
	$(eval $(t)_FUZZ_LIBS := $$(AGENT_PROTO_LIBS)))
