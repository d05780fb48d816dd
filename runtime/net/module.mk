# SPDX-License-Identifier: Apache-2.0
PROGRAMS += husk-net
husk-net_STATIC := 1
NET_OBJS := runtime/net/scan runtime/net/scan_rules runtime/net/mirror runtime/net/links
husk-net_OBJS := runtime/net/main runtime/net/drop runtime/net/steer runtime/net/steer_nft runtime/net/steer_udp runtime/net/devices runtime/host/filter $(NET_OBJS) agent-proto/ttrpc/arena $(NATIVE_CLIENT_OBJS) $(LIB_BASE)
husk-net_GEN_OBJS := $(AGENT_PROTO_GEN_OBJS)
# The library resolves names of hosts where it parses text, which is not done here: what the linker says of that is moot.
husk-net_LIBS := -lnl-route-3 -lnl-3 -lm $(AGENT_PROTO_LIBS) -Wl,--no-warnings

# Its headers include each other by names below this folder.
$(B)/runtime/net/%.o $(B)/tests/unit/test_net_scan.o $(B)/tests/unit/test_net_links.o: ALL_CFLAGS += -idirafter /usr/include/libnl3

UNIT_TESTS += net_scan
net_scan_TEST_OBJS := runtime/net/scan runtime/net/scan_rules runtime/net/devices $(addprefix agent-proto/agent/,rtn network_set network_check check devfilter limits) \
	agent-proto/ttrpc/arena $(LIB_BASE)
net_scan_TEST_GEN_OBJS := $(AGENT_PROTO_GEN_OBJS)
net_scan_TEST_LIBS := -lnl-route-3 -lnl-3 $(AGENT_PROTO_LIBS)

UNIT_TESTS += net_links
net_links_TEST_OBJS := $(NET_OBJS) agent-proto/ttrpc/arena $(NATIVE_CLIENT_OBJS) $(LIB_BASE)
net_links_TEST_GEN_OBJS := $(AGENT_PROTO_GEN_OBJS)
net_links_TEST_LIBS := -lnl-route-3 -lnl-3 $(AGENT_PROTO_LIBS)
