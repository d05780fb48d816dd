// SPDX-License-Identifier: Apache-2.0
/*
 * The control queue (section 5.1.6.5): a command is class, number and arguments, and one byte for the
 * answer. Arguments are copied once; one that is cut, longer than it may be or of an unknown kind is
 * answered with an error and changes nothing. A chain without room for the answer is malformed.
 */
#include <string.h>

#include "vmm/virtio/net_internal.h"

enum { CTRL_OK = 0, CTRL_ERR = 1 };
enum { CLASS_RX, CLASS_MAC, CLASS_VLAN, CLASS_ANNOUNCE, CLASS_MQ, CLASS_OFFLOADS };

/* Two tables of addresses: more than any driver of ours sends; longer ones count as "all". */
#define MAX_ARGS (2 * (4 + 6 * 1024))

static uint16_t le16(const uint8_t *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

static uint32_t le32(const uint8_t *p)
{
	return le16(p) | (uint32_t)le16(p + 2) << 16;
}

/* The arguments of a command. */
struct args {
	const uint8_t *p;
	size_t len;
};

/* --- receive mode ------------------------------------------------------------------------------------ */

static int rx_mode(struct net *n, unsigned cmd, const struct args *a)
{
	struct net_filter *f = &n->filter;
	bool *const flags[] = { &f->promisc, &f->allmulti, &f->alluni,
				&f->nomulti, &f->nouni,	   &f->nobcast };

	if (cmd >= ARRAY_SIZE(flags) || a->len != 1 || a->p[0] > 1)
		return -EINVAL;
	if (cmd >= 2 && !vdev_has(&n->d, NET_F_CTRL_RX_EXTRA))
		return -EINVAL;
	*flags[cmd] = a->p[0];
	return 0;
}

/* --- addresses --------------------------------------------------------------------------------------- */

struct table {
	uint32_t n;
	const uint8_t *macs;
};

/* Cuts a table off the arguments. */
static int take_table(struct args *a, struct table *ret)
{
	if (a->len < 4)
		return -EINVAL;
	ret->n = le32(a->p);
	ret->macs = a->p + 4;
	if (ret->n > (a->len - 4) / 6)
		return -EINVAL;
	a->p += 4 + 6 * (size_t)ret->n;
	a->len -= 4 + 6 * (size_t)ret->n;
	return 0;
}

static void put_table(const struct table *t, uint8_t (*macs)[6], uint16_t *n, bool *many)
{
	*many = t->n > NET_FILTER_MACS;
	*n = *many ? 0 : (uint16_t)t->n;
	memcpy(macs, t->macs, 6 * (size_t)*n);
}

static int mac_table(struct net *n, const struct args *args)
{
	struct net_filter *f = &n->filter;
	struct table uni, multi;
	struct args a = *args;

	if (take_table(&a, &uni) < 0 || take_table(&a, &multi) < 0 || a.len)
		return -EINVAL;
	put_table(&uni, f->uni, &f->nuni, &f->many_uni);
	put_table(&multi, f->multi, &f->nmulti, &f->many_multi);
	return 0;
}

static int mac_command(struct net *n, unsigned cmd, const struct args *a)
{
	uint64_t v = 0;

	if (cmd == 0)
		return mac_table(n, a);
	if (cmd != 1 || a->len != 6 || !vdev_has(&n->d, NET_F_CTRL_MAC_ADDR))
		return -EINVAL;
	memcpy(&v, a->p, 6);
	atomic_store(&n->mac, v);
	return 0;
}

/* --- the rest ---------------------------------------------------------------------------------------- */

static int vlan_command(struct net *n, unsigned cmd, const struct args *a)
{
	unsigned id = a->len == 2 ? le16(a->p) : 4096;
	uint8_t bit = (uint8_t)(1u << (id % 8));

	if (id >= 4096 || cmd > 1)
		return -EINVAL;
	if (cmd == 0)
		n->filter.vlan[id / 8] |= bit;
	else
		n->filter.vlan[id / 8] &= (uint8_t)~bit;
	return 0;
}

static int announce_command(struct net *n, unsigned cmd, const struct args *a)
{
	if (cmd != 0 || a->len)
		return -EINVAL;
	net_announce_acked(n);
	return 0;
}

static int pairs_command(struct net *n, unsigned cmd, const struct args *a)
{
	unsigned pairs = a->len == 2 ? le16(a->p) : 0, old = n->pairs_used;
	int rc;

	if (cmd != 0 || pairs < 1 || pairs > n->pairs)
		return -EINVAL;
	n->pairs_used = pairs;
	rc = net_apply_pairs(n);
	if (rc < 0) {
		n->pairs_used = old;
		net_apply_pairs(n);
	}
	return rc;
}

static int offloads_command(struct net *n, unsigned cmd, const struct args *a)
{
	uint64_t v;

	if (cmd != 0 || a->len != 8)
		return -EINVAL;
	v = le32(a->p) | (uint64_t)le32(a->p + 4) << 32;
	if (v & ~(n->d.acked & NET_GUEST_OFFLOADS))
		return -EINVAL;
	n->guest_offloads = v;
	net_apply_offloads(n);
	return 0;
}

static const struct {
	unsigned feature; /* that the class belongs to */
	int (*run)(struct net *n, unsigned cmd, const struct args *a);
} classes[] = {
	[CLASS_RX] = { NET_F_CTRL_RX, rx_mode },
	[CLASS_MAC] = { NET_F_CTRL_RX, mac_command },
	[CLASS_VLAN] = { NET_F_CTRL_VLAN, vlan_command },
	[CLASS_ANNOUNCE] = { NET_F_GUEST_ANNOUNCE, announce_command },
	[CLASS_MQ] = { NET_F_MQ, pairs_command },
	[CLASS_OFFLOADS] = { NET_F_CTRL_GUEST_OFFLOADS, offloads_command },
};

static uint8_t command(struct net *n, const uint8_t *p, size_t len)
{
	struct args a = { p + 2, len - 2 };

	if (p[0] >= ARRAY_SIZE(classes) || !vdev_has(&n->d, classes[p[0]].feature))
		return CTRL_ERR;
	return classes[p[0]].run(n, p[1], &a) < 0 ? CTRL_ERR : CTRL_OK;
}

static int serve(struct net *n, struct vq *q)
{
	const struct vq_chain *c = &n->ctrl_chain;
	uint8_t buf[2 + MAX_ARGS], ack = CTRL_ERR;

	if (!c->write_len) {
		vq_unpop(q, c);
		return -EBADMSG;
	}
	if (c->read_len >= 2 && c->read_len <= sizeof(buf))
		ack = command(n, buf, vq_chain_read(c, 0, buf, sizeof(buf)));
	vq_chain_write(q, c, 0, &ack, 1);
	vq_push(q, c->head, 1);
	return 0;
}

unsigned net_ctrl_queue(const struct net *n)
{
	/* A driver that does not know of several pairs finds it behind the first (section 5.1.2). */
	return vdev_has(&n->d, NET_F_MQ) ? 2 * n->pairs : 2;
}

int net_ctrl_run(struct net *n)
{
	unsigned index = net_ctrl_queue(n), budget = 16;
	struct vq *q = &n->d.vq[index];
	int rc = 0;

	do {
		vq_disable_kicks(q);
		while (budget && (rc = vq_pop(q, &n->ctrl_chain)) > 0) {
			budget--;
			rc = serve(n, q);
			if (rc < 0)
				break;
		}
	} while (rc == 0 && budget && vq_enable_kicks(q));
	vdev_signal(&n->d, index);
	return rc < 0 ? rc : !budget;
}
