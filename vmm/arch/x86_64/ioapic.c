// SPDX-License-Identifier: Apache-2.0
#include "vmm/arch/x86_64/ioapic.h"

#include <pthread.h>
#include <stdlib.h>

#define REG_SELECT 0x00
#define REG_WINDOW 0x10

#define INDEX_ID      0x00
#define INDEX_VERSION 0x01
#define INDEX_ARB     0x02
#define INDEX_REDIR   0x10 /* two a pin */

#define VERSION 0x11u

/* Redirection entry. */
#define REDIR_VECTOR      0xffull
#define REDIR_MODE        0x700ull
#define REDIR_LOGICAL     (1ull << 11)
#define REDIR_REMOTE_IRR  (1ull << 14)
#define REDIR_LEVEL       (1ull << 15)
#define REDIR_MASKED      (1ull << 16)
#define REDIR_DEST_SHIFT  56
#define REDIR_WRITABLE    (0xff00000000000000ull | 0x1afffull) /* all but the two status bits */

/* MSI (Intel SDM 3, section 11.11). */
#define MSI_BASE          0xfee00000u
#define MSI_LOGICAL       (1u << 2)
#define MSI_DEST_SHIFT    12
#define MSI_ASSERT        (1u << 14)
#define MSI_LEVEL         (1u << 15)

struct pin {
	struct irq_line line;
	struct ioapic *apic;
	uint64_t redir;
	bool level;   /* the line's state */
	bool irr;     /* an edge not delivered yet */
	bool routed;  /* the hypervisor knows the route below */
	struct hv_msi route;
	uint64_t sent; /* while REMOTE_IRR: the entry as it was delivered, whatever it says by now */
};

struct ioapic {
	struct hv_vm *vm;
	pthread_mutex_t lock;
	uint8_t id, select;
	struct pin pin[IOAPIC_PINS];
};

static void pin_set(struct irq_line *l, bool level);

int ioapic_new(struct ioapic **ret, struct hv_vm *vm, struct err *e)
{
	struct ioapic *a = calloc(1, sizeof(*a));

	if (!a)
		return err_set(e, ENOMEM, "out of memory");
	a->vm = vm;
	pthread_mutex_init(&a->lock, NULL);
	for (unsigned i = 0; i < IOAPIC_PINS; i++) {
		a->pin[i].line.set = pin_set;
		a->pin[i].apic = a;
		a->pin[i].redir = REDIR_MASKED;
	}
	*ret = a;
	return 0;
}

void ioapic_free(struct ioapic *a)
{
	if (!a)
		return;
	pthread_mutex_destroy(&a->lock);
	free(a);
}

struct irq_line *ioapic_line(struct ioapic *a, unsigned pin)
{
	bug_on(pin >= IOAPIC_PINS);
	return &a->pin[pin].line;
}

static struct hv_msi to_msi(uint64_t redir)
{
	return (struct hv_msi){
		.addr = MSI_BASE | (uint32_t)(redir >> REDIR_DEST_SHIFT) << MSI_DEST_SHIFT |
			(redir & REDIR_LOGICAL ? MSI_LOGICAL : 0),
		.data = (uint32_t)(redir & (REDIR_VECTOR | REDIR_MODE)) |
			(redir & REDIR_LEVEL ? MSI_LEVEL | MSI_ASSERT : 0),
	};
}

/* Interrupts if there is something to interrupt for. A failure to inject is the guest's own doing (a
 * destination that does not exist). */
static void deliver_locked(struct ioapic *a, struct pin *p)
{
	struct hv_msi msi = to_msi(p->redir);

	if (p->redir & REDIR_MASKED)
		return;
	if (p->redir & REDIR_LEVEL) {
		if (!p->level || (p->redir & REDIR_REMOTE_IRR))
			return;
		p->sent = p->redir;
		p->redir |= REDIR_REMOTE_IRR;
	} else if (!p->irr) {
		return;
	}
	p->irr = false;
	a->vm->ops->signal_msi(a->vm, &msi);
}

/* Only level pins need a route: it makes the hypervisor report their EOI. One that is waited for needs it as the interrupt went,
 * whether the pin is masked, sent elsewhere or given another vector meanwhile. */
static void route_locked(struct ioapic *a, unsigned i)
{
	struct pin *p = &a->pin[i];
	bool serving = p->redir & REDIR_REMOTE_IRR;
	bool want = p->redir & REDIR_LEVEL && (serving || !(p->redir & REDIR_MASKED));
	struct hv_msi msi = to_msi(serving ? p->sent : p->redir);

	if (want == p->routed &&
	    (!want || (msi.addr == p->route.addr && msi.data == p->route.data)))
		return;
	if (a->vm->ops->gsi_route_msi(a->vm, i, want ? &msi : NULL, NULL) < 0)
		return;
	p->routed = want;
	p->route = msi;
}

static void pin_set(struct irq_line *l, bool level)
{
	struct pin *p = container_of(l, struct pin, line);
	struct ioapic *a = p->apic;

	pthread_mutex_lock(&a->lock);
	if (level && !p->level && !(p->redir & REDIR_LEVEL))
		p->irr = true;
	p->level = level;
	deliver_locked(a, p);
	pthread_mutex_unlock(&a->lock);
}

void ioapic_eoi(struct ioapic *a, uint8_t vector)
{
	pthread_mutex_lock(&a->lock);
	for (unsigned i = 0; i < IOAPIC_PINS; i++) {
		struct pin *p = &a->pin[i];

		if (!(p->redir & REDIR_REMOTE_IRR) || (p->sent & REDIR_VECTOR) != vector)
			continue;
		p->redir &= ~REDIR_REMOTE_IRR;
		route_locked(a, i);
		deliver_locked(a, p);
	}
	pthread_mutex_unlock(&a->lock);
}

static void set_redir_locked(struct ioapic *a, unsigned i, uint64_t v)
{
	struct pin *p = &a->pin[i];

	p->redir = (v & REDIR_WRITABLE) | (p->redir & ~REDIR_WRITABLE);
	if (!(p->redir & REDIR_LEVEL))
		p->redir &= ~REDIR_REMOTE_IRR;
	else
		p->irr = false;
	route_locked(a, i);
	deliver_locked(a, p);
}

static uint32_t window_read_locked(struct ioapic *a)
{
	unsigned i = (a->select - INDEX_REDIR) / 2u;

	switch (a->select) {
	case INDEX_ID:
	case INDEX_ARB:
		return (uint32_t)a->id << 24;
	case INDEX_VERSION:
		return (IOAPIC_PINS - 1) << 16 | VERSION;
	}
	if (a->select < INDEX_REDIR || i >= IOAPIC_PINS)
		return 0;
	return (uint32_t)(a->select & 1 ? a->pin[i].redir >> 32 : a->pin[i].redir);
}

static void window_write_locked(struct ioapic *a, uint32_t v)
{
	unsigned i = (a->select - INDEX_REDIR) / 2u;
	uint64_t old;

	if (a->select == INDEX_ID)
		a->id = v >> 24 & 0xf;
	if (a->select < INDEX_REDIR || i >= IOAPIC_PINS)
		return;
	old = a->pin[i].redir;
	if (a->select & 1)
		set_redir_locked(a, i, (old & UINT32_MAX) | (uint64_t)v << 32);
	else
		set_redir_locked(a, i, (old & ~(uint64_t)UINT32_MAX) | v);
}

static uint64_t ioapic_read(void *dev, uint64_t off, unsigned size)
{
	struct ioapic *a = dev;
	uint32_t v = 0;

	(void)size;
	pthread_mutex_lock(&a->lock);
	if (off == REG_SELECT)
		v = a->select;
	else if (off == REG_WINDOW)
		v = window_read_locked(a);
	pthread_mutex_unlock(&a->lock);
	return v;
}

static void ioapic_write(void *dev, uint64_t off, unsigned size, uint64_t value)
{
	struct ioapic *a = dev;

	pthread_mutex_lock(&a->lock);
	if (off == REG_SELECT)
		a->select = (uint8_t)value;
	else if (off == REG_WINDOW && size == 4)
		window_write_locked(a, (uint32_t)value);
	pthread_mutex_unlock(&a->lock);
}

const struct bus_ops ioapic_ops = { .name = "ioapic", .read = ioapic_read, .write = ioapic_write };

/* One bit a pin. */
struct pin_bits {
	uint32_t level, irr;
};

void ioapic_save(struct ioapic *a, struct snap_w *w, uint16_t tag)
{
	uint64_t redir[IOAPIC_PINS], sent[IOAPIC_PINS];
	struct pin_bits bits = { 0, 0 };

	pthread_mutex_lock(&a->lock);
	for (unsigned i = 0; i < IOAPIC_PINS; i++) {
		redir[i] = a->pin[i].redir;
		sent[i] = redir[i] & REDIR_REMOTE_IRR ? a->pin[i].sent : 0;
		bits.level |= (uint32_t)a->pin[i].level << i;
		bits.irr |= (uint32_t)a->pin[i].irr << i;
	}
	snap_w_u16(w, tag, (uint16_t)(a->id << 8 | a->select));
	snap_w_u32(w, (uint16_t)(tag + 1), bits.level);
	snap_w_u32(w, (uint16_t)(tag + 2), bits.irr);
	snap_w_bytes(w, (uint16_t)(tag + 3), redir, sizeof(redir));
	snap_w_bytes(w, (uint16_t)(tag + 4), sent, sizeof(sent));
	pthread_mutex_unlock(&a->lock);
}

/* What was delivered. Older state does not say it: most likely what the entry says. */
static int load_sent(struct snap_r *r, uint16_t tag, const uint64_t redir[IOAPIC_PINS], uint64_t sent[IOAPIC_PINS])
{
	const size_t size = IOAPIC_PINS * sizeof(*sent);
	const void *p;
	size_t len;
	int rc = snap_r_bytes(r, tag, &p, &len, size);

	if (rc < 0 && rc != -ENOENT)
		return rc;
	if (rc == 0 && len != size)
		return -EBADMSG;
	__builtin_memcpy(sent, rc == 0 ? p : redir, size);
	for (unsigned i = 0; i < IOAPIC_PINS; i++) {
		if (rc == 0 && (sent[i] & ~REDIR_WRITABLE || (redir[i] & REDIR_REMOTE_IRR && !(sent[i] & REDIR_LEVEL))))
			return -EBADMSG;
		sent[i] &= REDIR_WRITABLE;
	}
	return 0;
}

int ioapic_load(struct ioapic *a, struct snap_r *r, uint16_t tag, struct err *e)
{
	uint64_t redir[IOAPIC_PINS], sent[IOAPIC_PINS];
	struct pin_bits bits;
	uint16_t regs;
	const void *p;
	size_t len;

	if (snap_r_u16(r, tag, &regs) < 0 || snap_r_u32(r, (uint16_t)(tag + 1), &bits.level) < 0 ||
	    snap_r_u32(r, (uint16_t)(tag + 2), &bits.irr) < 0 ||
	    snap_r_bytes(r, (uint16_t)(tag + 3), &p, &len, sizeof(redir)) < 0 ||
	    len != sizeof(redir) || (bits.level | bits.irr) >> IOAPIC_PINS || regs >> 8 > 0xf)
		return err_set(e, EBADMSG, "state of the I/O APIC is malformed");
	__builtin_memcpy(redir, p, sizeof(redir));
	for (unsigned i = 0; i < IOAPIC_PINS; i++)
		if (redir[i] & ~(REDIR_WRITABLE | REDIR_REMOTE_IRR))
			return err_set(e, EBADMSG, "pin %u of the I/O APIC has unknown bits", i);
	if (load_sent(r, (uint16_t)(tag + 4), redir, sent) < 0)
		return err_set(e, EBADMSG, "interrupts of the I/O APIC in service are malformed");
	pthread_mutex_lock(&a->lock);
	a->id = (uint8_t)(regs >> 8);
	a->select = (uint8_t)regs;
	for (unsigned i = 0; i < IOAPIC_PINS; i++) {
		a->pin[i].redir = redir[i];
		a->pin[i].sent = sent[i];
		a->pin[i].level = bits.level >> i & 1;
		a->pin[i].irr = bits.irr >> i & 1;
		route_locked(a, i);
	}
	pthread_mutex_unlock(&a->lock);
	return 0;
}
