// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/io.h"
#include "lib/log.h"
#include "runtime/net/devices.h"
#include "runtime/net/net.h"
#include "runtime/net/steer.h"

#define CONTROL_FD 3
/* An engine makes a link, its addresses and routes in a dozen steps: the guest is told when it is quiet, or after a while. */
#define QUIET_NS   UINT64_C(10000000)
#define PATIENT_NS UINT64_C(100000000)
/* What there was too little of to take a connection may be there again. */
#define AGAIN_NS   UINT64_C(100000000)

struct helper {
	int control, events, listen; /* -1: none any more */
	int proxy[NET_MAX_PROXIES]; /* the oldest first, without gaps */
	size_t n_proxies;
	int steering; /* its end is that of steering */
	int steered[STEER_SOCKETS]; /* where such connections arrive */
	size_t n_steered;
	int steering_udp;
	struct steer_udp steered_udp[STEER_SOCKETS];
	char id[1025];
	struct nl_sock *sk;
	struct net_links links;
	struct buf last; /* the packed state as it was told */
	uint64_t number; /* of that */
	uint64_t look_at, look_by; /* when to list again; 0: nothing has happened */
	uint64_t accept_at; /* not before; 0: at any time */
	bool is_set_up;
	char complaint[500]; /* what could not be done, said once */
};

static void reply(struct helper *h, int rc, const struct err *e)
{
	struct net_reply r = { .hdr = { .version = NET_VERSION, .cmd = NET_REPLY, .rc = rc, .size = sizeof(r) },
			       .links = (uint32_t)links_count(&h->links) };

	if (rc < 0)
		snprintf(r.text, sizeof(r.text), "%s", e->msg);
	io_send_fds(h->control, &r, sizeof(r), NULL, 0);
}

/* ---- what the proxy is told ------------------------------------------------------------------------------ */

static void tell(struct helper *h, int proxy, int rc, const struct err *e, uint64_t token)
{
	const uint32_t len = rc < 0 ? 0 : (uint32_t)h->last.len;
	struct net_state s = { .hdr = { .version = NET_VERSION,
					.cmd = NET_STATE,
					.rc = rc,
					.size = (uint32_t)sizeof(s) + len },
			       .token = token,
			       .number = h->number,
			       .links = (uint32_t)links_count(&h->links),
			       .len = len };
	struct iovec iov[2] = { { &s, sizeof(s) }, { h->last.data, len } };
	struct msghdr m = { .msg_iov = iov, .msg_iovlen = 2 };

	if (rc < 0)
		snprintf(s.text, sizeof(s.text), "%s", e->msg);
	if (sendmsg(proxy, &m, MSG_NOSIGNAL) < 0)
		log_debug("husk-proxy: %m");
}

static void tell_first(struct helper *h)
{
	if (h->n_proxies && h->links.machine)
		tell(h, h->proxy[0], 0, NULL, 0);
}

/* Where connections to the namespace itself arrive: one proxy at a time takes them. */
static void tell_steering(struct helper *h)
{
	struct net_simple m = { .hdr = { .version = NET_VERSION, .cmd = NET_LISTEN, .size = sizeof(m) } };

	if (h->n_steered)
		io_send_fds(h->proxy[0], &m, sizeof(m), h->steered, h->n_steered);
	for (unsigned i = 0; h->steering_udp >= 0 && i < STEER_SOCKETS; i++) {
		struct net_udp u = { .hdr = { .version = NET_VERSION, .cmd = NET_UDP, .size = sizeof(u) },
				     .family = i ? 6 : 4 };
		const int fds[2] = { h->steered_udp[i].in, h->steered_udp[i].out };

		if (fds[0] >= 0)
			io_send_fds(h->proxy[0], &u, sizeof(u), fds, ARRAY_SIZE(fds));
	}
}

static int pack(struct helper *h, const struct net_scan *links, bool *changed, struct err *e)
{
	struct buf now = BUF_INIT(NET_MAX_STATE);
	int rc = scan_pack(h->sk, h->id, links, &now, e);

	if (rc < 0) {
		buf_free(&now);
		return rc;
	}
	*changed |= now.len != h->last.len || (now.len && memcmp(now.data, h->last.data, now.len) != 0);
	buf_free(&h->last);
	h->last = now;
	return 0;
}

/* What a running container goes without is said once, not at every event. */
static void complain(struct helper *h, const char *why)
{
	if (strcmp(h->complaint, why) == 0)
		return;
	snprintf(h->complaint, sizeof(h->complaint), "%s", why);
	if (*why)
		log_warn("%s", why);
}

/* Lists, and makes taps of what is new. */
static int look(struct helper *h, bool strict, bool *changed, struct err *e)
{
	struct net_scan links;
	int rc = links_update(&h->links, h->number + 1, strict, &links, changed, e);

	if (rc == 0)
		complain(h, links.without);

	if (rc == 0)
		rc = pack(h, &links, changed, e);
	if (*changed)
		h->number++;
	h->look_at = h->links.again_ns;
	h->look_by = 0;
	return rc;
}

static void look_again(struct helper *h)
{
	struct err e = ERR_INIT;
	bool changed = false;

	if (look(h, false, &changed, &e) < 0)
		complain(h, e.msg);
	else if (changed)
		tell_first(h);
}

/* ---- who speaks to us ------------------------------------------------------------------------------------ */

static int open_sockets(struct helper *h, struct err *e)
{
	static const int groups[] = { RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_ROUTE,
				      RTNLGRP_IPV6_ROUTE, RTNLGRP_IPV4_RULE, RTNLGRP_IPV6_RULE };
	struct sockaddr_nl any = { .nl_family = AF_NETLINK };

	h->sk = nl_socket_alloc();
	if (!h->sk || nl_connect(h->sk, NETLINK_ROUTE) < 0)
		return err_set(e, EIO, "netlink: cannot connect");
	h->events = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	if (h->events < 0 || bind(h->events, (struct sockaddr *)&any, sizeof(any)) < 0)
		return err_errno(e, errno, "netlink");
	for (size_t i = 0; i < ARRAY_SIZE(groups); i++)
		setsockopt(h->events, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &groups[i], sizeof(groups[i]));
	return 0;
}

static void loopback_up(void)
{
	struct ifreq ifr = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &ifr) < 0)
		log_debug("loopback: %m");
}

/* Before the right to do so is given up. Without (in a user namespace, say) nobody reaches the guest by the namespace's
 * loopback, and all else is as it is. */
static void steer(struct helper *h, int netns)
{
	int all[STEER_SOCKETS];
	struct err e = ERR_INIT, udp = ERR_INIT;

	if (steer_start(netns, all, &h->steering, &e) < 0)
		log_debug("connections to the network namespace itself do not reach the guest: %s", e.msg);
	for (size_t i = 0; h->steering >= 0 && i < STEER_SOCKETS; i++)
		if (all[i] >= 0)
			h->steered[h->n_steered++] = all[i];
	if (steer_udp_start(h->steered_udp, &h->steering_udp, &udp) < 0)
		log_debug("datagrams to the network namespace itself do not reach the guest: %s", udp.msg);
	tell_steering(h);
}

static int set_up(struct helper *h, const struct net_setup *m, int *fds, size_t nfds, struct err *e)
{
	struct nl_sock *host = m->n_devices ? nl_socket_alloc() : NULL;
	bool changed = false;
	int rc = 0;

	if (h->is_set_up || m->n_devices > NET_MAX_LINKS || nfds != (m->flags & NET_SETUP_LOG ? 4u : 3u))
		return err_set(e, EBADMSG, "setup: malformed");
	h->is_set_up = true;
	h->proxy[h->n_proxies++] = fds[1];
	h->listen = fds[2];
	if (m->flags & NET_SETUP_LOG) {
		tzset();
		log_open(fds[3], m->flags & NET_SETUP_LOG_JSON ? LOG_JSON : LOG_TEXT,
			 m->flags & NET_SETUP_DEBUG ? LOG_DEBUG : LOG_WARN, "husk-net");
	}
	snprintf(h->id, sizeof(h->id), "%.*s", (int)sizeof(m->container_id) - 1, m->container_id);
	if (m->n_devices && (!host || nl_connect(host, NETLINK_ROUTE) < 0))
		rc = err_set(e, EIO, "netlink: cannot connect");
	if (rc == 0)
		rc = setns(fds[0], CLONE_NEWNET) < 0 ? err_errno(e, errno, "cannot join the network namespace") : 0;
	if (rc == 0)
		rc = open_sockets(h, e);
	if (rc == 0 && m->flags & NET_SETUP_FRESH)
		loopback_up();
	for (uint32_t i = 0; rc == 0 && i < m->n_devices; i++)
		rc = devices_move(host, h->sk, fds[0], &m->device[i], e);
	nl_socket_free(host);
	if (rc == 0)
		steer(h, fds[0]);
	close(fds[0]);
	if (rc < 0)
		return rc;
	links_init(&h->links, h->sk);
	rc = net_drop_privileges(e);
	return rc < 0 ? rc : look(h, true, &changed, e);
}

static int take_machine(struct helper *h, const int *fds, size_t nfds, struct err *e)
{
	struct ncl *machine;
	int rc;

	if (!h->is_set_up || h->links.machine || nfds != 1)
		return err_set(e, EBADMSG, "machine: malformed");
	rc = ncl_new(&machine, fds[0], e);
	if (rc == 0)
		rc = links_plug(&h->links, machine, e);
	if (rc == 0 && links_count(&h->links))
		tell_first(h);
	return rc;
}

static void from_husk(struct helper *h)
{
	static union {
		struct net_hdr hdr;
		struct net_setup setup;
	} m;
	struct err e = ERR_INIT;
	int fds[4] = { -1, -1, -1, -1 };
	size_t nfds = ARRAY_SIZE(fds);
	ssize_t n = io_recv_fds(h->control, &m, sizeof(m), fds, &nfds, 0);
	int rc = -EBADMSG;

	if (n <= 0) {
		close_and_reset(&h->control);
		return;
	}
	if (n < (ssize_t)sizeof(m.hdr) || m.hdr.version != NET_VERSION || m.hdr.size != (size_t)n)
		err_set(&e, EBADMSG, "malformed packet");
	else if (m.hdr.cmd == NET_SETUP && (size_t)n == sizeof(m.setup))
		rc = set_up(h, &m.setup, fds, nfds, &e);
	else if (m.hdr.cmd == NET_MACHINE && (size_t)n == sizeof(struct net_simple))
		rc = take_machine(h, fds, nfds, &e);
	reply(h, rc, &e);
}

/* The next one is told everything: what the last was told may not have become true. */
static void drop_proxy(struct helper *h, size_t i)
{
	close(h->proxy[i]);
	h->n_proxies--;
	memmove(h->proxy + i, h->proxy + i + 1, (h->n_proxies - i) * sizeof(*h->proxy));
	if (i || !h->n_proxies)
		return;
	tell_steering(h);
	tell_first(h);
}

static bool accept_proxy(struct helper *h)
{
	int fd = h->listen < 0 ? -1 : accept4(h->listen, NULL, NULL, SOCK_CLOEXEC);

	h->accept_at = 0;
	if (fd < 0) {
		/* What waits stays there: to ask again at once would be to ask for ever. */
		if (h->listen >= 0 && errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
			h->accept_at = io_now_ns() + AGAIN_NS;
		return false;
	}
	if (h->n_proxies == NET_MAX_PROXIES) {
		close(fd);
		return false;
	}
	h->proxy[h->n_proxies++] = fd;
	return true;
}

static void from_proxy(struct helper *h, size_t i)
{
	union {
		struct net_hdr hdr;
		struct net_sync sync;
		struct net_done done;
	} m;
	struct err e = ERR_INIT;
	bool changed = false;
	ssize_t n = io_recv_fds(h->proxy[i], &m, sizeof(m), NULL, NULL, 0);
	int rc;

	if (n < (ssize_t)sizeof(m.hdr) || m.hdr.version != NET_VERSION || m.hdr.size != (size_t)n) {
		drop_proxy(h, i);
	} else if (m.hdr.cmd == NET_SYNC && (size_t)n == sizeof(m.sync)) {
		rc = look(h, true, &changed, &e);
		tell(h, h->proxy[i], rc, &e, m.sync.token);
	} else if (m.hdr.cmd == NET_DONE && (size_t)n == sizeof(m.done) && m.hdr.rc == 0) {
		links_settle(&h->links, m.done.number);
	}
}

/* What it says does not matter: all of it is listed again. */
static void from_kernel(struct helper *h)
{
	uint64_t now = io_now_ns();
	char skipped[8192];

	while (recv(h->events, skipped, sizeof(skipped), MSG_TRUNC) >= 0 || errno == ENOBUFS)
		;
	if (!h->look_by)
		h->look_by = now + PATIENT_NS;
	h->look_at = min_t(uint64_t, now + QUIET_NS, h->look_by);
}

static int timeout_ms(const struct helper *h)
{
	uint64_t now = io_now_ns(), at = h->look_at;

	if (h->accept_at && (!at || h->accept_at < at))
		at = h->accept_at;
	if (!at)
		return -1;
	return at <= now ? 0 : (int)((at - now) / 1000000u) + 1;
}

static void serve(struct helper *h)
{
	while (h->n_proxies || h->control >= 0) {
		struct pollfd p[3 + NET_MAX_PROXIES] = {
			{ .fd = h->control, .events = POLLIN },
			{ .fd = h->events, .events = POLLIN },
			{ .fd = h->listen, .events = POLLIN },
		};
		size_t n_proxies = h->n_proxies;
		int n;

		if (h->accept_at <= io_now_ns())
			h->accept_at = 0;
		if (h->accept_at)
			p[2].fd = -1;
		for (size_t i = 0; i < n_proxies; i++)
			p[3 + i] = (struct pollfd){ .fd = h->proxy[i], .events = POLLIN };
		n = poll(p, 3 + n_proxies, timeout_ms(h));
		if (n < 0 && errno != EINTR)
			return;
		if (n > 0 && p[0].revents)
			from_husk(h);
		/* From the last on: one that goes moves none that is still to be looked at. */
		for (size_t i = n_proxies; n > 0 && i > 0; i--)
			if (p[2 + i].revents)
				from_proxy(h, i - 1);
		if (n > 0 && p[2].revents)
			accept_proxy(h);
		/* Those that it was for are gone, and nobody is at the door. */
		if (h->is_set_up && !h->n_proxies && !accept_proxy(h))
			return;
		if (n > 0 && p[1].revents)
			from_kernel(h);
		if (h->look_at && h->look_at <= io_now_ns())
			look_again(h);
	}
}

int main(void)
{
	static struct helper h = { .events = -1,
				   .listen = -1,
				   .steering = -1,
				   .steering_udp = -1,
				   .last = BUF_INIT(NET_MAX_STATE) };
	sigset_t all;

	log_open(-1, LOG_TEXT, LOG_ERR, "husk-net");
	if (syscall(SYS_close_range, CONTROL_FD + 1, ~0u, 0) < 0)
		return 1;
	/* It ends when the container does, not before. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	h.control = CONTROL_FD;
	io_set_cloexec(CONTROL_FD, true);
	serve(&h);
	links_done(&h.links);
	return 0;
}
