// SPDX-License-Identifier: Apache-2.0
#include "runtime/proxy/client.h"

#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/io.h"

int proxy_send(int sock, enum proxy_cmd cmd, void *packet, size_t size, const int *fds, size_t nfds,
	       struct err *e)
{
	struct proxy_hdr *h = packet;
	int rc;

	*h = (struct proxy_hdr){ .version = PROXY_VERSION, .cmd = cmd, .size = (uint32_t)size };
	rc = io_send_fds(sock, packet, size, fds, nfds);
	return rc < 0 ? err_errno(e, -rc, "cannot speak to husk-proxy") : 0;
}

/* One packet of exactly @size bytes into @p. */
static int receive(int sock, void *p, size_t size, uint64_t deadline, struct err *e)
{
	const struct proxy_hdr *h = p;

	for (;;) {
		struct pollfd f = { .fd = sock, .events = POLLIN };
		uint64_t now = io_now_ns();
		int n = poll(&f, 1, now >= deadline ? 0 : (int)((deadline - now) / 1000000u) + 1);
		ssize_t len;

		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0)
			return err_set(e, ETIMEDOUT, "husk-proxy does not answer");
		len = io_recv_fds(sock, p, size, NULL, NULL, MSG_DONTWAIT);
		if (len == -EAGAIN)
			continue;
		if (len == 0 || len == -ECONNRESET)
			return err_set(e, EPIPE, "husk-proxy has ended");
		if (len == -EMSGSIZE || (len > 0 && (size_t)len != size)) {
			/* Of another kind: an event, say. */
			memset(p, 0, sizeof(*h));
			return 0;
		}
		if (len < 0)
			return err_errno(e, (int)-len, "husk-proxy");
		if (h->version != PROXY_VERSION || h->size != size || h->rc > 0 || h->rc < -4095)
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
