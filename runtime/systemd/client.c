// SPDX-License-Identifier: Apache-2.0
#include "runtime/systemd/client.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/io.h"
#include "runtime/host/cgroup.h"
#include "runtime/host/spawn.h"

#define HELPER     "husk-systemd-cgroup"
#define TIMEOUT_MS 30000 /* runc's, for systemd to do it */
#define GRACE_MS   5000  /* for the helper to say that it was not done */

static int start_helper(struct systemd_hold *h, struct err *e)
{
	const struct spawn sp = { .program = HELPER, .cgroup = -1, .detached = true };

	return spawn_start(&sp, &h->helper, &h->sock, e);
}

void systemd_release(struct systemd_hold *h)
{
	if (!h->helper.pid)
		return;
	close_and_reset(&h->sock);
	/* It ends by itself then; one that does not is in nobody's way any more. */
	proc_kill(&h->helper, GRACE_MS);
	waitpid(h->helper.pid, NULL, 0);
	h->helper.pid = 0;
}

static int await(const struct systemd_hold *h, struct err *e)
{
	struct pollfd p = { .fd = h->sock, .events = POLLIN };
	struct systemd_reply reply;
	ssize_t n;
	int rc;

	do
		rc = poll(&p, 1, TIMEOUT_MS + GRACE_MS);
	while (rc < 0 && errno == EINTR);
	if (rc == 0)
		return err_set(e, ETIMEDOUT, HELPER " does not answer");
	n = rc < 0 ? -1 : recv(h->sock, &reply, sizeof(reply), 0);
	if (n == 0)
		return err_set(e, EPIPE,
			       HELPER " ended without an answer: is libsystemd.so.0 installed?");
	if (n != (ssize_t)sizeof(reply) || reply.version != SYSTEMD_WIRE_VERSION || reply.rc > 0)
		return err_set(e, EBADMSG, HELPER ": malformed answer");
	reply.text[sizeof(reply.text) - 1] = 0;
	return reply.rc < 0 ? err_set(e, -reply.rc, "%s", reply.text) : 0;
}

static int fill(struct systemd_request *r, const struct systemd_target *t, struct err *e)
{
	if ((size_t)snprintf(r->unit, sizeof(r->unit), "%s", t->unit) >= sizeof(r->unit) ||
	    (size_t)snprintf(r->bus, sizeof(r->bus), "%s", t->bus) >= sizeof(r->bus))
		return err_set(e, ENAMETOOLONG, "systemd: name of unit or bus is too long");
	/* An id may be longer; its beginning tells as much. */
	snprintf(r->description, sizeof(r->description), "husk container %.230s", t->id);
	return 0;
}

static int ask(enum systemd_op op, const struct systemd_target *t, pid_t pid,
	       const struct buf *properties, struct systemd_hold *h, struct err *e)
{
	struct systemd_request r = { .version = SYSTEMD_WIRE_VERSION,
				     .op = op,
				     .timeout_ms = TIMEOUT_MS,
				     .pid = (uint32_t)pid,
				     .len = properties ? (uint32_t)properties->len : 0 };
	struct iovec iov[2] = { { &r, sizeof(r) },
				{ properties ? properties->data : NULL, r.len } };
	struct msghdr m = { .msg_iov = iov, .msg_iovlen = properties ? 2 : 1 };
	int rc = fill(&r, t, e);

	if (rc == 0 && sizeof(r) + r.len > SYSTEMD_REQUEST_MAX)
		rc = err_set(e, E2BIG, "too many properties for systemd");
	if (rc == 0)
		rc = start_helper(h, e);
	if (rc < 0)
		return rc;
	if (sendmsg(h->sock, &m, MSG_NOSIGNAL) < 0 && errno != EPIPE)
		rc = err_errno(e, errno, HELPER);
	else
		rc = await(h, e);
	if (rc < 0)
		systemd_release(h);
	return rc;
}

static int ask_once(enum systemd_op op, const struct systemd_target *t, pid_t pid,
		    const struct buf *properties, struct err *e)
{
	struct systemd_hold h = SYSTEMD_HOLD_INIT;
	int rc = ask(op, t, pid, properties, &h, e);

	systemd_release(&h);
	return rc;
}

int systemd_start(const struct systemd_target *t, const struct buf *properties,
		  struct systemd_hold *ret, struct err *e)
{
	*ret = (struct systemd_hold)SYSTEMD_HOLD_INIT;
	return ask(SYSTEMD_START, t, 0, properties, ret, e);
}

int systemd_group(const struct systemd_hold *h, char *out, size_t size, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	char path[64];
	int rc;

	snprintf(path, sizeof(path), "/proc/%d/cgroup", h->helper.pid);
	rc = io_read_file(AT_FDCWD, path, 65536, &text, NULL);
	if (rc < 0)
		return err_errno(e, -rc, "%s", path);
	return cgroup_of(text, out, size, e);
}

int systemd_stop(const struct systemd_target *t, struct err *e)
{
	return ask_once(SYSTEMD_STOP, t, 0, NULL, e);
}

int systemd_attach(const struct systemd_target *t, pid_t pid, struct err *e)
{
	return ask_once(SYSTEMD_ATTACH, t, pid, NULL, e);
}

int systemd_set(const struct systemd_target *t, const struct buf *properties, struct err *e)
{
	return ask_once(SYSTEMD_SET, t, 0, properties, e);
}
