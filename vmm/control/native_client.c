// SPDX-License-Identifier: Apache-2.0
#include "vmm/control/native_client_internal.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/io.h"

int ncl_new(struct ncl **ret, int sock, struct err *e)
{
	struct ncl *c = calloc(1, sizeof(*c));

	if (!c)
		return err_set(e, ENOMEM, "native client: out of memory");
	c->sock = sock;
	c->next_id = 1;
	c->last = &c->events;
	*ret = c;
	return 0;
}

void ncl_free(struct ncl *c)
{
	if (!c)
		return;
	while (c->events) {
		struct ncl_kept_event *k = c->events;

		c->events = k->next;
		free(k);
	}
	ncl_connect_forget(c);
	close(c->sock);
	free(c);
}

int ncl_fd(const struct ncl *c)
{
	return c->sock;
}

static uint64_t deadline_of(int timeout_ms)
{
	return timeout_ms < 0 ? UINT64_MAX : io_now_ns() + (uint64_t)timeout_ms * 1000000u;
}

static int wait_readable(int sock, uint64_t deadline)
{
	for (;;) {
		struct pollfd p = { .fd = sock, .events = POLLIN };
		uint64_t now = io_now_ns();
		int ms = -1, rc;

		if (deadline != UINT64_MAX)
			ms = deadline <= now ? 0 :
					       (int)min_t(uint64_t, (deadline - now + 999999) / 1000000,
							  1u << 30);
		rc = poll(&p, 1, ms);
		if (rc > 0)
			return 0;
		if (rc < 0 && errno != EINTR)
			return -errno;
		if (rc == 0 && io_now_ns() >= deadline)
			return -ETIMEDOUT;
	}
}

/* The machine is trusted no more than its guest is: it parses guest bytes. */
static void close_all(const int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		close(fds[i]);
}

static int keep_event(struct ncl *c, size_t len, struct err *e)
{
	struct ncl_kept_event *k;

	if (len != sizeof(struct nc_event))
		return err_set(e, EPROTO, "the machine sent an event of %zu bytes", len);
	if (c->nevents == NCL_MAX_EVENTS) { /* the oldest goes: the end is always the newest */
		k = c->events;
		c->events = k->next;
		if (!c->events)
			c->last = &c->events;
		c->nevents--;
	} else {
		k = malloc(sizeof(*k));
		if (!k)
			return err_set(e, ENOMEM, "native client: out of memory");
	}
	memcpy(&k->ev, c->packet, sizeof(k->ev));
	k->ev.text[sizeof(k->ev.text) - 1] = 0;
	k->ev.console[sizeof(k->ev.console) - 1] = 0;
	k->next = NULL;
	*c->last = k;
	c->last = &k->next;
	c->nevents++;
	return 0;
}

ssize_t ncl_receive(struct ncl *c, uint64_t deadline, int *fds, size_t *nfds, struct err *e)
{
	const struct nc_hdr *h = (const void *)c->packet;
	ssize_t n;
	int rc;

	rc = wait_readable(c->sock, deadline);
	if (rc == -ETIMEDOUT)
		return err_set(e, ETIMEDOUT, "the machine did not answer in time");
	if (rc < 0)
		return err_errno(e, -rc, "native socket");
	n = io_recv_fds(c->sock, c->packet, sizeof(c->packet), fds, nfds, MSG_DONTWAIT);
	if (n == -EAGAIN)
		return -EAGAIN;
	if (n == 0 || n == -ECONNRESET) {
		close_all(fds, n == 0 ? *nfds : 0);
		return err_set(e, EPIPE, "the machine has gone");
	}
	if (n < 0)
		return err_errno(e, (int)-n, "native socket");
	if ((size_t)n < sizeof(*h) || h->size != (size_t)n || h->version != NC_VERSION) {
		close_all(fds, *nfds);
		return err_set(e, EPROTO, "the machine sent a malformed packet of %zd bytes", n);
	}
	return n;
}

int ncl_take_reply(struct ncl *c, size_t len, const struct ncl_reply *want, const int *fds, size_t nfds, struct err *e)
{
	const struct nc_hdr *h = (const void *)c->packet;

	if (h->rc < 0) {
		struct nc_error bad;

		close_all(fds, nfds);
		if (len != sizeof(bad) || h->rc < -4095)
			return err_set(e, EPROTO, "the machine sent a malformed error");
		memcpy(&bad, c->packet, sizeof(bad));
		bad.text[sizeof(bad.text) - 1] = 0;
		return err_set(e, -h->rc, "%s", bad.text);
	}
	if (h->rc > 0 || len != want->size || nfds != (want->fd ? 1 : 0)) {
		close_all(fds, nfds);
		return err_set(e, EPROTO, "the machine sent a malformed reply (command %u, %zu bytes)",
			       h->cmd & ~NC_REPLY, len);
	}
	memcpy(want->data, c->packet, len);
	if (want->fd)
		*want->fd = fds[0];
	return 0;
}

int ncl_take_other(struct ncl *c, size_t len, const int *fds, size_t nfds, struct err *e)
{
	const struct nc_hdr *h = (const void *)c->packet;

	if (h->cmd == (NC_CONNECT | NC_REPLY) && ncl_connect_answered(c, len, fds, nfds))
		return 0;
	close_all(fds, nfds);
	if (h->cmd == NC_EVENT)
		return keep_event(c, len, e);
	if (!(h->cmd & NC_REPLY))
		return err_set(e, EPROTO, "the machine sent command %u", h->cmd);
	return 0;
}

static int await_reply(struct ncl *c, uint16_t cmd, uint32_t id, const struct ncl_reply *want,
		       uint64_t deadline, struct err *e)
{
	const struct nc_hdr *h = (const void *)c->packet;

	for (;;) {
		int fds[NC_MAX_FDS];
		size_t nfds = NC_MAX_FDS;
		ssize_t n = ncl_receive(c, deadline, fds, &nfds, e);

		if (n == -EAGAIN)
			continue;
		if (n < 0)
			return (int)n;
		if (h->cmd == (cmd | NC_REPLY) && h->id == id)
			return ncl_take_reply(c, (size_t)n, want, fds, nfds, e);
		n = ncl_take_other(c, (size_t)n, fds, nfds, e);
		if (n < 0)
			return (int)n;
	}
}

uint32_t ncl_next_id(struct ncl *c)
{
	uint32_t id = c->next_id++;

	if (c->next_id == 0) /* 0 is for events */
		c->next_id = 1;
	return id;
}

int ncl_transact(struct ncl *c, uint16_t cmd, struct nc_hdr *req, size_t size, const int *fds,
		    size_t nfds, const struct ncl_reply *want, int timeout_ms, struct err *e)
{
	uint64_t deadline = deadline_of(timeout_ms);
	uint32_t id = ncl_next_id(c);
	int rc;

	*req = (struct nc_hdr){ .version = NC_VERSION, .cmd = cmd, .id = id,
				.size = (uint32_t)size };
	rc = io_send_fds(c->sock, req, size, fds, nfds);
	if (rc == -EPIPE || rc == -ECONNRESET)
		/* What it said before it went may still be there to read. */
		rc = await_reply(c, cmd, id, want, deadline, e);
	else if (rc < 0)
		return err_errno(e, -rc, "cannot send to the machine");
	else
		rc = await_reply(c, cmd, id, want, deadline, e);
	return rc;
}

int ncl_transact_simple(struct ncl *c, uint16_t cmd, void *req, size_t size, const int *fds,
			   size_t nfds, int timeout_ms, struct err *e)
{
	struct nc_simple done;
	const struct ncl_reply want = { .data = &done, .size = sizeof(done) };

	return ncl_transact(c, cmd, req, size, fds, nfds, &want, timeout_ms, e);
}

int ncl_hello(struct ncl *c, uint32_t *ret_mask, int timeout_ms, struct err *e)
{
	struct nc_hello req = { .version = NC_VERSION }, got;
	const struct ncl_reply want = { .data = &got, .size = sizeof(got) };
	int rc = ncl_transact(c, NC_HELLO, &req.hdr, sizeof(req), NULL, 0, &want, timeout_ms, e);

	if (rc < 0)
		return rc;
	if (got.version != NC_VERSION)
		return err_set(e, EPROTONOSUPPORT, "the machine speaks version %u, not %u", got.version,
			       NC_VERSION);
	if (ret_mask)
		*ret_mask = got.mask;
	return 0;
}

int ncl_create(struct ncl *c, struct ncl_desc *d, int timeout_ms, struct err *e)
{
	return ncl_transact_simple(c, NC_CREATE, &d->m, sizeof(d->m), d->fds, d->nfds, timeout_ms, e);
}

int ncl_command(struct ncl *c, enum nc_cmd cmd, int timeout_ms, struct err *e)
{
	struct nc_simple req;

	return ncl_transact_simple(c, (uint16_t)cmd, &req, sizeof(req), NULL, 0, timeout_ms, e);
}

int ncl_boot(struct ncl *c, int timeout_ms, struct err *e)
{
	return ncl_command(c, NC_BOOT, timeout_ms, e);
}

int ncl_connect(struct ncl *c, uint32_t port, uint32_t timeout_ms, int *ret_fd, struct err *e)
{
	struct nc_connect req = { .port = port, .timeout_ms = timeout_ms };
	struct nc_simple done;
	const struct ncl_reply want = { .data = &done, .size = sizeof(done), .fd = ret_fd };
	/* The machine keeps the time; ours is for a machine that hangs. */
	int ours = timeout_ms > INT32_MAX - 2000 ? -1 : (int)timeout_ms + 2000;

	return ncl_transact(c, NC_CONNECT, &req.hdr, sizeof(req), NULL, 0, &want, ours, e);
}

int ncl_copy_name(char *dst, size_t size, const char *src, const char *what, struct err *e)
{
	size_t len = strlen(src);

	if (len == 0 || len >= size)
		return err_set(e, EINVAL, "%s \"%s\" must have 1 to %zu characters", what, src,
			       size - 1);
	memcpy(dst, src, len + 1);
	return 0;
}

int ncl_share_add(struct ncl *c, const char *device, const char *name, int fd, uint32_t flags, uint32_t common,
		  int timeout_ms, struct err *e)
{
	struct nc_share req = { .flags = flags, .common = common };
	int rc;

	rc = ncl_copy_name(req.device, sizeof(req.device), device, "device", e);
	if (rc == 0)
		rc = ncl_copy_name(req.name, sizeof(req.name), name, "share", e);
	if (rc < 0)
		return rc;
	return ncl_transact_simple(c, NC_SHARE_ADD, &req, sizeof(req), &fd, 1, timeout_ms, e);
}

int ncl_share_remove(struct ncl *c, const char *device, const char *name, int timeout_ms,
		     struct err *e)
{
	struct nc_share req = { .flags = 0 };
	int rc;

	rc = ncl_copy_name(req.device, sizeof(req.device), device, "device", e);
	if (rc == 0)
		rc = ncl_copy_name(req.name, sizeof(req.name), name, "share", e);
	if (rc < 0)
		return rc;
	return ncl_transact_simple(c, NC_SHARE_REMOVE, &req, sizeof(req), NULL, 0, timeout_ms, e);
}

int ncl_console(struct ncl *c, int out, int in, bool once, int timeout_ms, struct err *e)
{
	const int fds[] = { out, in };
	struct nc_console req = { .once = once };

	return ncl_transact_simple(c, NC_CONSOLE, &req, sizeof(req), fds, in < 0 ? 1 : 2, timeout_ms, e);
}

int ncl_info(struct ncl *c, struct nc_info_reply *ret, int timeout_ms, struct err *e)
{
	struct nc_info_reply got;
	const struct ncl_reply want = { .data = &got, .size = sizeof(got) };
	struct nc_simple req;
	int rc = ncl_transact(c, NC_INFO, &req.hdr, sizeof(req), NULL, 0, &want, timeout_ms, e);

	if (rc == 0)
		*ret = got;
	return rc;
}

int ncl_memory(struct ncl *c, struct nc_memory_reply *ret, int timeout_ms, struct err *e)
{
	struct nc_memory_reply got;
	const struct ncl_reply want = { .data = &got, .size = sizeof(got) };
	struct nc_info_reply info;
	struct nc_simple req;
	int rc = ncl_transact(c, NC_MEMORY, &req.hdr, sizeof(req), NULL, 0, &want, timeout_ms, e);

	if (rc == -ENOSYS) {
		rc = ncl_info(c, &info, timeout_ms, e);
		got = (struct nc_memory_reply){ .boot = rc == 0 ? info.memory : 0 };
	}
	if (rc == 0)
		*ret = got;
	return rc;
}

int ncl_leave(struct ncl *c, unsigned *ret_left, int timeout_ms, struct err *e)
{
	struct nc_leave_reply got;
	const struct ncl_reply want = { .data = &got, .size = sizeof(got) };
	struct nc_simple req;
	int rc = ncl_transact(c, NC_LEAVE, &req.hdr, sizeof(req), NULL, 0, &want, timeout_ms, e);

	if (rc == 0)
		*ret_left = got.left;
	return rc;
}

int ncl_client_add(struct ncl *c, int sock, uint32_t mask, bool listening, int timeout_ms,
		   struct err *e)
{
	struct nc_client_add req = { .mask = mask, .listening = listening };

	return ncl_transact_simple(c, NC_CLIENT_ADD, &req, sizeof(req), &sock, 1, timeout_ms, e);
}

int ncl_host_port(struct ncl *c, uint64_t token, int sock, int error, int timeout_ms,
		  struct err *e)
{
	struct nc_host_port req = { .token = token, .error = error };

	return ncl_transact_simple(c, NC_HOST_PORT, &req, sizeof(req), &sock, error ? 0 : 1, timeout_ms,
			       e);
}

int ncl_event(struct ncl *c, struct nc_event *ret, int timeout_ms, struct err *e)
{
	uint64_t deadline = deadline_of(timeout_ms);
	struct ncl_kept_event *k;

	while (!c->events) {
		int fds[NC_MAX_FDS], rc;
		size_t nfds = NC_MAX_FDS;
		ssize_t n = ncl_receive(c, deadline, fds, &nfds, e);

		if (n == -ETIMEDOUT)
			return 0;
		if (n == -EAGAIN)
			continue;
		if (n < 0)
			return (int)n;
		rc = ncl_take_other(c, (size_t)n, fds, nfds, e);
		if (rc < 0)
			return rc;
	}
	k = c->events;
	c->events = k->next;
	if (!c->events)
		c->last = &c->events;
	c->nevents--;
	*ret = k->ev;
	free(k);
	return 1;
}
