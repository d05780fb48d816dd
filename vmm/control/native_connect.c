// SPDX-License-Identifier: Apache-2.0
/*
 * Connections to the guest that are not waited for: whether they come about is the guest's to say, and it may take its time.
 */
#include <sys/socket.h>
#include <unistd.h>

#include "lib/io.h"
#include "vmm/control/native_client_internal.h"

/* A machine that sends without an end does not keep the caller from all else. */
#define LOOK_PACKETS 64
/* The machine keeps the time; ours is for a machine that hangs. */
#define GRACE_MS 2000u

int ncl_connect_begin(struct ncl *c, uint32_t port, uint32_t timeout_ms, struct ncl_connecting *k, struct err *e)
{
	struct nc_connect req = { .port = port, .timeout_ms = timeout_ms };
	struct ncl_connecting **at = &c->connecting;
	uint32_t id = ncl_next_id(c);

	req.hdr = (struct nc_hdr){ .version = NC_VERSION, .cmd = NC_CONNECT, .id = id, .size = sizeof(req) };
	if (send(c->sock, &req, sizeof(req), MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)sizeof(req))
		return err_errno(e, errno, "cannot send to the machine");
	*k = (struct ncl_connecting){ .done = k->done,
				      .id = id,
				      .deadline_ns = io_now_ns() + (timeout_ms + UINT64_C(1) * GRACE_MS) * 1000000u,
				      .fd = -1 };
	while (*at)
		at = &(*at)->next;
	*at = k;
	return 0;
}

static void drop_fd(struct ncl_connecting *k)
{
	if (k->answered && k->fd >= 0)
		close(k->fd);
	k->fd = -1;
}

void ncl_connect_cancel(struct ncl *c, struct ncl_connecting *k)
{
	for (struct ncl_connecting **at = &c->connecting; *at; at = &(*at)->next) {
		if (*at != k)
			continue;
		*at = k->next;
		drop_fd(k);
		return;
	}
}

void ncl_connect_forget(struct ncl *c)
{
	for (; c->connecting; c->connecting = c->connecting->next)
		drop_fd(c->connecting);
}

bool ncl_connect_answered(struct ncl *c, size_t len, const int *fds, size_t nfds)
{
	const struct nc_hdr *h = (const void *)c->packet;
	struct ncl_connecting *k = c->connecting;
	struct nc_simple done;

	while (k && (k->answered || k->id != h->id))
		k = k->next;
	if (!k)
		return false;
	k->rc = ncl_take_reply(c, len, &(struct ncl_reply){ &done, sizeof(done), &k->fd }, fds, nfds, NULL);
	k->answered = true;
	if (c->kept)
		c->kept(c->kept_arg);
	return true;
}

void ncl_on_kept(struct ncl *c, void (*kept)(void *arg), void *arg)
{
	c->kept = kept;
	c->kept_arg = arg;
}

/* 0: there was one; -EAGAIN: there was none. */
static int take_packet(struct ncl *c)
{
	int fds[NC_MAX_FDS];
	size_t nfds = NC_MAX_FDS;
	ssize_t n = ncl_receive(c, 0, fds, &nfds, NULL);

	if (n < 0)
		return n == -ETIMEDOUT ? -EAGAIN : (int)n;
	return ncl_take_other(c, (size_t)n, fds, nfds, NULL);
}

static struct ncl_connecting *take_answered(struct ncl *c)
{
	for (struct ncl_connecting **at = &c->connecting; *at; at = &(*at)->next) {
		struct ncl_connecting *k = *at;

		if (!k->answered)
			continue;
		*at = k->next;
		return k;
	}
	return NULL;
}

void ncl_look(struct ncl *c)
{
	void (*kept)(void *arg) = c->kept;
	struct ncl_connecting *k;
	uint64_t now;
	int rc = 0;

	c->kept = NULL; /* they are taken here */
	for (unsigned i = 0; rc == 0 && i < LOOK_PACKETS; i++)
		rc = take_packet(c);
	c->kept = kept;
	now = io_now_ns();
	for (k = c->connecting; k; k = k->next) {
		bool gone = rc < 0 && rc != -EAGAIN;

		if (k->answered || (!gone && now < k->deadline_ns))
			continue;
		k->rc = gone ? rc : -ETIMEDOUT;
		k->answered = true;
	}
	while ((k = take_answered(c)))
		k->done(k, k->rc, k->rc < 0 ? -1 : k->fd);
}

uint64_t ncl_connect_deadline(const struct ncl *c)
{
	uint64_t first = 0;

	for (const struct ncl_connecting *k = c->connecting; k; k = k->next)
		if (!first || k->deadline_ns < first)
			first = k->deadline_ns;
	return first;
}
