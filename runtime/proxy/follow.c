// SPDX-License-Identifier: Apache-2.0
/*
 * What the host mounts below the sources of the container's bind mounts, between the follower (which may copy mounts and hears
 * no guest), the machine, which serves the copies, and the agent, which mounts what is served. One after the other.
 */
#include "runtime/proxy/follow.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/io.h"
#include "lib/log.h"
#include "runtime/proxy/session_internal.h"
#include "vmm/fs/fs_chan.h"

/* For the guest to mount something, or to let go of it. */
#define LET_GO_MS 10000
/* For the follower, and with it its copies of the host's mounts, to be gone. */
#define END_TIMEOUT_MS 3000

static void share_name(const struct session *s, uint32_t slot, char name[SESSION_SHARE_NAME])
{
	snprintf(name, SESSION_SHARE_NAME, "%s" FOLLOW_SHARE_MARK "%u", s->at.share_prefix, slot);
}

static void remove_share(struct session *s, uint32_t slot)
{
	char name[SESSION_SHARE_NAME];
	struct err e = ERR_INIT;

	if (!s->follow->live[slot])
		return;
	s->follow->live[slot] = false;
	share_name(s, slot, name);
	if (ncl_share_remove(s->machine, s->at.fs_device, name, MACHINE_TIMEOUT_MS, &e) < 0)
		log_debug("share %s: %s", name, e.msg);
}

static void answer(struct session *s, int rc)
{
	const struct follow_answer a = { .slot = s->follow->ev.slot, .rc = rc };

	s->follow->busy = false;
	if (s->follow->late.fn)
		evtimer_done(&s->follow->late);
	s->follow->late.fn = NULL;
	if (s->follow->src.fd >= 0 && io_send_fds(s->follow->src.fd, &a, sizeof(a), NULL, 0) < 0)
		log_debug("follow: the follower does not hear");
}

/* ---- one event ----------------------------------------------------------------------------------- */

static void refused(struct session *s, int rc, const char *why)
{
	/* Of a guest that does not answer all has been said. */
	if (s->follow->ev.kind == FOLLOW_HERE && !s->follow->deaf)
		log_warn("a mount of the host at \"%s\" does not appear in the container: %s", s->follow->ev.path, why);
	remove_share(s, s->follow->ev.slot);
	answer(s, rc);
}

static void answered(void *arg, const struct agent_reply *r)
{
	struct session *s = arg;

	if (!s->follow)
		return;
	/* The event that this is about was settled without it. */
	if (s->follow->deaf || !s->follow->busy) {
		s->follow->deaf = false;
		return;
	}
	if (r->rc < 0) {
		refused(s, r->rc, r->err.msg);
		return;
	}
	if (s->follow->ev.kind == FOLLOW_GONE)
		remove_share(s, s->follow->ev.slot);
	answer(s, 0);
}

/* Whatever the guest says: nobody on the host waits for it, and it gets no more until it has answered. */
static void too_late(struct evtimer *t)
{
	struct session *s = container_of(t, struct session_follow, late)->s;

	log_warn("the guest does not follow what the host mounts");
	s->follow->deaf = true;
	remove_share(s, s->follow->ev.slot);
	answer(s, -ETIMEDOUT);
}

static int add_share(struct session *s, int fd, struct err *e)
{
	const struct follow_event *ev = &s->follow->ev;
	char name[SESSION_SHARE_NAME];
	int rc;

	if (fd < 0 || s->follow->live[ev->slot])
		return err_set(e, EBADMSG, "malformed event");
	share_name(s, ev->slot, name);
	rc = ncl_share_add(s->machine, s->at.fs_device, name, fd, ev->is_file ? FS_SHARE_FILE : 0, 0, MACHINE_TIMEOUT_MS, e);
	s->follow->live[ev->slot] = rc == 0;
	return rc;
}

static int ask_agent(struct session *s, struct err *e)
{
	const struct follow_event *ev = &s->follow->ev;
	char name[SESSION_SHARE_NAME];
	const struct agent_mount m = { .bind = ev->bind, .slot = ev->slot, .parent = ev->parent, .flags = ev->flags,
				       .path = ev->path, .share = name, .through = ev->through, .gone = ev->kind == FOLLOW_GONE };
	int rc;

	if (!s->agent || s->state == PROXY_ST_ENDED || s->follow->deaf)
		return err_set(e, ESRCH, "the container is not there to be asked");
	share_name(s, ev->slot, name);
	/* First: an answer to what counts as never asked would be taken for the next one's. */
	s->follow->late.src.fd = -1;
	rc = evtimer_init(s->loop, &s->follow->late, "follow", too_late);
	if (rc == 0)
		rc = evtimer_set_ns(&s->follow->late, UINT64_C(1000000) * (s->follow->wait_ms ? s->follow->wait_ms : LET_GO_MS));
	if (rc < 0)
		return err_errno(e, -rc, "timer");
	return agent_change_mount(s->agent, s->at.container_id, &m, answered, s, e);
}

static void settle(struct session *s, int fd)
{
	struct err e = ERR_INIT;
	int rc = s->follow->deaf ? -EBUSY : 0;

	s->follow->busy = true;
	if (rc == 0 && s->follow->ev.kind == FOLLOW_HERE)
		rc = add_share(s, fd, &e);
	if (rc == 0)
		rc = ask_agent(s, &e);
	if (rc < 0)
		refused(s, rc, e.msg);
}

/* ---- the follower ------------------------------------------------------------------------------- */

static bool is_well_formed(const struct follow_event *ev, ssize_t n)
{
	if (n != sizeof(*ev) || ev->kind < FOLLOW_HERE || ev->kind > FOLLOW_FULL || ev->kind == FOLLOW_END)
		return false;
	return ev->slot < FOLLOW_MAX_MOUNTS && ev->bind < FOLLOW_MAX_BINDS && ev->parent <= FOLLOW_MAX_MOUNTS &&
	       ev->is_file <= 1 && ev->through <= 1 && memchr(ev->path, 0, sizeof(ev->path));
}

static void hang_up(struct session *s)
{
	evloop_del(&s->follow->src);
	close_and_reset(&s->follow->src.fd);
}

static void on_event(struct evsrc *src, uint32_t events)
{
	struct session *s = container_of(src, struct session_follow, src)->s;
	struct follow_event next;
	_cleanup_close_ int fd = -1;
	size_t nfds = 1;
	ssize_t n = io_recv_fds(src->fd, &next, sizeof(next), &fd, &nfds, MSG_DONTWAIT);

	(void)events;
	if (n == -EAGAIN)
		return;
	if (n < 0 || !nfds)
		fd = -1;
	if (!is_well_formed(&next, n) || s->follow->busy) {
		if (s->state != PROXY_ST_ENDED)
			log_warn("husk-follower has ended: what the host mounts from now on does not appear in the container");
		hang_up(s);
		return;
	}
	if (next.kind == FOLLOW_FULL) {
		if (!s->follow->full)
			log_warn("the host has more than %d mounts below sources of the container's: no more appear",
				 FOLLOW_MAX_MOUNTS);
		s->follow->full = true;
		return;
	}
	s->follow->ev = next;
	settle(s, fd);
}

int follow_take(struct session *s, int fd, int pidfd, uint32_t initial, struct err *e)
{
	struct session_follow *f = calloc(1, sizeof(*f));

	if (!f)
		return err_set(e, ENOMEM, "out of memory");
	f->s = s;
	f->pidfd = pidfd;
	f->src = (struct evsrc){ .fd = fd, .fn = on_event, .name = "follower" };
	for (uint32_t i = 0; i < initial && i < FOLLOW_MAX_MOUNTS; i++)
		f->live[i] = true;
	s->follow = f;
	return 0;
}

void follow_begin(struct session *s)
{
	if (s->follow && evloop_add(s->loop, &s->follow->src, EPOLLIN) < 0)
		hang_up(s);
}

void follow_idle(struct session *s)
{
	if (s->follow)
		evloop_del(&s->follow->src);
}

void follow_stop(struct session *s, bool machine)
{
	struct session_follow *f = s->follow;
	struct pollfd p = { .fd = f ? f->pidfd : -1, .events = POLLIN };

	if (!f)
		return;
	if (f->late.fn)
		evtimer_done(&f->late);
	if (f->src.fd >= 0)
		hang_up(s);
	for (uint32_t i = 0; machine && i < FOLLOW_MAX_MOUNTS; i++)
		remove_share(s, i);
	/* Until then its namespace holds the sources. */
	if (p.fd >= 0 && poll(&p, 1, END_TIMEOUT_MS) == 1)
		close(p.fd);
	free(f);
	s->follow = NULL;
}
