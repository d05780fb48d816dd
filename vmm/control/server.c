// SPDX-License-Identifier: Apache-2.0
#include "vmm/control/server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/sockios.h>

#include "lib/cleanup.h"
#include "lib/io.h"
#include "lib/log.h"

struct client {
	struct evsrc src;       /* fd -1: free */
	struct control *ctl;
	uint64_t serial;        /* never used twice, so a token cannot reach a successor */
	uint32_t mask;
	bool subscribed;
	int events_max;         /* bytes unread, as the kernel counts them, beyond which no event is sent */
};

struct listener {
	struct evsrc src;
	struct control *ctl;
	uint32_t mask;
};

struct control {
	struct evloop *loop;
	const struct control_ops *ops;
	void *arg;
	uint64_t next_serial;
	struct client clients[CONTROL_MAX_CLIENTS];
	struct listener listeners[CONTROL_MAX_LISTENERS];
	uint8_t packet[NC_MAX_MESSAGE] __attribute__((aligned(8)));
};

static void serve(struct evsrc *src, uint32_t events);

static struct client *client_of(struct control *c, uint64_t serial)
{
	for (size_t i = 0; i < CONTROL_MAX_CLIENTS; i++)
		if (c->clients[i].src.fd >= 0 && c->clients[i].serial == serial)
			return &c->clients[i];
	return NULL;
}

static unsigned count_lifelines(const struct control *c)
{
	unsigned n = 0;

	for (size_t i = 0; i < CONTROL_MAX_CLIENTS; i++)
		n += c->clients[i].src.fd >= 0 && c->clients[i].mask & NC_LIFELINE;
	return n;
}

static void drop(struct client *cl)
{
	bool lifeline = cl->mask & NC_LIFELINE;

	evloop_del(&cl->src);
	close(cl->src.fd);
	cl->src.fd = -1;
	if (lifeline && !count_lifelines(cl->ctl))
		cl->ctl->ops->lifeline_lost(cl->ctl->arg, false);
}

/* 0, or a negative errno; a client that cannot take a packet is dropped by the caller. */
static int send_packet(struct client *cl, void *packet, size_t size, int fd)
{
	return io_send_fds(cl->src.fd, packet, size, &fd, fd < 0 ? 0 : 1);
}

void control_reply(struct control *c, const struct control_token *t, void *reply, size_t size,
		   int fd)
{
	struct client *cl = client_of(c, t->client);
	int rc;

	if (!cl)
		return;
	*(struct nc_hdr *)reply = (struct nc_hdr){ .version = NC_VERSION,
						   .cmd = (uint16_t)(t->cmd | NC_REPLY),
						   .id = t->id,
						   .size = (uint32_t)size };
	rc = send_packet(cl, reply, size, fd);
	if (rc < 0) {
		log_debug("control: client %llu dropped: %s", (unsigned long long)cl->serial,
			  strerror(-rc));
		drop(cl);
	}
}

void control_reply_error(struct control *c, const struct control_token *t, int rc,
			 const struct err *e)
{
	struct client *cl = client_of(c, t->client);
	struct nc_error bad = { .hdr = { .version = NC_VERSION,
					 .cmd = (uint16_t)(t->cmd | NC_REPLY),
					 .id = t->id,
					 .rc = rc,
					 .size = sizeof(bad) } };

	if (!cl)
		return;
	snprintf(bad.text, sizeof(bad.text), "%s", e && e->msg[0] ? e->msg : strerror(-rc));
	if (send_packet(cl, &bad, sizeof(bad), -1) < 0)
		drop(cl);
}

/* A guest causes some events, as many as it likes. They get half of the socket: a reply that finds no room costs the client,
 * which may be the machine's only lifeline, and the last event of all must not find the others in its place. */
static bool has_room(const struct client *cl, const struct nc_event *ev)
{
	int unread;

	return ev->kind == NC_EV_END || (ioctl(cl->src.fd, SIOCOUTQ, &unread) == 0 && unread < cl->events_max);
}

unsigned control_event(struct control *c, struct nc_event *ev, uint32_t mask)
{
	unsigned n = 0;

	ev->hdr = (struct nc_hdr){ .version = NC_VERSION, .cmd = NC_EVENT, .size = sizeof(*ev) };
	for (size_t i = 0; i < CONTROL_MAX_CLIENTS; i++) {
		struct client *cl = &c->clients[i];

		if (cl->src.fd < 0 || !cl->subscribed || (cl->mask & mask) != mask)
			continue;
		/* Without room the event is lost, not the client. */
		if (has_room(cl, ev) && send_packet(cl, ev, sizeof(*ev), -1) == 0)
			n++;
	}
	return n;
}

static int check_socket(int sock, bool listening, struct err *e)
{
	const int want[][2] = { { SO_DOMAIN, AF_UNIX },
				{ SO_TYPE, SOCK_SEQPACKET },
				{ SO_ACCEPTCONN, listening } };

	for (size_t i = 0; i < ARRAY_SIZE(want); i++) {
		socklen_t len = sizeof(int);
		int v;

		if (getsockopt(sock, SOL_SOCKET, want[i][0], &v, &len) < 0 || v != want[i][1])
			return err_set(e, EINVAL, "the descriptor is not a %s SEQPACKET Unix socket",
				       listening ? "listening" : "connected");
	}
	return 0;
}

int control_add_client(struct control *c, int sock, uint32_t mask, struct err *e)
{
	int rc = check_socket(sock, false, e), room;
	socklen_t len = sizeof(room);

	if (rc < 0)
		return rc;
	if (getsockopt(sock, SOL_SOCKET, SO_SNDBUF, &room, &len) < 0)
		return err_errno(e, errno, "control client");
	for (size_t i = 0; i < CONTROL_MAX_CLIENTS; i++) {
		struct client *cl = &c->clients[i];

		if (cl->src.fd >= 0)
			continue;
		rc = io_set_nonblock(sock, true);
		if (rc < 0)
			return err_errno(e, -rc, "control client");
		*cl = (struct client){ .src = { .fd = sock, .fn = serve, .name = "control client" },
				       .ctl = c, .serial = c->next_serial++, .mask = mask, .events_max = room / 2 };
		rc = evloop_add(c->loop, &cl->src, EPOLLIN);
		if (rc < 0) {
			cl->src.fd = -1;
			return err_errno(e, -rc, "control client");
		}
		return 0;
	}
	return err_set(e, EMFILE, "the machine has %d control clients, no more fit",
		       CONTROL_MAX_CLIENTS);
}

static void accept_client(struct evsrc *src, uint32_t events)
{
	struct listener *l = container_of(src, struct listener, src);
	struct err e = ERR_INIT;
	int fd = evloop_accept(src, SOCK_NONBLOCK);

	(void)events;
	if (fd < 0)
		return;
	if (control_add_client(l->ctl, fd, l->mask, &e) < 0) {
		log_debug("control: connection refused: %s", e.msg);
		close(fd);
	}
}

int control_add_listener(struct control *c, int sock, uint32_t mask, struct err *e)
{
	int rc = check_socket(sock, true, e);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < CONTROL_MAX_LISTENERS; i++) {
		struct listener *l = &c->listeners[i];

		if (l->src.fd >= 0)
			continue;
		rc = io_set_nonblock(sock, true);
		if (rc < 0)
			return err_errno(e, -rc, "control listener");
		*l = (struct listener){ .src = { .fd = sock, .fn = accept_client,
						 .name = "control listener" },
					.ctl = c, .mask = mask };
		rc = evloop_add(c->loop, &l->src, EPOLLIN);
		if (rc < 0) {
			l->src.fd = -1;
			return err_errno(e, -rc, "control listener");
		}
		return 0;
	}
	return err_set(e, EMFILE, "the machine has %d control listeners, no more fit",
		       CONTROL_MAX_LISTENERS);
}

/* --- built-in commands ------------------------------------------------------------------------------ */

static int do_hello(void *arg, struct control_request *r, struct err *e)
{
	struct nc_hello reply = { .version = NC_VERSION };
	const struct client *cl = client_of(r->ctl, r->token.client);

	(void)arg;
	(void)e;
	reply.mask = cl->mask;
	control_reply(r->ctl, &r->token, &reply, sizeof(reply), -1);
	return CONTROL_REPLIED;
}

static int do_subscribe(void *arg, struct control_request *r, struct err *e)
{
	(void)arg;
	(void)e;
	client_of(r->ctl, r->token.client)->subscribed = true;
	return 0;
}

static int do_client_add(void *arg, struct control_request *r, struct err *e)
{
	const struct nc_client_add *m = r->msg;
	const struct client *cl = client_of(r->ctl, r->token.client);
	int rc;

	(void)arg;
	if (m->mask & ~(uint32_t)(NC_MAY_ALL | NC_LIFELINE) || m->listening > 1)
		return err_set(e, EINVAL, "client mask %#x or kind %u is unknown", m->mask,
			       m->listening);
	/* Whoever may delegate at all may make a lifeline: it only ever ends the machine sooner. */
	if (m->mask & ~(cl->mask | NC_LIFELINE))
		return err_set(e, EPERM, "a client cannot give rights that it does not have");
	if (m->listening)
		rc = control_add_listener(r->ctl, r->fds[0], m->mask, e);
	else
		rc = control_add_client(r->ctl, r->fds[0], m->mask, e);
	if (rc == 0)
		r->fds[0] = -1;
	return rc;
}

static int do_leave(void *arg, struct control_request *r, struct err *e)
{
	struct client *cl = client_of(r->ctl, r->token.client);
	struct nc_leave_reply reply = { .pad = 0 };

	(void)e;
	cl->mask &= ~(uint32_t)NC_LIFELINE;
	reply.left = count_lifelines(r->ctl);
	control_reply(r->ctl, &r->token, &reply, sizeof(reply), -1);
	if (!reply.left)
		r->ctl->ops->lifeline_lost(arg, true);
	return CONTROL_REPLIED;
}

static const struct control_cmd built_in[] = {
	{ NC_HELLO, sizeof(struct nc_hello), 0, 0, 0, do_hello },
	{ NC_CLIENT_ADD, sizeof(struct nc_client_add), 1, 1, NC_MAY_DELEGATE, do_client_add },
	{ NC_SUBSCRIBE, sizeof(struct nc_simple), 0, 0, NC_MAY_WATCH, do_subscribe },
	{ NC_LEAVE, sizeof(struct nc_simple), 0, 0, NC_LIFELINE, do_leave },
};

/* --- receiving -------------------------------------------------------------------------------------- */

static const struct control_cmd *find_cmd(const struct control *c, uint16_t cmd)
{
	for (size_t i = 0; i < ARRAY_SIZE(built_in); i++)
		if (built_in[i].cmd == cmd)
			return &built_in[i];
	for (size_t i = 0; i < c->ops->ncmds; i++)
		if (c->ops->cmds[i].cmd == cmd)
			return &c->ops->cmds[i];
	return NULL;
}

static int handle(struct client *cl, struct control_request *r, size_t len, struct err *e)
{
	const struct nc_hdr *h = r->msg;
	const struct control_cmd *cmd = find_cmd(r->ctl, h->cmd);

	if (!cmd)
		return err_set(e, ENOSYS, "command %u is unknown", h->cmd);
	if (cmd->may && !(cl->mask & cmd->may))
		return err_set(e, EPERM, "this client may not use command %u", h->cmd);
	if (len != cmd->size)
		return err_set(e, EBADMSG, "command %u takes %u bytes, not %zu", h->cmd, cmd->size,
			       len);
	if (r->nfds < cmd->min_fds || r->nfds > cmd->max_fds)
		return err_set(e, EBADMSG, "command %u takes %u to %u descriptors, not %zu", h->cmd,
			       cmd->min_fds, cmd->max_fds, r->nfds);
	return cmd->handle(r->ctl->arg, r, e);
}

static void serve(struct evsrc *src, uint32_t events)
{
	struct client *cl = container_of(src, struct client, src);
	struct control *c = cl->ctl;
	const struct nc_hdr *h = (const void *)c->packet;
	int fds[NC_MAX_FDS];
	struct control_request r = { .ctl = c, .msg = c->packet, .fds = fds, .nfds = NC_MAX_FDS };
	struct err e = ERR_INIT;
	ssize_t n;
	int rc;

	(void)events;
	n = io_recv_fds(src->fd, c->packet, sizeof(c->packet), fds, &r.nfds, MSG_DONTWAIT);
	if (n == -EAGAIN)
		return;
	if (n < (ssize_t)sizeof(*h) || h->size != (size_t)n || h->version != NC_VERSION || h->rc) {
		/* The end, or nothing that an answer could name. */
		for (size_t i = 0; n >= 0 && i < r.nfds; i++)
			close(fds[i]);
		drop(cl);
		return;
	}
	r.token = (struct control_token){ .client = cl->serial, .id = h->id, .cmd = h->cmd };
	rc = handle(cl, &r, (size_t)n, &e);
	/* First of all: whoever is told that a file was not taken finds it free. */
	for (size_t i = 0; i < r.nfds; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	if (rc == 0) {
		struct nc_simple ok;

		control_reply(c, &r.token, &ok, sizeof(ok), -1);
	} else if (rc < 0) {
		control_reply_error(c, &r.token, rc, &e);
	}
}

int control_new(struct control **ret, struct evloop *loop, const struct control_ops *ops, void *arg,
		struct err *e)
{
	struct control *c = calloc(1, sizeof(*c));

	if (!c)
		return err_set(e, ENOMEM, "control: out of memory");
	c->loop = loop;
	c->ops = ops;
	c->arg = arg;
	c->next_serial = 1;
	for (size_t i = 0; i < CONTROL_MAX_CLIENTS; i++)
		c->clients[i].src.fd = -1;
	for (size_t i = 0; i < CONTROL_MAX_LISTENERS; i++)
		c->listeners[i].src.fd = -1;
	*ret = c;
	return 0;
}

void control_free(struct control *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < CONTROL_MAX_CLIENTS; i++) {
		if (c->clients[i].src.fd < 0)
			continue;
		evloop_del(&c->clients[i].src);
		close(c->clients[i].src.fd);
	}
	for (size_t i = 0; i < CONTROL_MAX_LISTENERS; i++) {
		if (c->listeners[i].src.fd < 0)
			continue;
		evloop_del(&c->listeners[i].src);
		close(c->listeners[i].src.fd);
	}
	free(c);
}
