// SPDX-License-Identifier: Apache-2.0
#include "runtime/proxy/client.h"

#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/io.h"

/* Until there is something to receive. */
static int wait_for(int sock, uint64_t deadline, struct err *e)
{
	for (;;) {
		struct pollfd f = { .fd = sock, .events = POLLIN };
		uint64_t now = io_now_ns();
		uint64_t ms = now >= deadline ? 0 : (deadline - now) / 1000000u + 1;
		int n = poll(&f, 1, (int)min_t(uint64_t, ms, INT_MAX));

		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return err_errno(e, errno, "poll");
		if (n == 0)
			return err_set(e, ETIMEDOUT, "husk-proxy does not answer");
	}
}

static bool is_well_formed(const struct proxy_hdr *h, size_t size)
{
	return h->version == PROXY_VERSION && h->size == size && h->rc <= 0 && h->rc >= -4095;
}

/* Says what the proxy said last, or that it has ended. */
static int has_ended(int sock, struct err *e)
{
	struct proxy_reply r;
	ssize_t n;

	do {
		n = io_recv_fds(sock, &r, sizeof(r), NULL, NULL, MSG_DONTWAIT);
		if (n == (ssize_t)sizeof(r) && is_well_formed(&r.hdr, sizeof(r)) && r.hdr.rc < 0) {
			r.text[sizeof(r.text) - 1] = 0;
			return err_set(e, -r.hdr.rc, "%s", r.text);
		}
		/* Reset: it left something unread. Said once, before what is there to read. */
	} while (n > 0 || n == -ECONNRESET);
	return err_set(e, EPIPE, "husk-proxy has ended");
}

int proxy_send(int sock, enum proxy_cmd cmd, void *packet, size_t size, const int *fds, size_t nfds,
	       struct err *e)
{
	struct proxy_hdr *h = packet;
	int rc;

	*h = (struct proxy_hdr){ .version = PROXY_VERSION, .cmd = cmd, .size = (uint32_t)size };
	rc = io_send_fds(sock, packet, size, fds, nfds);
	if (rc == -EPIPE || rc == -ECONNRESET)
		return has_ended(sock, e);
	return rc < 0 ? err_errno(e, -rc, "cannot speak to husk-proxy") : 0;
}

/* One packet of exactly @size bytes into @p. */
static int receive(int sock, void *p, size_t size, uint64_t deadline, struct err *e)
{
	for (;;) {
		int rc = wait_for(sock, deadline, e);
		ssize_t len;

		if (rc < 0)
			return rc;
		len = io_recv_fds(sock, p, size, NULL, NULL, MSG_DONTWAIT);
		if (len == -EAGAIN)
			continue;
		if (len == 0 || len == -ECONNRESET)
			return has_ended(sock, e);
		if (len == -EMSGSIZE || (len > 0 && (size_t)len != size)) {
			/* Of another kind: an event, say. */
			memset(p, 0, sizeof(struct proxy_hdr));
			return 0;
		}
		if (len < 0)
			return err_errno(e, (int)-len, "husk-proxy");
		if (!is_well_formed(p, size))
			return err_set(e, EPROTO, "husk-proxy sent a malformed packet");
		return 0;
	}
}

static uint64_t deadline_of(int timeout_ms)
{
	return io_now_ns() + (uint64_t)timeout_ms * 1000000u;
}

int proxy_wait(int sock, enum proxy_cmd cmd, struct proxy_reply *ret, int timeout_ms, struct err *e)
{
	uint64_t deadline = deadline_of(timeout_ms);
	struct proxy_reply r;
	int rc;

	do
		rc = receive(sock, &r, sizeof(r), deadline, e);
	while (rc == 0 && r.hdr.cmd != (uint32_t)cmd && !(cmd == PROXY_SYNC && r.hdr.cmd == PROXY_ATTACH));
	if (rc < 0)
		return rc;
	r.text[sizeof(r.text) - 1] = 0;
	if (ret)
		*ret = r;
	if (r.hdr.rc < 0)
		return err_set(e, -r.hdr.rc, "%s", r.text);
	return 0;
}

int proxy_call(int sock, enum proxy_cmd cmd, struct proxy_reply *ret, int timeout_ms, struct err *e)
{
	struct proxy_simple m;
	int rc = proxy_send(sock, cmd, &m, sizeof(m), NULL, 0, e);

	return rc < 0 ? rc : proxy_wait(sock, cmd, ret, timeout_ms, e);
}

int proxy_signal(int sock, int signo, bool all, int timeout_ms, struct err *e)
{
	struct proxy_signal m = { .signo = (uint32_t)signo, .all = all };
	int rc = proxy_send(sock, PROXY_SIGNAL, &m, sizeof(m), NULL, 0, e);

	return rc < 0 ? rc : proxy_wait(sock, PROXY_SIGNAL, NULL, timeout_ms, e);
}

static int send_packed(int sock, enum proxy_cmd cmd, const struct buf *request, int timeout_ms, struct err *e)
{
	struct proxy_update m = { .len = (uint32_t)request->len };
	int rc;

	if (request->len > sizeof(m.request))
		return err_set(e, E2BIG, "too much to update at a time");
	memcpy(m.request, request->data, request->len);
	rc = proxy_send(sock, cmd, &m, sizeof(m), NULL, 0, e);
	return rc < 0 ? rc : proxy_wait(sock, cmd, NULL, timeout_ms, e);
}

int proxy_update(int sock, const struct buf *request, int timeout_ms, struct err *e)
{
	return send_packed(sock, PROXY_UPDATE, request, timeout_ms, e);
}

int proxy_disks(int sock, const struct buf *request, int timeout_ms, struct err *e)
{
	return send_packed(sock, PROXY_DISKS, request, timeout_ms, e);
}

int proxy_ps(int sock, void (*each)(void *arg, const struct proxy_ps *p), void *arg, int timeout_ms,
	     struct err *e)
{
	uint64_t deadline = deadline_of(timeout_ms);
	struct proxy_simple m;
	struct proxy_ps row;
	int rc = proxy_send(sock, PROXY_PS, &m, sizeof(m), NULL, 0, e);

	for (unsigned n = 0; rc == 0; n++) {
		/* The answer to a command that was refused outright has another form. */
		rc = receive(sock, &row, sizeof(row), deadline, e);
		if (rc == 0 && row.hdr.cmd != PROXY_PS)
			rc = err_set(e, ESRCH, "container not running");
		if (rc < 0)
			break;
		row.state[sizeof(row.state) - 1] = 0;
		row.name[sizeof(row.name) - 1] = 0;
		row.tty[sizeof(row.tty) - 1] = 0;
		row.command[sizeof(row.command) - 1] = 0;
		if (!row.more)
			return row.hdr.rc < 0 ? err_set(e, -row.hdr.rc, "%s", row.command) : 0;
		if (n == PROXY_MAX_PS)
			rc = err_set(e, EPROTO, "husk-proxy sent too many processes");
		else
			each(arg, &row);
	}
	return rc;
}

/* ---- what it has used -------------------------------------------------------------------------- */

static bool is_name(const char *s, size_t size)
{
	size_t len = strnlen(s, size);

	return len > 0 && len < size && strspn(s, AGENT_INTERFACE_CHARS) == len;
}

/* 0, the proxy's refusal, or -EPROTO. */
static int take_stats(struct proxy_stats *m, struct agent_stats *ret, struct err *e)
{
	struct agent_stats *s = &m->s;
	bool good = s->n_memory_stat <= AGENT_MAX_COUNTERS && s->n_block <= AGENT_MAX_BLOCK_STATS &&
		    s->n_huge <= AGENT_MAX_HUGE_SIZES && s->n_interfaces <= AGENT_MAX_INTERFACE_STATS;

	m->text[sizeof(m->text) - 1] = 0;
	if (m->hdr.rc < 0)
		return err_set(e, -m->hdr.rc, "%s", m->text);
	for (uint32_t i = 0; good && i < s->n_memory_stat; i++)
		good = is_name(s->memory_stat[i].name, sizeof(s->memory_stat[i].name));
	for (uint32_t i = 0; good && i < s->n_huge; i++)
		good = is_name(s->huge[i].size, sizeof(s->huge[i].size));
	for (uint32_t i = 0; good && i < s->n_interfaces; i++)
		good = is_name(s->interfaces[i].name, sizeof(s->interfaces[i].name));
	if (!good)
		return err_set(e, EPROTO, "husk-proxy sent malformed figures");
	*ret = *s;
	return 0;
}

int proxy_ask_stats(int sock, struct err *e)
{
	struct proxy_simple m;

	return proxy_send(sock, PROXY_STATS, &m, sizeof(m), NULL, 0, e);
}

int proxy_event(int sock, struct agent_stats *ret, int *ret_rc, int timeout_ms, struct err *e)
{
	uint64_t deadline = deadline_of(timeout_ms);
	union {
		struct proxy_hdr hdr;
		struct proxy_reply reply;
		struct proxy_stats stats;
	} m;

	for (;;) {
		int rc = wait_for(sock, deadline, e);
		ssize_t len;

		if (rc < 0)
			return rc;
		len = io_recv_fds(sock, &m, sizeof(m), NULL, NULL, MSG_DONTWAIT);
		if (len == -EAGAIN)
			continue;
		if (len == 0 || len == -ECONNRESET)
			return err_set(e, EPIPE, "husk-proxy has ended");
		if (len < (ssize_t)sizeof(m.hdr) || !is_well_formed(&m.hdr, (size_t)len))
			return err_set(e, EPROTO, "husk-proxy sent a malformed packet");
		if (m.hdr.cmd == PROXY_OOM && (size_t)len == sizeof(m.reply))
			return PROXY_OOM;
		if (m.hdr.cmd == PROXY_STATS && (size_t)len == sizeof(m.stats)) {
			*ret_rc = take_stats(&m.stats, ret, e);
			return PROXY_STATS;
		}
		if (m.hdr.cmd == PROXY_STATS && (size_t)len == sizeof(m.reply)) {
			/* Refused outright. */
			m.reply.text[sizeof(m.reply.text) - 1] = 0;
			*ret_rc = err_set(e, m.hdr.rc ? -m.hdr.rc : EPROTO, "%s", m.reply.text);
			return PROXY_STATS;
		}
	}
}

int proxy_stats(int sock, struct agent_stats *ret, int timeout_ms, struct err *e)
{
	uint64_t deadline = deadline_of(timeout_ms);
	int got, answer = 0, rc = proxy_ask_stats(sock, e);

	if (rc < 0)
		return rc;
	do {
		uint64_t now = io_now_ns();

		got = proxy_event(sock, ret, &answer,
				  now >= deadline ? 0 : (int)((deadline - now) / 1000000u) + 1, e);
	} while (got == PROXY_OOM);
	return got < 0 ? got : answer;
}

int proxy_watch(int sock, int timeout_ms, struct err *e)
{
	return proxy_call(sock, PROXY_WATCH, NULL, timeout_ms, e);
}
