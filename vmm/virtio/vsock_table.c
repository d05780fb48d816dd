// SPDX-License-Identifier: Apache-2.0
/* The fixed table of connections: slots, found by ports, named by tokens. Slots that were never used
 * are never touched. */
#include "vmm/virtio/vsock_internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/cleanup.h"

int vsock_conns_init(struct vsock *v, unsigned max, struct err *e)
{
	v->max_conns = max;
	v->conns = calloc(max, sizeof(*v->conns));
	v->hash = calloc(VSOCK_HASH, sizeof(*v->hash));
	if (!v->conns || !v->hash)
		return err_set(e, ENOMEM, "vsock: no memory for %u connections", max);
	return 0;
}

static unsigned conn_index(const struct vsock_conn *c)
{
	return (unsigned)(c - c->v->conns);
}

static uint16_t *hash_slot(struct vsock *v, uint32_t guest_port, uint32_t host_port)
{
	uint64_t k = ((uint64_t)guest_port << 32 | host_port) * 0x9e3779b97f4a7c15ull;

	return &v->hash[k >> 52];
}
_Static_assert(VSOCK_HASH == 1u << 12, "hash_slot() takes 12 bits");
_Static_assert(VSOCK_MAX_CONNS < UINT16_MAX, "indexes are kept as uint16_t + 1");

struct vsock_conn *vsock_conn_find(struct vsock *v, uint32_t guest_port, uint32_t host_port)
{
	uint16_t i = *hash_slot(v, guest_port, host_port);

	for (; i; i = v->conns[i - 1].hash_next) {
		struct vsock_conn *c = &v->conns[i - 1];

		if (c->guest_port == guest_port && c->host_port == host_port)
			return c;
	}
	return NULL;
}

void vsock_conn_unhash(struct vsock_conn *c)
{
	uint16_t *p = hash_slot(c->v, c->guest_port, c->host_port);

	if (!c->hashed)
		return;
	while (*p != conn_index(c) + 1)
		p = &c->v->conns[*p - 1].hash_next;
	*p = c->hash_next;
	c->hashed = false;
}

uint32_t vsock_port_alloc(struct vsock *v, uint32_t guest_port)
{
	uint32_t port;

	/* Ends: there are more ports than connections. */
	do {
		port = VSOCK_PORT_FIRST + v->next_port;
		v->next_port = (v->next_port + 1) % VSOCK_PORT_FIRST;
	} while (vsock_conn_find(v, guest_port, port));
	return port;
}

struct vsock_conn *vsock_conn_new(struct vsock *v, uint32_t guest_port, uint32_t host_port,
				  enum vsock_conn_state state, bool from_guest)
{
	struct vsock_conn *c;
	uint16_t *slot;
	uint32_t gen;

	/* Half of the table is the host's own, so that no storm of the guest's keeps it out. */
	if (v->nconns == v->max_conns || (from_guest && v->nfrom_guest >= v->max_conns / 2))
		return NULL;
	if (v->free_head) {
		c = &v->conns[v->free_head - 1];
		v->free_head = c->hash_next;
	} else {
		c = &v->conns[v->conns_used++];
	}
	gen = c->gen;
	memset(c, 0, sizeof(*c));
	c->gen = gen;
	c->v = v;
	c->src = (struct evsrc){ .fd = -1, .fn = vsock_conn_event, .name = "vsock-conn" };
	c->peer_fd = -1;
	c->guest_port = guest_port;
	c->host_port = host_port;
	c->state = (uint8_t)state;
	c->from_guest = from_guest;
	c->burst = 1;
	slot = hash_slot(v, guest_port, host_port);
	c->hash_next = *slot;
	*slot = (uint16_t)(conn_index(c) + 1);
	c->hashed = true;
	v->nconns++;
	v->nfrom_guest += from_guest;
	return c;
}

uint64_t vsock_conn_token(const struct vsock_conn *c)
{
	return (uint64_t)c->gen << 32 | conn_index(c);
}

struct vsock_conn *vsock_conn_by_token(struct vsock *v, uint64_t token)
{
	uint32_t i = (uint32_t)token;

	if (i >= v->conns_used || v->conns[i].gen != token >> 32 ||
	    v->conns[i].state != VSOCK_OPENING)
		return NULL;
	return &v->conns[i];
}

/* Unix sockets turn end of file into ECONNRESET when the other side's bytes are left unread: they are
 * thrown away first. */
void vsock_conn_close_host(struct vsock_conn *c)
{
	uint8_t sink[4096];
	unsigned rounds = 1024; /* far beyond a socket's buffer */

	if (c->src.fd < 0)
		return;
	evloop_del(&c->src);
	c->mask = 0;
	shutdown(c->src.fd, SHUT_RDWR);
	while (rounds-- && recv(c->src.fd, sink, sizeof(sink), MSG_DONTWAIT) > 0)
		;
	close_and_reset(&c->src.fd);
}

void vsock_conn_free(struct vsock_conn *c)
{
	struct vsock *v = c->v;

	vsock_buf_drop(c);
	vsock_buf_end_credit(c);
	vsock_conn_close_host(c);
	close_and_reset(&c->peer_fd);
	vsock_conn_unhash(c);
	vsock_link_del(&c->rx);
	vsock_link_del(&c->timed);
	v->nconns--;
	v->nfrom_guest -= c->from_guest;
	c->state = VSOCK_FREE;
	c->todo = 0;
	c->gen++;
	c->hash_next = v->free_head;
	v->free_head = (uint16_t)(conn_index(c) + 1);
}

void vsock_conns_free(struct vsock *v)
{
	for (unsigned i = 0; v->conns && i < v->conns_used; i++) {
		struct vsock_conn *c = &v->conns[i];

		if (c->state == VSOCK_CONNECTING)
			vsock_conn_fail(c, -ECANCELED, false);
		else if (c->state != VSOCK_FREE)
			vsock_conn_free(c);
	}
	free(v->conns);
	free(v->hash);
	v->conns = NULL;
	v->hash = NULL;
}
