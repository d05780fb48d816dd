// SPDX-License-Identifier: Apache-2.0
#include "agent-proto/agent/conn.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent-proto/agent/agent.h"
#include "lib/io.h"
#include "lib/log.h"

#define READ_SIZE 16384
/* With more than this unsent, no more requests are taken. */
#define MAX_UNSENT (256u << 10)

struct conn {
	struct conn *next;
	struct agent *agent;
	struct evsrc src;
	uint32_t events;
	struct ttrpc_server *rpc;
	bool busy; /* inside the event's callback, which looks after the output itself */
};

struct agent *conn_agent(const struct conn *c)
{
	return c->agent;
}

static void update_events(struct conn *c)
{
	size_t unsent = ttrpc_server_output(c->rpc)->len;
	uint32_t want = (unsent < MAX_UNSENT ? EPOLLIN : 0u) | (unsent ? EPOLLOUT : 0u);

	if (want != c->events && evloop_mod(&c->src, want) == 0)
		c->events = want;
}

/* An error shows at the next event. */
static void flush(struct conn *c)
{
	struct buf *out = ttrpc_server_output(c->rpc);

	while (out->len) {
		ssize_t n = send(c->src.fd, out->data, out->len, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0)
			break;
		buf_consume(out, (size_t)n);
	}
	if (!out->len && out->size > READ_SIZE && !out->failed)
		buf_free(out);
}

static void on_output(void *arg)
{
	struct conn *c = arg;

	if (c->busy)
		return;
	flush(c);
	update_events(c);
}

void conn_close(struct conn *c)
{
	struct conn **at = &c->agent->conns;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	c->agent->nconns--;
	evloop_del(&c->src);
	shutdown(c->src.fd, SHUT_RDWR); /* as of a relay */
	close(c->src.fd);
	ttrpc_server_free(c->rpc);
	agent_owner_gone(c->agent, c);
	free(c);
}

/* 0, or negative when the connection is over. */
static int receive(struct conn *c)
{
	uint8_t in[READ_SIZE];
	struct err e = ERR_INIT;
	ssize_t n = read(c->src.fd, in, sizeof(in));
	int rc;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0)
		return -EPIPE;
	rc = ttrpc_server_input(c->rpc, in, (size_t)n, &e);
	if (rc < 0)
		log_guest("control connection: %s", e.msg);
	return rc;
}

static void on_event(struct evsrc *src, uint32_t events)
{
	struct conn *c = container_of(src, struct conn, src);
	int rc = 0;

	c->busy = true;
	if (events & ~(uint32_t)EPOLLOUT)
		rc = receive(c);
	flush(c);
	c->busy = false;
	if (rc < 0 || ttrpc_server_output(c->rpc)->failed)
		conn_close(c);
	else
		update_events(c);
}

void conn_accept(struct agent *a, int fd)
{
	struct conn *c = a->nconns < AGENT_MAX_CONNECTIONS ? calloc(1, sizeof(*c)) : NULL;
	struct ttrpc_server_config cfg = { .methods = agent_methods,
					   .ctx = c,
					   .max_frame = AGENT_MAX_FRAME,
					   .max_out = 2 * AGENT_MAX_FRAME,
					   .max_unpack = 4 * AGENT_MAX_FRAME,
					   .max_calls = 256,
					   .max_text = AGENT_MAX_ERROR_TEXT };

	if (!c || io_set_nonblock(fd, true) < 0 || ttrpc_server_new(&c->rpc, &cfg, NULL) < 0) {
		free(c);
		close(fd);
		return;
	}
	c->agent = a;
	c->src = (struct evsrc){ .fd = fd, .fn = on_event, .name = "control" };
	c->events = EPOLLIN;
	ttrpc_server_on_output(c->rpc, on_output, c);
	c->next = a->conns;
	a->conns = c;
	a->nconns++;
	if (evloop_add(a->loop, &c->src, EPOLLIN) < 0)
		conn_close(c);
}
