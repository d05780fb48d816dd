// SPDX-License-Identifier: Apache-2.0
#include "runtime/container/network.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/io.h"
#include "runtime/host/spawn.h"
#include "runtime/net/wire.h"
#include "runtime/oci/spec.h"

_Static_assert(OCI_MAX_NET_DEVICES <= NET_MAX_LINKS, "room for all");

#define CALL_TIMEOUT_MS 20000

static int tell(struct network *n, enum net_cmd cmd, struct net_hdr *m, size_t size, const int *fds, size_t nfds, struct err *e)
{
	int rc;

	*m = (struct net_hdr){ .version = NET_VERSION, .cmd = cmd, .size = (uint32_t)size };
	rc = io_send_fds(n->sock, m, size, fds, nfds);
	return rc < 0 ? err_errno(e, -rc, "cannot speak to husk-net") : 0;
}

static int await_reply(struct network *n, struct err *e)
{
	struct net_reply r = { .hdr = { .version = 0 } };
	struct pollfd p = { .fd = n->sock, .events = POLLIN };
	ssize_t got;
	int rc;

	do
		rc = poll(&p, 1, CALL_TIMEOUT_MS);
	while (rc < 0 && errno == EINTR);
	if (rc <= 0)
		return err_set(e, ETIMEDOUT, "husk-net does not answer");
	got = io_recv_fds(n->sock, &r, sizeof(r), NULL, NULL, 0);
	if (got != (ssize_t)sizeof(r) || r.hdr.version != NET_VERSION || r.hdr.cmd != NET_REPLY || r.hdr.rc > 0)
		return err_set(e, EPIPE, "husk-net has ended unexpectedly");
	r.text[sizeof(r.text) - 1] = 0;
	return r.hdr.rc < 0 ? err_set(e, -r.hdr.rc, "network: %s", r.text) : 0;
}

int network_start(struct network *n, const struct container_host *h, const char *id, int netns, struct sandbox *vm,
		  const struct oci_spec *spec, struct err *e)
{
	struct net_setup m = { .flags = spec->ns[OCI_NS_NETWORK].path ? 0u : NET_SETUP_FRESH,
			       .n_devices = (uint32_t)spec->n_net_devices };
	_cleanup_close_ int its_end = -1;
	_cleanup_close_ int listen = -1;
	const struct spawn sp = { .program = "husk-net", .cgroup = -1, .detached = true };
	int pair[2], rc = spawn_start(&sp, &n->proc, &n->sock, e);

	if (rc == 0)
		rc = sandbox_listen_net(vm, &listen, e);
	if (rc < 0)
		return rc;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_errno(e, errno, "socketpair");
	n->proxy_end = pair[0];
	its_end = pair[1];
	if (h->log >= 0)
		m.flags |= NET_SETUP_LOG;
	if (h->log_json)
		m.flags |= NET_SETUP_LOG_JSON;
	if (h->debug)
		m.flags |= NET_SETUP_DEBUG;
	for (size_t i = 0; i < spec->n_net_devices; i++) {
		memcpy(m.device[i].host, spec->net_devices[i].host, sizeof(m.device[i].host));
		memcpy(m.device[i].name, spec->net_devices[i].name, sizeof(m.device[i].name));
	}
	snprintf(m.container_id, sizeof(m.container_id), "%s", id);
	return tell(n, NET_SETUP, &m.hdr, sizeof(m), (int[]){ netns, its_end, listen, h->log }, h->log >= 0 ? 4 : 3, e);
}

int network_started(struct network *n, struct err *e)
{
	return await_reply(n, e);
}

int network_plug(struct network *n, struct sandbox *s, struct err *e)
{
	struct net_simple m = { .hdr = { .version = 0 } };
	_cleanup_close_ int client = -1;
	int rc = sandbox_devices(s, &client, e);

	if (rc == 0)
		rc = tell(n, NET_MACHINE, &m.hdr, sizeof(m), &client, 1, e);
	return rc < 0 ? rc : await_reply(n, e);
}

void network_done(struct network *n, bool failed)
{
	close_and_reset(&n->sock);
	close_and_reset(&n->proxy_end);
	if (!failed || !n->proc.pid)
		return;
	sandbox_end_net(&n->proc, NULL);
	waitpid(n->proc.pid, NULL, 0);
	n->proc.pid = 0;
}
