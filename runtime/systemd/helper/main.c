// SPDX-License-Identifier: Apache-2.0
/* husk-systemd-cgroup: see wire.h. Not for people: without its socket it says so and ends. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/io.h"
#include "runtime/systemd/helper/bus.h"

#define CONTROL_FD 3

static char packet[SYSTEMD_REQUEST_MAX + 1];

static int receive(struct systemd_request *r, const char **ret_props, struct err *e)
{
	ssize_t n;

	do
		n = recv(CONTROL_FD, packet, SYSTEMD_REQUEST_MAX, MSG_TRUNC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_errno(e, errno, "husk-systemd-cgroup: descriptor 3");
	if (n < (ssize_t)sizeof(*r) || n > SYSTEMD_REQUEST_MAX)
		return err_set(e, EBADMSG, "husk-systemd-cgroup: request: malformed size");
	memcpy(r, packet, sizeof(*r));
	packet[n] = 0;
	*ret_props = packet + sizeof(*r);
	if (r->len != (size_t)n - sizeof(*r))
		return err_set(e, EBADMSG, "husk-systemd-cgroup: request: malformed length");
	return request_check(r, *ret_props, e);
}

int main(void)
{
	struct systemd_reply reply = { .version = SYSTEMD_WIRE_VERSION };
	struct systemd_request r;
	struct err e = ERR_INIT;
	const char *props;
	char nothing;
	int rc = receive(&r, &props, &e);

	signal(SIGPIPE, SIG_IGN);
	if (rc == -ENOTSOCK || rc == -EBADF) {
		fprintf(stderr, "husk-systemd-cgroup is started by husk alone\n");
		return 1;
	}
	if (rc == 0)
		rc = bus_do(&r, props, &e);
	reply.rc = rc;
	snprintf(reply.text, sizeof(reply.text), "%s", rc < 0 ? e.msg : "");
	if (send(CONTROL_FD, &reply, sizeof(reply), MSG_NOSIGNAL) != (ssize_t)sizeof(reply))
		return 1;
	/* The scope's only process until husk has put others into it, or has died. */
	if (rc == 0 && r.op == SYSTEMD_START)
		while (recv(CONTROL_FD, &nothing, 1, 0) < 0 && errno == EINTR)
			;
	return 0;
}
