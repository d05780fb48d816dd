// SPDX-License-Identifier: Apache-2.0
#include "runtime/proxy/udp_flows.h"

struct udp_flow *udp_flow_of(struct udp_flows *f, const struct udp_addr *client, const struct udp_addr *dialled, uint64_t now_ns)
{
	struct udp_flow *oldest = f->flow;

	for (struct udp_flow *at = f->flow; at < f->flow + UDP_FLOWS; at++) {
		if (at->tag && memcmp(&at->client, client, sizeof(*client)) == 0 &&
		    memcmp(&at->dialled, dialled, sizeof(*dialled)) == 0) {
			at->used_ns = now_ns;
			return at;
		}
		if (oldest->tag && (!at->tag || at->used_ns < oldest->used_ns))
			oldest = at;
	}
	if (++f->round > UINT32_MAX / UDP_FLOWS)
		f->round = 1;
	*oldest = (struct udp_flow){ .used_ns = now_ns, .client = *client, .dialled = *dialled };
	oldest->tag = f->round * UDP_FLOWS + (uint32_t)(oldest - f->flow);
	return oldest;
}

struct udp_flow *udp_flow_tagged(struct udp_flows *f, uint32_t tag, uint64_t now_ns)
{
	struct udp_flow *at = &f->flow[tag % UDP_FLOWS];

	if (!tag || at->tag != tag || now_ns - at->used_ns > UDP_IDLE_NS)
		return NULL;
	at->used_ns = now_ns;
	return at;
}
