# SPDX-License-Identifier: Apache-2.0
RUNTIME_HOST_OBJS := runtime/host/proc runtime/host/spawn runtime/host/sock runtime/host/flat \
	runtime/host/cgroup runtime/host/cgroup_path runtime/host/namespace
RUNTIME_SYSTEMD_OBJS := runtime/systemd/unit runtime/systemd/props runtime/systemd/annotation runtime/systemd/client
RUNTIME_CONTAINER_OBJS := runtime/container/id runtime/container/signame runtime/container/state \
	runtime/container/folder runtime/container/create runtime/container/stand_in \
	runtime/container/files runtime/container/disks runtime/container/disks_annotated runtime/container/device_list runtime/container/device_update runtime/container/source runtime/container/exec runtime/container/destroy runtime/container/end \
	runtime/container/attend runtime/container/pause runtime/container/console runtime/container/kill runtime/container/preserve runtime/container/update \
	runtime/container/timeline runtime/container/start runtime/container/hooks runtime/container/hook_mounts runtime/container/notify runtime/container/group runtime/container/group_use runtime/container/network runtime/container/join runtime/container/follow
RUNTIME_SANDBOX_OBJS := runtime/sandbox/sandbox runtime/sandbox/shape runtime/sandbox/folder runtime/sandbox/record \
	runtime/sandbox/members
RUNTIME_HOST_OBJS += runtime/host/config
RUNTIME_SANDBOX_OBJS += runtime/sandbox/choice
RUNTIME_OBJS := $(RUNTIME_HOST_OBJS) $(RUNTIME_SYSTEMD_OBJS) $(RUNTIME_CONTAINER_OBJS) $(RUNTIME_SANDBOX_OBJS) \
	runtime/io/console runtime/proxy/client

PROGRAMS += husk husk-proxy husk-systemd-cgroup
husk_STATIC := 1
husk_OBJS := runtime/cli/main runtime/cli/options runtime/cli/help runtime/cli/create \
	runtime/cli/start runtime/cli/state runtime/cli/kill runtime/cli/delete runtime/cli/run \
	runtime/cli/exec runtime/cli/list runtime/cli/ps runtime/cli/spec runtime/cli/pause runtime/cli/console runtime/cli/events \
	runtime/cli/events_json runtime/cli/find runtime/cli/ps_format runtime/cli/checkpoint runtime/cli/update \
	runtime/cli/features \
	$(RUNTIME_OBJS) $(OCI_OBJS) $(NATIVE_CLIENT_OBJS) lib/mounttree lib/mountinfo lib/runprog $(LIB_JSON) $(LIB_BASE)
husk_OBJS += lib/diskfile runtime/cli/doctor $(RUNTIME_DOCTOR_OBJS)
husk_GEN_OBJS := $(AGENT_PROTO_GEN_OBJS)
husk_LIBS := $(OCI_LIBS)

husk-proxy_STATIC := 1
# What husk-proxy and the tests of it have in common.
PROXY_OBJS := $(addprefix runtime/proxy/,session farewell last_words oom dial output attach ready serve serve_client figures extra network resolver forward \
	udp udp_flows sockets listen lockin connector unframe follow follower follow_table relay setup) runtime/host/filter lib/mounttree lib/mountinfo
husk-proxy_OBJS := runtime/proxy/main runtime/proxy/drop $(PROXY_OBJS) $(NATIVE_CLIENT_OBJS) $(AGENT_CLIENT_OBJS) $(LIB_BASE)
husk-proxy_GEN_OBJS := $(AGENT_CLIENT_GEN_OBJS)
husk-proxy_LIBS := $(AGENT_PROTO_LIBS)

UNIT_TESTS += container cgroup sandbox_shape cli_options events_json ps_format relay proxy proxy_network proxy_hostile proxy_ready proxy_sockets proxy_output
# Not static: libsystemd has no static library. Only --systemd-cgroup starts it.
husk-systemd-cgroup_OBJS := runtime/systemd/helper/main runtime/systemd/helper/bus runtime/systemd/helper/props \
	lib/err lib/io
husk-systemd-cgroup_LIBS := -lsystemd

UNIT_TESTS += systemd systemd_helper
UNIT_TESTS += container_disks device_list
container_disks_TEST_OBJS := runtime/container/disks runtime/container/device_list lib/diskfile $(LIB_JSON) $(LIB_BASE)
container_disks_TEST_LIBS := $(LIB_JSON_LIBS)
device_list_TEST_OBJS := runtime/container/device_list $(LIB_JSON) $(LIB_BASE)
device_list_TEST_LIBS := $(LIB_JSON_LIBS)
UNIT_TESTS += source connector unframe
unframe_TEST_OBJS := runtime/proxy/unframe $(LIB_BASE)
connector_TEST_OBJS := runtime/proxy/connector runtime/proxy/lockin runtime/host/filter $(LIB_BASE)
source_TEST_OBJS := runtime/container/source lib/mountinfo lib/mounttree $(LIB_BASE)
UNIT_TESTS += sandbox_record
sandbox_record_TEST_OBJS := runtime/sandbox/record runtime/sandbox/members runtime/sandbox/folder runtime/host/proc runtime/host/flat \
	runtime/host/sock $(LIB_JSON) $(LIB_BASE)
sandbox_record_TEST_LIBS := $(LIB_JSON_LIBS)
container_TEST_OBJS := runtime/sandbox/record runtime/container/id runtime/container/signame runtime/container/state \
	runtime/container/folder runtime/host/proc runtime/host/flat runtime/oci/field runtime/oci/hooks \
	$(LIB_JSON) $(LIB_BASE)
container_TEST_LIBS := $(LIB_JSON_LIBS)
UNIT_TESTS += group_use
group_use_TEST_OBJS := runtime/container/group_use runtime/container/id runtime/container/state runtime/container/folder \
	runtime/sandbox/record runtime/sandbox/folder runtime/host/proc runtime/host/flat runtime/host/sock runtime/oci/field \
	runtime/oci/hooks $(LIB_JSON) $(LIB_BASE)
group_use_TEST_LIBS := $(LIB_JSON_LIBS)
UNIT_TESTS += container_full
container_full_TEST_OBJS := $(addprefix runtime/container/,pause kill end device_update device_list id state folder) runtime/proxy/client \
	runtime/sandbox/record runtime/host/proc runtime/host/flat runtime/host/sock runtime/oci/field runtime/oci/hooks \
	lib/diskfile $(LIB_JSON) $(LIB_BASE)
container_full_TEST_LIBS := $(LIB_JSON_LIBS)
UNIT_TESTS += container_end
container_end_TEST_OBJS := runtime/container/end runtime/host/proc runtime/host/sock runtime/proxy/client $(LIB_BASE)
systemd_TEST_OBJS := runtime/systemd/unit runtime/systemd/props runtime/systemd/annotation runtime/oci/cpuset $(LIB_BASE)
systemd_helper_TEST_OBJS := runtime/systemd/helper/bus runtime/systemd/helper/props $(LIB_BASE)
systemd_helper_TEST_LIBS := -lsystemd
cgroup_TEST_OBJS := runtime/host/cgroup_path runtime/host/cgroup runtime/host/proc $(LIB_BASE)
sandbox_shape_TEST_OBJS := runtime/sandbox/shape runtime/oci/cpuset $(LIB_BASE)
cli_options_TEST_OBJS := runtime/cli/options $(LIB_BASE)
events_json_TEST_OBJS := runtime/cli/events_json $(LIB_JSON) $(LIB_BASE)
events_json_TEST_LIBS := $(LIB_JSON_LIBS)
ps_format_TEST_OBJS := runtime/cli/ps_format $(LIB_BASE)
relay_TEST_OBJS := runtime/proxy/relay $(LIB_BASE)
PROXY_TEST_OBJS := $(PROXY_OBJS) runtime/proxy/client \
	tests/lib/fakeworld agent-proto/ttrpc/server $(VMM_CONTROL_OBJS) $(NATIVE_CLIENT_OBJS) \
	$(AGENT_CLIENT_OBJS) $(LIB_BASE)
$(foreach t,proxy proxy_network proxy_hostile proxy_ready proxy_sockets proxy_output,$(eval $(t)_TEST_OBJS := $$(PROXY_TEST_OBJS)) \
	$(eval $(t)_TEST_GEN_OBJS := $$(AGENT_CLIENT_GEN_OBJS)) $(eval $(t)_TEST_LIBS := $$(AGENT_PROTO_LIBS)))

UNIT_TESTS += proxy_client proxy_resolver
proxy_client_TEST_OBJS := runtime/proxy/client runtime/host/spawn runtime/host/proc $(LIB_BASE)
proxy_resolver_TEST_OBJS := runtime/proxy/resolver $(LIB_BASE)
UNIT_TESTS += proxy_udp last_words
last_words_TEST_OBJS := runtime/proxy/last_words $(LIB_BASE)
proxy_udp_TEST_OBJS := runtime/proxy/udp runtime/proxy/udp_flows $(LIB_BASE)
FUZZ_TARGETS += udp
udp_FUZZ_OBJS := runtime/proxy/udp runtime/proxy/udp_flows $(LIB_BASE)
FUZZ_TARGETS += resolver
resolver_FUZZ_OBJS := runtime/proxy/resolver $(LIB_BASE)
FUZZ_TARGETS += container_state systemd
systemd_FUZZ_OBJS := runtime/systemd/unit runtime/systemd/props runtime/systemd/annotation runtime/systemd/helper/props \
	runtime/oci/cpuset $(LIB_BASE)
systemd_FUZZ_LIBS := -lsystemd
FUZZ_TARGETS += unframe
unframe_FUZZ_OBJS := runtime/proxy/unframe $(LIB_BASE)
FUZZ_TARGETS += mountinfo
mountinfo_FUZZ_OBJS := lib/mountinfo runtime/proxy/follow_table $(LIB_BASE)
container_state_FUZZ_OBJS := runtime/sandbox/record runtime/container/device_list runtime/container/id runtime/container/signame runtime/container/state \
	runtime/host/proc runtime/host/cgroup_path runtime/oci/field runtime/oci/hooks $(LIB_JSON) \
	$(LIB_BASE)
container_state_FUZZ_LIBS := $(LIB_JSON_LIBS)

UNIT_TESTS += machine_choice
machine_choice_TEST_OBJS := runtime/sandbox/choice runtime/sandbox/shape runtime/host/config runtime/host/spawn runtime/host/proc \
	$(OCI_SPEC_OBJS) $(LIB_BASE) $(LIB_JSON)
machine_choice_TEST_LIBS := $(LIB_JSON_LIBS)
FUZZ_TARGETS += host_config
host_config_FUZZ_OBJS := runtime/host/config runtime/host/proc $(OCI_SPEC_OBJS) $(LIB_BASE) $(LIB_JSON)
host_config_FUZZ_LIBS := $(LIB_JSON_LIBS)

UNIT_TESTS += sockets
sockets_TEST_OBJS := $(sort $(proxy_TEST_OBJS) $(AGENTHOST_OBJS))
sockets_TEST_GEN_OBJS := $(AGENT_GEN_OBJS)
sockets_TEST_LIBS := $(AGENT_PROTO_LIBS)

UNIT_TESTS += follow
follow_TEST_OBJS := $(addprefix runtime/proxy/,follower follow_table lockin setup) runtime/host/filter lib/mounttree lib/mountinfo $(LIB_BASE)
