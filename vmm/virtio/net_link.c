// SPDX-License-Identifier: Apache-2.0
/*
 * The taps of a network device: coming, going, being looked at in the loop; what the guest is told of
 * its link; the timers of limits and of announcements.
 */
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/io.h"
#include "lib/log.h"
#include "vmm/virtio/net_internal.h"

/* Switches may learn late, or miss one: a driver announces itself this often. */
#define ANNOUNCES	   3
#define ANNOUNCE_FIRST_NS  50000000u /* its carrier is up by then */
#define ANNOUNCE_PERIOD_NS 100000000u
/* How late the end of a tap that vhost-net has is seen. */
#define LENT_LOOK_NS	   1000000000u

/* --- in the loop ------------------------------------------------------------------------------------- */

static void unwatch(struct net_pair *p)
{
	evloop_del(&p->tap);
	p->watched = 0;
}

void net_unwatch_all(struct net *n)
{
	for (unsigned i = 0; i < n->pairs; i++)
		unwatch(&n->pair[i]);
}

void net_watch(struct net_pair *p)
{
	struct net *n = p->n;
	uint32_t events = 0;

	if (p->lent) {
		events = EPOLLHUP;
	} else if (net_runs(n) && net_linked(n, p->index)) {
		events |= p->rx.starved || p->rx_held ? 0 : EPOLLIN;
		events |= p->tx_full ? EPOLLOUT : 0;
	}
	if (events == p->watched)
		return;
	if (!events)
		unwatch(p);
	else if (p->watched ? evloop_mod(&p->tap, events) : evloop_add(n->d.loop, &p->tap, events))
		vdev_needs_reset(&n->d, "a tap cannot be watched");
	else
		p->watched = events;
	if (p->lent)
		evtimer_set_ns(&n->lent_timer, LENT_LOOK_NS);
}

/*
 * A tap tells of its end as of a frame, with EPOLLIN and EPOLLPRI: who waits for either is woken for each frame that vhost-net
 * takes. So the loop waits for neither, and epoll is made to look now and then.
 */
static void look_at_lent(struct evtimer *t)
{
	struct net *n = container_of(t, struct net, lent_timer);

	for (unsigned i = 0; i < n->pairs; i++) {
		struct net_pair *p = &n->pair[i];

		if (!p->lent || !p->watched)
			continue;
		evloop_mod(&p->tap, p->watched);
		evtimer_set_ns(t, LENT_LOOK_NS);
	}
}

static void failed(struct net *n, const struct net_pair *p, const char *what)
{
	char why[48];

	snprintf(why, sizeof(why), "%s queue of pair %u is malformed", what, p->index);
	vdev_needs_reset(&n->d, why);
	net_unwatch_all(n);
}

static void run_rx(struct net_pair *p)
{
	if (net_rx_run(p) < 0)
		failed(p->n, p, "receive");
}

static void on_tap(struct evsrc *src, uint32_t events)
{
	struct net_pair *p = container_of(src, struct net_pair, tap);
	struct net *n = p->n;

	if (!net_runs(n)) {
		net_unwatch_all(n);
		return;
	}
	if (!(events & (EPOLLIN | EPOLLOUT))) {
		net_lost(n);
		return;
	}
	if (events & EPOLLIN)
		run_rx(p);
	/* What is left after a turn keeps tx_full, so that we are called again. */
	if ((events & EPOLLOUT) && net_runs(n)) {
		int rc = net_tx_run(p);

		if (rc < 0)
			failed(n, p, "transmit");
		p->tx_full |= rc > 0;
		net_watch(p);
	}
}

/* --- limits ------------------------------------------------------------------------------------------ */

void net_hold(struct net *n, uint64_t ns)
{
	uint64_t at = io_now_ns() + ns;

	if (n->rate_at && n->rate_at <= at)
		return;
	n->rate_at = at;
	evtimer_set_ns(&n->rate_timer, ns);
}

/* Where no doorbell asks for the rest of a turn, the timer does. */
static void run_tx(struct net_pair *p)
{
	int rc = net_runs(p->n) ? net_tx_run(p) : 0;

	if (rc < 0)
		failed(p->n, p, "transmit");
	if (rc > 0) {
		p->tx_held = true;
		net_hold(p->n, 1);
	}
}

static void tokens_came(struct evtimer *t)
{
	struct net *n = container_of(t, struct net, rate_timer);

	n->rate_at = 0;
	for (unsigned i = 0; i < n->pairs; i++) {
		struct net_pair *p = &n->pair[i];

		if (!net_runs(n))
			return; /* resume() is followed by kicks */
		if (p->rx_held)
			run_rx(p);
		if (p->tx_held)
			run_tx(p);
	}
}

/* --- the link ---------------------------------------------------------------------------------------- */

static void update_status(struct net *n)
{
	uint16_t old = atomic_load(&n->status);
	uint16_t now = n->attached && n->link_wanted ? old | NET_S_LINK_UP : 0;

	atomic_store(&n->status, now);
	if (now != old)
		vdev_config_changed(&n->d);
}

static void announce(struct net *n)
{
	if (!n->announce || !net_runs(n) || !(atomic_load(&n->status) & NET_S_LINK_UP))
		return;
	n->announce = false;
	n->announces = vdev_has(&n->d, NET_F_GUEST_ANNOUNCE) ? ANNOUNCES : 0;
	if (n->announces)
		evtimer_set_ns(&n->announce_timer, ANNOUNCE_FIRST_NS);
}

static void announce_now(struct evtimer *t)
{
	struct net *n = container_of(t, struct net, announce_timer);

	if (!net_runs(n) || !(atomic_load(&n->status) & NET_S_LINK_UP) || !n->announces)
		return;
	atomic_fetch_or(&n->status, (uint16_t)NET_S_ANNOUNCE);
	vdev_config_changed(&n->d);
	if (--n->announces)
		evtimer_set_ns(&n->announce_timer, ANNOUNCE_PERIOD_NS);
}

void net_announce_acked(struct net *n)
{
	atomic_fetch_and(&n->status, (uint16_t)~NET_S_ANNOUNCE);
}

void net_set_link(struct vdev *d, bool up)
{
	struct net *n = to_net(d);

	n->link_wanted = up;
	update_status(n);
}

/* No frame moves that could say otherwise. */
static void end_batches(struct net_pair *p)
{
	batch_end(&p->rx_batch, p->n->d.loop);
	batch_end(&p->tx_batch, p->n->d.loop);
}

/* --- what the taps are told -------------------------------------------------------------------------- */

int net_apply_pairs(struct net *n)
{
	int rc, ret = 0;

	for (unsigned i = 0; i < n->pairs; i++) {
		struct net_pair *p = &n->pair[i];
		bool on = i < n->pairs_used;

		if (!on) {
			net_vhost_stop(p, net_runs(n));
			unwatch(p);
			net_rx_return(p);
			end_batches(p);
			/* What waited for the tap to take frames is dropped, as all that comes: nobody tells of its room. */
			if (p->tx_full)
				run_tx(p);
		}
		if (n->attached && n->pairs > 1 && p->on != on) {
			rc = n->ops->set_queue(p->tap.fd, on);
			if (rc < 0)
				log_debug("%s: queue %u cannot be switched: %s", n->d.id, i, strerror(-rc));
			else
				p->on = on;
			if (rc < 0 && on)
				ret = rc;
		}
		/* From one that stayed off nothing is read: that would look like the end of the tap. */
		if (on && p->on && n->attached && net_runs(n)) {
			net_vhost_start(p);
			run_rx(p);
			net_watch(p);
		}
	}
	return ret;
}

/* In the tap's terms, and no combination that it does not take. */
static unsigned tap_bits(uint64_t offloads)
{
	static const struct {
		unsigned feature, bit;
	} tab[] = {
		{ NET_F_GUEST_CSUM, TAP_CSUM },	   { NET_F_GUEST_TSO4, TAP_TSO4 },
		{ NET_F_GUEST_TSO6, TAP_TSO6 },	   { NET_F_GUEST_ECN, TAP_TSO_ECN },
		{ NET_F_GUEST_UFO, TAP_UFO },	   { NET_F_GUEST_USO4, TAP_USO4 },
		{ NET_F_GUEST_USO6, TAP_USO6 },
	};
	unsigned bits = 0;

	for (size_t i = 0; i < ARRAY_SIZE(tab); i++)
		if (offloads & VIRTIO_F_BIT(tab[i].feature))
			bits |= tab[i].bit;
	if (!(bits & TAP_CSUM))
		return 0;
	if (!(bits & (TAP_TSO4 | TAP_TSO6)))
		bits &= ~(unsigned)TAP_TSO_ECN;
	if ((bits & (TAP_USO4 | TAP_USO6)) != (TAP_USO4 | TAP_USO6))
		bits &= ~(unsigned)(TAP_USO4 | TAP_USO6);
	return bits;
}

void net_apply_offloads(struct net *n)
{
	unsigned bits = tap_bits(n->guest_offloads) & n->tap_offloads;

	/* Without, the host finishes each frame before we see it: slower, and right. */
	if (n->attached && n->ops->set_offloads(n->pair[0].tap.fd, bits) < 0)
		log_debug("%s: the tap refuses offloads %#x", n->d.id, bits);
}

/* --- coming and going -------------------------------------------------------------------------------- */

static void close_taps(struct net *n)
{
	for (unsigned i = 0; i < n->pairs; i++) {
		net_vhost_stop(&n->pair[i], net_runs(n));
		net_vhost_close(&n->pair[i]);
		unwatch(&n->pair[i]);
		close_and_reset(&n->pair[i].tap.fd);
		n->pair[i].tx_full = false;
		end_batches(&n->pair[i]);
	}
	n->attached = n->vhost = false;
	update_status(n);
	/* Whoever waited for the tap to take frames: they are dropped from now on. */
	for (unsigned i = 0; i < n->pairs; i++)
		run_tx(&n->pair[i]);
}

static void lost_later(void *arg)
{
	struct net *n = arg;

	if (n->attached)
		close_taps(n);
}

void net_lost(struct net *n)
{
	log_warn("%s: its tap has gone", n->d.id);
	net_unwatch_all(n);
	/* Not from within a turn of a queue, where we may be. */
	n->tap_gone = true;
	if (evloop_post(n->d.loop, lost_later, n) < 0)
		vdev_needs_reset(&n->d, "out of memory");
}

/* -EINVAL: a tap lacks what the device offers whatever is behind it. */
static int check_offloads(const struct net *n, unsigned have, struct err *e)
{
	static const struct {
		uint32_t offload;
		unsigned bit;
		const char *name;
	} tab[] = {
		{ NET_CSUM, TAP_CSUM, "checksum offload" },
		{ NET_TSO, TAP_TSO4, "TSO" },
		{ NET_UFO, TAP_UFO, "UFO" },
		{ NET_USO, TAP_USO4, "USO" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(tab); i++)
		if (n->offloads & tab[i].offload && !(have & tab[i].bit))
			return err_set(e, EINVAL, "%s: the tap has no %s, which the guest was promised",
				       n->d.id, tab[i].name);
	return 0;
}

static void take_address(struct net *n, const uint8_t *mac)
{
	uint64_t v = 0;

	memcpy(&v, mac, 6);
	n->base_mac = v;
	atomic_store(&n->mac, v);
}

int net_attach(struct vdev *d, const struct net_attachment *a, struct err *e)
{
	struct net *n = to_net(d);
	unsigned have = ~0u;
	int rc;

	if (n->attached)
		return err_set(e, EBUSY, "%s: there is a tap already", d->id);
	if (a->nfds != n->pairs)
		return err_set(e, EINVAL, "%s: %u taps for %u queue pairs", d->id, a->nfds, n->pairs);
	if (a->mtu && !(d->offered & VIRTIO_F_BIT(NET_F_MTU)))
		return err_set(e, EINVAL, "%s: was made without an MTU", d->id);
	for (unsigned i = 0; i < a->nfds; i++) {
		unsigned bits = 0;

		rc = n->ops->prepare(a->fd[i], &bits, e);
		if (rc < 0)
			return err_wrap(e, rc, "%s", d->id);
		have &= bits;
	}
	if (check_offloads(n, have, e) < 0)
		return -EINVAL;
	if (a->vhost && (rc = net_vhost_check(n, a, e)) < 0)
		return rc;
	n->vhost = a->vhost;
	for (unsigned i = 0; i < n->pairs; i++) {
		n->pair[i].tap.fd = a->fd[i];
		n->pair[i].vhost_fd = a->vhost ? a->vhost_fd[i] : -1;
		n->pair[i].on = true;
	}
	n->tap_offloads = have;
	n->attached = true;
	n->tap_gone = false;
	n->link_wanted = a->link;
	if (a->mac)
		take_address(n, a->mac);
	if (a->mtu)
		atomic_store(&n->mtu, a->mtu);
	n->announce = d->active;
	net_link_start(n);
	update_status(n);
	announce(n);
	return 0;
}

int net_detach(struct vdev *d, struct err *e)
{
	struct net *n = to_net(d);

	if (!n->attached)
		return err_set(e, ENOTCONN, "%s: there is no tap", d->id);
	close_taps(n);
	return 0;
}

/* --- life -------------------------------------------------------------------------------------------- */

int net_link_init(struct net *n, struct err *e)
{
	int rc;

	n->rate_timer.src.fd = n->announce_timer.src.fd = n->lent_timer.src.fd = -1;
	for (unsigned i = 0; i < n->pairs; i++) {
		n->pair[i].n = n;
		n->pair[i].index = i;
		n->pair[i].tap = (struct evsrc){ .fd = -1, .fn = on_tap, .name = "tap" };
		net_vhost_init(&n->pair[i]);
	}
	rc = evtimer_init(n->d.loop, &n->rate_timer, "net-tokens", tokens_came);
	if (rc == 0)
		rc = evtimer_init(n->d.loop, &n->announce_timer, "net-announce", announce_now);
	if (rc == 0)
		rc = evtimer_init(n->d.loop, &n->lent_timer, "net-lent", look_at_lent);
	return rc < 0 ? err_errno(e, -rc, "timer") : 0;
}

void net_link_done(struct net *n)
{
	evloop_cancel(n->d.loop, n);
	for (unsigned i = 0; i < n->pairs; i++) {
		end_batches(&n->pair[i]);
		net_vhost_close(&n->pair[i]);
		unwatch(&n->pair[i]);
		close_and_reset(&n->pair[i].tap.fd);
	}
	evtimer_done(&n->rate_timer);
	evtimer_done(&n->announce_timer);
	evtimer_done(&n->lent_timer);
}

void net_link_start(struct net *n)
{
	if (!n->d.active)
		return;
	net_apply_offloads(n);
	net_apply_pairs(n);
	announce(n);
	if (n->announces && net_runs(n))
		evtimer_set_ns(&n->announce_timer, ANNOUNCE_FIRST_NS);
}

void net_link_stop(struct net *n)
{
	for (unsigned i = 0; i < n->pairs; i++) {
		net_vhost_stop(&n->pair[i], false);
		end_batches(&n->pair[i]);
	}
	net_unwatch_all(n);
	evtimer_set_ns(&n->rate_timer, 0);
	evtimer_set_ns(&n->announce_timer, 0);
	n->rate_at = 0;
}
