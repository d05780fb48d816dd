// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/io.h"
#include "lib/log.h"
#include "runtime/net/net.h"

#define MACHINE_TIMEOUT_MS 10000
#define QUEUE_SIZE 256
/* Doubled each time. */
#define AGAIN_FIRST_NS UINT64_C(1000000000)
#define AGAIN_LAST_NS  UINT64_C(64000000000)

static int open_tun(void)
{
	int fd = open("/dev/net/tun", NET_TUN_FLAGS);

	return fd < 0 ? -errno : fd;
}

void links_init(struct net_links *n, struct nl_sock *sk)
{
	memset(n, 0, sizeof(*n));
	n->sk = sk;
	for (size_t i = 0; i < NET_MAX_LINKS; i++)
		n->slot[i].tun = -1;
	/* Without any, a container whose namespace has no link is none the worse. */
	while (n->nspare < NET_SPARE_TAPS) {
		int fd = open_tun();

		if (fd < 0)
			return;
		n->spare[n->nspare++] = fd;
	}
}

static int take_tun(struct net_links *n, const struct net_link *l, int *ret, struct err *e)
{
	int fd = open_tun();

	if (fd < 0 && n->nspare)
		fd = n->spare[--n->nspare];
	if (fd < 0)
		return err_errno(e, -fd, "interface %s: cannot make a tap for it: /dev/net/tun", l->name);
	*ret = fd;
	return 0;
}

static void device_id(const struct net_slot *s, char *out, size_t size)
{
	snprintf(out, size, "net%u", s->serial);
}

/* ---- machine --------------------------------------------------------------------------------------------- */

static int plug(struct net_links *n, struct net_slot *s, struct err *e)
{
	struct nc_device dev;
	char id[32];
	int rc;

	if (!n->machine || s->plugged)
		return 0;
	device_id(s, id, sizeof(id));
	ncl_device_init(&dev, NC_DEV_NET, id);
	memcpy(dev.net.mac, s->link.mac, sizeof(dev.net.mac));
	dev.net.pairs = 1;
	dev.net.queue_size = QUEUE_SIZE;
	dev.net.offloads = NC_NET_CSUM | NC_NET_TSO;
	rc = ncl_device_add(n->machine, &dev, NULL, 0, NULL, MACHINE_TIMEOUT_MS, e);
	if (rc == 0) {
		s->plugged = true;
		rc = ncl_net_attach(n->machine, id, &s->tun, 1, NULL, 0, 0, MACHINE_TIMEOUT_MS, e);
	}
	/* The machine's now: the tap is to go when that does. */
	close_and_reset(&s->tun);
	return rc < 0 ? err_wrap(e, rc, "interface %s", s->link.name) : 0;
}

static void unplug(struct net_links *n, struct net_slot *s)
{
	struct err e = ERR_INIT;
	char id[32];

	device_id(s, id, sizeof(id));
	if (s->plugged && n->machine && ncl_device_remove(n->machine, id, MACHINE_TIMEOUT_MS, &e) < 0)
		log_debug("interface %s: %s", s->link.name, e.msg);
	close_and_reset(&s->tun);
	*s = (struct net_slot){ .life = LINK_FREE, .tun = -1 };
}

int links_plug(struct net_links *n, struct ncl *machine, struct err *e)
{
	int rc = 0;

	n->machine = machine;
	for (size_t i = 0; rc == 0 && i < NET_MAX_LINKS; i++)
		if (n->slot[i].life == LINK_HERE)
			rc = plug(n, &n->slot[i], e);
	return rc;
}

/* ---- what is there and what was ---------------------------------------------------------------------------- */

static size_t own_taps(const struct net_links *n, int *out)
{
	size_t k = 0;

	for (size_t i = 0; i < NET_MAX_LINKS; i++)
		if (n->slot[i].life != LINK_FREE)
			out[k++] = n->slot[i].tap;
	return k;
}

static struct net_link *in_scan(struct net_scan *s, int index)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->link[i].index == index)
			return &s->link[i];
	return NULL;
}

/* What the guest's device cannot change under its driver is another device. */
static bool is_same_device(const struct net_link *a, const struct net_link *b)
{
	return memcmp(a->mac, b->mac, sizeof(a->mac)) == 0;
}

static bool is_unchanged(const struct net_link *a, const struct net_link *b)
{
	return is_same_device(a, b) && strcmp(a->name, b->name) == 0 && a->mtu == b->mtu && a->no_arp == b->no_arp;
}

static void leave(struct net_links *n, struct net_slot *s, uint64_t number)
{
	mirror_remove(n->sk, s->link.index);
	s->life = LINK_GOING;
	s->gone_in = number;
}

static int make(struct net_links *n, const struct net_link *l, struct err *e)
{
	struct net_slot *s = n->slot;
	int rc;

	while (s < n->slot + NET_MAX_LINKS && s->life != LINK_FREE)
		s++;
	if (s == n->slot + NET_MAX_LINKS)
		return err_set(e, E2BIG, "interface %s: more than %d", l->name, NET_MAX_LINKS);
	*s = (struct net_slot){ .link = *l, .tun = -1, .serial = n->serial };
	rc = take_tun(n, l, &s->tun, e);
	if (rc == 0)
		rc = mirror_make(n->sk, s->tun, l, &s->tap, e);
	if (rc < 0) {
		/* Nothing of another machine's is there by now, but what stood in the way stays. */
		if (s->tun >= 0 && rc != -EBUSY)
			mirror_remove(n->sk, l->index);
		close_and_reset(&s->tun);
		return rc;
	}
	n->serial++;
	s->life = LINK_HERE;
	rc = plug(n, s, e);
	if (rc < 0) {
		/* Its frames are nobody's, then. */
		mirror_remove(n->sk, l->index);
		unplug(n, s);
	}
	return rc;
}

/* ---- what failed ------------------------------------------------------------------------------------------- */

static struct net_refusal *refusal_of(struct net_links *n, int index)
{
	for (size_t i = 0; i < NET_MAX_LINKS; i++)
		if (n->refused[i].link.index == index)
			return &n->refused[i];
	return NULL;
}

static void refuse(struct net_links *n, const struct net_link *l, const struct err *why)
{
	struct net_refusal *r = refusal_of(n, l->index);

	if (!r)
		r = refusal_of(n, 0);
	if (!r)
		return;
	r->pause_ns = r->pause_ns ? min_t(uint64_t, 2 * r->pause_ns, AGAIN_LAST_NS) : AGAIN_FIRST_NS;
	r->again_ns = io_now_ns() + r->pause_ns;
	r->link = *l;
	r->why = *why;
}

/* Those of links that have gone, or are others now, are forgotten. */
static void settle_refusals(struct net_links *n, struct net_scan *s)
{
	for (size_t i = 0; i < NET_MAX_LINKS; i++) {
		struct net_refusal *r = &n->refused[i];
		const struct net_link *now = r->link.index ? in_scan(s, r->link.index) : NULL;

		if (!now || !is_unchanged(now, &r->link))
			*r = (struct net_refusal){ .link.index = 0 };
	}
}

static void note_again(struct net_links *n, int index)
{
	const struct net_refusal *r = refusal_of(n, index);

	if (r && (!n->again_ns || r->again_ns < n->again_ns))
		n->again_ns = r->again_ns;
}

/* A tap that is made and goes again is an event like others: what was tried at each would be tried for ever. */
static int try(struct net_links *n, const struct net_link *l, bool strict, struct err *e)
{
	struct net_refusal *r = refusal_of(n, l->index);
	int rc;

	if (r && !strict && io_now_ns() < r->again_ns) {
		*e = r->why;
		return -e->code;
	}
	rc = make(n, l, e);
	if (rc < 0)
		refuse(n, l, e);
	else if (r)
		*r = (struct net_refusal){ .link.index = 0 };
	return rc;
}

static int keep(struct net_links *n, struct net_slot *s, struct net_link *now, bool *changed, struct err *e)
{
	int rc = 0;

	if (s->link.mtu != now->mtu)
		rc = mirror_set_mtu(n->sk, s->tap, now, e);
	/* The guest is told what its tap takes; the next look tries again. */
	if (rc < 0)
		now->mtu = s->link.mtu;
	*changed |= !is_unchanged(&s->link, now);
	s->link = *now;
	return rc;
}

static void leave_out(struct net_scan *s, size_t i)
{
	s->n--;
	memmove(&s->link[i], &s->link[i + 1], (s->n - i) * sizeof(s->link[0]));
}

/* What is new gets a tap. */
static int make_new(struct net_links *n, bool strict, struct net_scan *s, bool *changed, struct err *e)
{
	settle_refusals(n, s);
	for (size_t i = 0; i < s->n;) {
		struct err why = ERR_INIT;
		bool known = false;
		int rc;

		for (size_t k = 0; k < NET_MAX_LINKS; k++)
			known |= n->slot[k].life == LINK_HERE && n->slot[k].link.index == s->link[i].index;
		rc = known ? 0 : try(n, &s->link[i], strict, &why);
		*changed |= !known && rc == 0;
		if (rc < 0 && strict) {
			*e = why;
			return rc;
		}
		if (rc < 0) {
			note_again(n, s->link[i].index);
			net_go_without(s, &why);
			leave_out(s, i);
		} else {
			i++;
		}
	}
	return 0;
}

int links_update(struct net_links *n, uint64_t number, bool strict, struct net_scan *ret, bool *ret_changed, struct err *e)
{
	int own[NET_MAX_LINKS];
	size_t nown = own_taps(n, own);
	int rc = scan_links(n->sk, own, nown, strict, ret, e);

	*ret_changed = false;
	n->again_ns = 0;
	for (size_t i = 0; rc == 0 && i < NET_MAX_LINKS; i++) {
		struct net_slot *s = &n->slot[i];
		struct net_link *now = s->life == LINK_HERE ? in_scan(ret, s->link.index) : NULL;
		struct err why = ERR_INIT;

		if (s->life == LINK_HERE && (!now || !is_same_device(&s->link, now))) {
			leave(n, s, number);
			*ret_changed = true;
		} else if (now) {
			rc = keep(n, s, now, ret_changed, &why);
		}
		if (rc < 0 && strict)
			*e = why;
		else if (rc < 0)
			rc = net_go_without(ret, &why);
	}
	return rc < 0 ? rc : make_new(n, strict, ret, ret_changed, e);
}

void links_settle(struct net_links *n, uint64_t number)
{
	for (size_t i = 0; i < NET_MAX_LINKS; i++)
		if (n->slot[i].life == LINK_GOING && n->slot[i].gone_in <= number)
			unplug(n, &n->slot[i]);
}

size_t links_count(const struct net_links *n)
{
	size_t k = 0;

	for (size_t i = 0; i < NET_MAX_LINKS; i++)
		k += n->slot[i].life == LINK_HERE;
	return k;
}

void links_done(struct net_links *n)
{
	for (size_t i = 0; i < NET_MAX_LINKS; i++) {
		if (n->slot[i].life == LINK_HERE)
			mirror_remove(n->sk, n->slot[i].link.index);
		close_and_reset(&n->slot[i].tun);
	}
	while (n->nspare)
		close(n->spare[--n->nspare]);
}
