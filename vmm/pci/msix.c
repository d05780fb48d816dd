// SPDX-License-Identifier: Apache-2.0
/*
 * MSI-X (PCI Local Bus Specification 3.0, section 6.8.2): table, pending bits, and eventfds of others that raise a vector too.
 * Such an irqfd's route follows the vector's entry, but only while the entry is unmasked and has changed: a route change
 * costs the hypervisor a grace period, and drivers write an entry in pieces, masked.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/pci/pci_internal.h"

enum {
	ENTRY_ADDR_LO, /* 32-bit words of an entry */
	ENTRY_ADDR_HI,
	ENTRY_DATA,
	ENTRY_CONTROL,
	ENTRY_WORDS,

	ENTRY_LEN = 4 * ENTRY_WORDS,
	ENTRY_MASKED = 1u << 0,
	CONTROL_ENABLE = 1u << 15,
	CONTROL_FMASK = 1u << 14,
	MSIX_MAX = 256, /* enough for any of our devices */
};

struct vector {
	uint32_t word[ENTRY_WORDS];
	bool pending;
};

struct msix {
	pthread_mutex_t lock;
	struct pci_dev *dev;
	unsigned n, bar, cap;
	uint32_t table_off, pba_off;
	bool enabled, fmask; /* as configuration space says */
	struct pci_msix_lent *lent;
	struct vector vec[];
};

static struct hv_msi message(const struct vector *v)
{
	return (struct hv_msi){ .addr = v->word[ENTRY_ADDR_LO] |
					(uint64_t)v->word[ENTRY_ADDR_HI] << 32,
				.data = v->word[ENTRY_DATA] };
}

static bool masked(const struct msix *m, const struct vector *v)
{
	return !m->enabled || m->fmask || (v->word[ENTRY_CONTROL] & ENTRY_MASKED);
}

static uint64_t pba_len(const struct msix *m)
{
	return (m->n + 63) / 64 * 8;
}

static void detach_locked(struct msix *m, struct pci_msix_lent *l)
{
	if (l->attached)
		m->dev->seg->vm->ops->irqfd(m->dev->seg->vm, l->by.fd, l->gsi, false, NULL);
	l->attached = false;
}

/* With what is in the eventfd by then the vector is raised: the hypervisor looks when it takes it. */
static bool attach_locked(struct msix *m, struct pci_msix_lent *l)
{
	struct hv_msi msg = message(&m->vec[l->at]);
	struct hv_vm *vm = m->dev->seg->vm;

	if (l->attached && l->route.addr == msg.addr && l->route.data == msg.data)
		return true;
	if (vm->ops->gsi_route_msi(vm, l->gsi, &msg, NULL) < 0 ||
	    (!l->attached && vm->ops->irqfd(vm, l->by.fd, l->gsi, true, NULL) < 0))
		return false;
	l->attached = true;
	l->route = msg;
	return true;
}

static void unlend_locked(struct msix *m, struct pci_msix_lent *l)
{
	struct pci_msix_lent **at = &m->lent;

	detach_locked(m, l);
	m->dev->seg->vm->ops->gsi_free(m->dev->seg->vm, l->gsi);
	while (*at != l)
		at = &(*at)->next;
	*at = l->next;
	l->is_lent = false;
}

/* Its irqfd is there exactly while the vector is not masked. */
static void lent_locked(struct msix *m, struct pci_msix_lent *l)
{
	l->at = atomic_load(l->by.vector);
	if (l->at >= m->n || masked(m, &m->vec[l->at])) {
		detach_locked(m, l);
	} else if (!attach_locked(m, l)) {
		unlend_locked(m, l);
		l->by.fallback(l->by.arg);
	}
}

static void all_lent_locked(struct msix *m, unsigned vector)
{
	struct pci_msix_lent *next;

	for (struct pci_msix_lent *l = m->lent; l; l = next) {
		next = l->next;
		if (l->at == vector)
			lent_locked(m, l);
	}
}

static void raise_locked(struct msix *m, struct vector *v)
{
	struct hv_msi msg = message(v);

	m->dev->seg->vm->ops->signal_msi(m->dev->seg->vm, &msg);
}

/* The entry or a mask has changed. */
static void refresh_locked(struct msix *m, struct vector *v)
{
	all_lent_locked(m, (unsigned)(v - m->vec));
	if (!masked(m, v) && v->pending) {
		v->pending = false;
		raise_locked(m, v);
	}
}

void pci_msix_notify(struct pci_dev *d, unsigned vector)
{
	struct msix *m = d->msix;
	struct vector *v;

	if (!m || vector >= m->n)
		return;
	v = &m->vec[vector];
	pthread_mutex_lock(&m->lock);
	/* While MSI-X is off it is kept too: a driver that turns it off and on again must not lose
	 * one, and one too many does no harm. */
	if (masked(m, v))
		v->pending = true;
	else
		raise_locked(m, v);
	pthread_mutex_unlock(&m->lock);
}

int pci_msix_lend(struct pci_dev *d, struct pci_msix_lent *l, const struct pci_msix_lender *by)
{
	struct msix *m = d->msix;
	int rc;

	if (!m)
		return -ENOTSUP;
	pthread_mutex_lock(&m->lock);
	bug_on(l->is_lent);
	*l = (struct pci_msix_lent){ .by = *by, .next = m->lent };
	rc = d->seg->vm->ops->gsi_alloc(d->seg->vm, &l->gsi, NULL);
	if (rc == 0) {
		l->is_lent = true;
		m->lent = l;
		lent_locked(m, l);
	}
	pthread_mutex_unlock(&m->lock);
	return rc;
}

void pci_msix_lent_moved(struct pci_dev *d, struct pci_msix_lent *l)
{
	pthread_mutex_lock(&d->msix->lock);
	if (l->is_lent)
		lent_locked(d->msix, l);
	pthread_mutex_unlock(&d->msix->lock);
}

void pci_msix_reclaim(struct pci_dev *d, struct pci_msix_lent *l)
{
	if (!d->msix)
		return;
	pthread_mutex_lock(&d->msix->lock);
	if (l->is_lent)
		unlend_locked(d->msix, l);
	pthread_mutex_unlock(&d->msix->lock);
}

bool msix_owns(const struct msix *m, uint64_t off)
{
	return (off >= m->table_off && off - m->table_off < (uint64_t)m->n * ENTRY_LEN) ||
	       (off >= m->pba_off && off - m->pba_off < pba_len(m));
}

unsigned msix_bar(const struct msix *m)
{
	return m->bar;
}

/* What others have written while it is masked is the vector's, too. */
static bool pending_locked(struct msix *m, unsigned n)
{
	for (const struct pci_msix_lent *l = m->lent; l; l = l->next) {
		uint64_t count;

		if (l->at == n && !l->attached && read(l->by.fd, &count, sizeof(count)) == sizeof(count))
			m->vec[n].pending = true;
	}
	return m->vec[n].pending;
}

static uint32_t pba_word_locked(struct msix *m, uint64_t off)
{
	uint32_t v = 0;

	for (unsigned i = 0; i < 32; i++) {
		uint64_t n = off * 8 + i;

		if (n < m->n && pending_locked(m, (unsigned)n))
			v |= 1u << i;
	}
	return v;
}

/* The word at @off of table or PBA; aligned. Beyond both: 0. */
static uint32_t word_locked(struct msix *m, uint64_t off)
{
	uint64_t at = off - m->table_off;

	if (off >= m->table_off && at < (uint64_t)m->n * ENTRY_LEN)
		return m->vec[at / ENTRY_LEN].word[at % ENTRY_LEN / 4];
	if (off >= m->pba_off && off - m->pba_off < pba_len(m))
		return pba_word_locked(m, off - m->pba_off);
	return 0;
}

/* Only aligned accesses of 4 or 8 bytes are defined (section 6.8.2); others read as zeros. */
uint64_t msix_read(struct msix *m, uint64_t off, unsigned size)
{
	uint64_t v;

	if ((size != 4 && size != 8) || off % size)
		return 0;
	pthread_mutex_lock(&m->lock);
	v = word_locked(m, off);
	if (size == 8)
		v |= (uint64_t)word_locked(m, off + 4) << 32;
	pthread_mutex_unlock(&m->lock);
	return v;
}

void msix_write(struct msix *m, uint64_t off, unsigned size, uint64_t value)
{
	uint64_t at = off - m->table_off;
	struct vector *v;
	unsigned w;

	if ((size != 4 && size != 8) || off % size)
		return;
	if (off < m->table_off || at >= (uint64_t)m->n * ENTRY_LEN)
		return; /* the PBA is read-only */
	v = &m->vec[at / ENTRY_LEN];
	w = (unsigned)(at % ENTRY_LEN / 4);
	pthread_mutex_lock(&m->lock);
	v->word[w] = (uint32_t)value;
	if (size == 8) /* stays within the entry: it is aligned */
		v->word[w + 1] = (uint32_t)(value >> 32);
	v->word[ENTRY_CONTROL] &= ENTRY_MASKED;
	refresh_locked(m, v);
	pthread_mutex_unlock(&m->lock);
}

void msix_control_changed(struct msix *m)
{
	uint32_t ctrl = cfg_get(m->dev->cfg, m->cap + 2, 2);
	bool enabled = ctrl & CONTROL_ENABLE, fmask = ctrl & CONTROL_FMASK;

	pthread_mutex_lock(&m->lock);
	if (enabled != m->enabled || fmask != m->fmask) {
		m->enabled = enabled;
		m->fmask = fmask;
		for (unsigned i = 0; i < m->n; i++)
			refresh_locked(m, &m->vec[i]);
	}
	pthread_mutex_unlock(&m->lock);
}

int pci_add_msix(struct pci_dev *d, unsigned n, unsigned bar, uint32_t table_off, uint32_t pba_off,
		 struct err *e)
{
	uint8_t body[12] = { 0 };
	struct msix *m;
	int cap;

	bug_on(n == 0 || n > MSIX_MAX || d->msix || (table_off | pba_off) % 8);
	m = calloc(1, sizeof(*m) + n * sizeof(m->vec[0]));
	if (!m)
		return err_set(e, ENOMEM, "%s: out of memory", d->ops->name);
	cfg_put(body, 2, 2, n - 1);
	cfg_put(body, 4, 4, table_off | bar);
	cfg_put(body, 8, 4, pba_off | bar);
	cap = pci_add_cap(d, PCI_CAP_MSIX, body, sizeof(body), e);
	if (cap < 0) {
		free(m);
		return cap;
	}
	cfg_put(d->wmask, (unsigned)cap + 2, 2, CONTROL_ENABLE | CONTROL_FMASK);
	pthread_mutex_init(&m->lock, NULL);
	m->dev = d;
	m->n = n;
	m->bar = bar;
	m->cap = (unsigned)cap;
	m->table_off = table_off;
	m->pba_off = pba_off;
	for (unsigned i = 0; i < n; i++)
		m->vec[i].word[ENTRY_CONTROL] = ENTRY_MASKED;
	d->msix = m;
	return 0;
}

void msix_free(struct msix *m)
{
	if (!m)
		return;
	while (m->lent)
		unlend_locked(m, m->lent);
	pthread_mutex_destroy(&m->lock);
	free(m);
}

void msix_save(struct msix *m, struct snap_w *w, uint16_t tag)
{
	uint32_t table[MSIX_MAX][ENTRY_WORDS];
	uint8_t pending[MSIX_MAX / 8] = { 0 };

	pthread_mutex_lock(&m->lock);
	for (unsigned i = 0; i < m->n; i++) {
		memcpy(table[i], m->vec[i].word, ENTRY_LEN);
		if (pending_locked(m, i))
			pending[i / 8] |= (uint8_t)(1u << (i % 8));
	}
	pthread_mutex_unlock(&m->lock);
	snap_w_bytes(w, tag, table, (size_t)m->n * ENTRY_LEN);
	snap_w_bytes(w, (uint16_t)(tag + 1), pending, (m->n + 7) / 8);
}

int msix_load(struct msix *m, struct snap_r *r, uint16_t tag, struct err *e)
{
	size_t table_len = (size_t)m->n * ENTRY_LEN, pending_len = (m->n + 7) / 8, len[2];
	const void *table, *pending;

	if (snap_r_bytes(r, tag, &table, &len[0], table_len) < 0 || len[0] != table_len ||
	    snap_r_bytes(r, (uint16_t)(tag + 1), &pending, &len[1], pending_len) < 0 ||
	    len[1] != pending_len)
		return err_set(e, EBADMSG, "PCI slot %u: malformed MSI-X state", m->dev->slot);
	pthread_mutex_lock(&m->lock);
	for (unsigned i = 0; i < m->n; i++) {
		memcpy(m->vec[i].word, (const uint8_t *)table + (size_t)i * ENTRY_LEN, ENTRY_LEN);
		m->vec[i].word[ENTRY_CONTROL] &= ENTRY_MASKED;
		m->vec[i].pending = ((const uint8_t *)pending)[i / 8] & (1u << (i % 8));
	}
	m->enabled = false;
	pthread_mutex_unlock(&m->lock);
	/* Now as if the guest had just written the control word: routes, and what was pending. */
	msix_control_changed(m);
	return 0;
}
