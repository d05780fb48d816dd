// SPDX-License-Identifier: Apache-2.0
/* The agent's check of a network that it is told: what passes holds what network_set() takes for granted. */
#include <string.h>

#include "agent-proto/agent/network.h"
#include "agent-proto/ttrpc/arena.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_there(const pb_network *m, const char *name)
{
	bool found = strcmp(name, "lo") == 0;

	for (size_t i = 0; i < m->n_interfaces; i++)
		found |= strcmp(m->interfaces[i]->name, name) == 0;
	return found;
}

static void look(const pb_network *m)
{
	bug_on(m->n_interfaces > AGENT_MAX_INTERFACES);
	for (size_t i = 0; i < m->n_interfaces; i++) {
		bug_on(m->interfaces[i]->mac.len != 6 || strlen(m->interfaces[i]->name) > 15);
		for (size_t k = 0; k < m->interfaces[i]->n_addresses; k++)
			bug_on(m->interfaces[i]->addresses[k]->local.len != 4 && m->interfaces[i]->addresses[k]->local.len != 16);
	}
	for (size_t i = 0; i < m->n_routes; i++) {
		const Husk__Agent__V1__Route *r = m->routes[i];

		bug_on(!r->n_hops || (r->destination.len && r->destination.len != (r->ipv6 ? 16u : 4u)));
		for (size_t k = 0; k < r->n_hops; k++)
			bug_on((r->n_hops > 1 && !r->hops[k]->weight) || r->hops[k]->gateway.len > 16 ||
			       (*r->hops[k]->device && !is_there(m, r->hops[k]->device)));
	}
	for (size_t i = 0; i < m->n_neighbours; i++)
		bug_on(m->neighbours[i]->mac.len != 6 || !is_there(m, m->neighbours[i]->device));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err e = ERR_INIT;
	struct arena a;
	pb_network *m;

	arena_init(&a, 1u << 20);
	m = husk__agent__v1__update_network_request__unpack(&a.pb, size, data);
	if (m && network_check(m, &e) == 0)
		look(m);
	else
		bug_on(m && !e.msg[0]);
	arena_free(&a);
	return 0;
}
