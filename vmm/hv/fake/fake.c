// SPDX-License-Identifier: Apache-2.0
/* The fake hypervisor and its machines: they remember. */

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "vmm/hv/fake/fake_internal.h"

#define IRQ_LINES  24
#define PHYS_BITS  40
#define TSC_KHZ    2000000u

struct fake_hv {
	struct hv hv;
	pthread_mutex_t lock;
	char fail_op[24];
	int fail_code;
};

struct fake_vm {
	struct hv_vm vm;
	pthread_mutex_t lock;
	struct fake_slot slot[FAKE_MAX_SLOTS];
	struct fake_route route[FAKE_MAX_GSIS];
	struct fake_ioeventfd io[FAKE_MAX_IOEVENTFDS];
	struct fake_irqfd irq[FAKE_MAX_IRQFDS];
	size_t nmsis;
	struct hv_msi msi[FAKE_MAX_MSIS];
	struct hv_clock clock;
};

static struct fake_vm *to_vm(struct hv_vm *v)
{
	return container_of(v, struct fake_vm, vm);
}

/* ---- failures on demand ---- */

void fake_fail_next(struct hv *hv, const char *op, int code)
{
	struct fake_hv *h = container_of(hv, struct fake_hv, hv);

	pthread_mutex_lock(&h->lock);
	h->fail_op[0] = 0;
	if (op)
		strncat(h->fail_op, op, sizeof(h->fail_op) - 1);
	h->fail_code = code;
	pthread_mutex_unlock(&h->lock);
}

int fake_fails(struct hv *hv, const char *op, struct err *e)
{
	struct fake_hv *h = container_of(hv, struct fake_hv, hv);
	int code = 0;

	pthread_mutex_lock(&h->lock);
	if (!strcmp(h->fail_op, op)) {
		code = h->fail_code;
		h->fail_op[0] = 0;
	}
	pthread_mutex_unlock(&h->lock);
	return code ? err_set(e, code, "fake: %s fails as asked", op) : 0;
}

/* ---- the hypervisor ---- */

static void hv_close(struct hv *hv)
{
	struct fake_hv *h = container_of(hv, struct fake_hv, hv);

	pthread_mutex_destroy(&h->lock);
	free(h);
}

static unsigned max_vcpus(struct hv *hv)
{
	(void)hv;
	return 254;
}

unsigned fake_phys_bits(struct hv *hv)
{
	(void)hv;
	return PHYS_BITS;
}

/* Enough of an Intel CPU for the arch code to have something to change. */
static int cpuid_supported(struct hv *hv, struct hv_cpuid_entry *tab, size_t *n, struct err *e)
{
	static const struct hv_cpuid_entry all[] = {
		{ 0, 0, 0, 0x16, 0x756e6547, 0x6c65746e, 0x49656e69 },
		{ 1, 0, 0, 0x000806ea, 0x04100800, 0xffffffff, 0xffffffff },
		{ 4, 0, HV_CPUID_SIGNIFICANT_INDEX, 0x1c004121, 0, 0, 0 },
		{ 4, 3, HV_CPUID_SIGNIFICANT_INDEX, 0x1c03c163, 0, 0, 0 },
		{ 6, 0, 0, 0xffffffff, 0xffffffff, 0xffffffff, 0 },
		{ 7, 0, HV_CPUID_SIGNIFICANT_INDEX, 0, 0xffffffff, 0xffffffff, 0xffffffff },
		{ 0xa, 0, 0, 0x07300404, 0, 0, 0x603 },
		{ 0xb, 0, HV_CPUID_SIGNIFICANT_INDEX, 1, 2, 0x100, 7 },
		{ 0x40000000, 0, 0, 0x40000001, 0x4b4d564b, 0x564b4d56, 0x4d },
		{ 0x40000001, 0, 0, 0x01007efb, 0, 0, 0 },
		{ 0x80000000, 0, 0, 0x80000008, 0, 0, 0 },
		{ 0x80000001, 0, 0, 0, 0, 0xffffffff, 0xffffffff },
		{ 0x80000008, 0, 0, 0x3027, 0, 0, 0 },
	};
	int rc = fake_fails(hv, "cpuid_supported", e);

	if (rc < 0)
		return rc;
	if (*n < ARRAY_SIZE(all))
		return err_set(e, E2BIG, "fake: room for %zu leaves", *n);
	memcpy(tab, all, sizeof(all));
	*n = ARRAY_SIZE(all);
	return 0;
}

/* ---- the machine ---- */

static int vm_new(struct hv *hv, struct hv_vm **ret, struct err *e)
{
	struct fake_vm *v;
	int rc = fake_fails(hv, "vm_new", e);

	if (rc < 0)
		return rc;
	v = calloc(1, sizeof(*v));
	if (!v)
		return err_set(e, ENOMEM, "out of memory");
	v->vm = (struct hv_vm){ .ops = hv->ops, .hv = hv };
	pthread_mutex_init(&v->lock, NULL);
	*ret = &v->vm;
	return 0;
}

static void vm_free(struct hv_vm *vm)
{
	struct fake_vm *v;

	if (!vm)
		return;
	v = to_vm(vm);
	pthread_mutex_destroy(&v->lock);
	free(v);
}

static int slot_set(struct hv_vm *vm, unsigned slot, gpa_t base, uint64_t size, void *host,
		    bool readonly, struct err *e)
{
	struct fake_vm *v = to_vm(vm);
	int rc = fake_fails(vm->hv, "slot_set", e);

	if (rc < 0)
		return rc;
	if (slot >= FAKE_MAX_SLOTS)
		return err_set(e, EINVAL, "fake: slot %u", slot);
	pthread_mutex_lock(&v->lock);
	for (unsigned i = 0; size && i < FAKE_MAX_SLOTS; i++) {
		const struct fake_slot *s = &v->slot[i];

		if (i != slot && s->used && base.v < s->base.v + s->size &&
		    s->base.v < base.v + size)
			rc = err_set(e, EEXIST, "fake: slots %u and %u overlap", i, slot);
	}
	if (rc == 0)
		v->slot[slot] = (struct fake_slot){ .used = size != 0, .readonly = readonly,
						    .base = base, .size = size, .host = host };
	pthread_mutex_unlock(&v->lock);
	return rc;
}

static int gsi_alloc(struct hv_vm *vm, unsigned *ret, struct err *e)
{
	struct fake_vm *v = to_vm(vm);
	int rc = fake_fails(vm->hv, "gsi_alloc", e);
	unsigned i;

	if (rc < 0)
		return rc;
	pthread_mutex_lock(&v->lock);
	for (i = IRQ_LINES; i < FAKE_MAX_GSIS && v->route[i].allocated; i++)
		;
	if (i < FAKE_MAX_GSIS) {
		v->route[i].allocated = true;
		*ret = i;
	} else {
		rc = err_set(e, ENOSPC, "fake: no GSI left");
	}
	pthread_mutex_unlock(&v->lock);
	return rc;
}

static void gsi_free(struct hv_vm *vm, unsigned gsi)
{
	struct fake_vm *v = to_vm(vm);

	bug_on(gsi < IRQ_LINES || gsi >= FAKE_MAX_GSIS);
	pthread_mutex_lock(&v->lock);
	bug_on(!v->route[gsi].allocated);
	v->route[gsi] = (struct fake_route){ .allocated = false };
	pthread_mutex_unlock(&v->lock);
}

static int gsi_route_msi(struct hv_vm *vm, unsigned gsi, const struct hv_msi *msi, struct err *e)
{
	struct fake_vm *v = to_vm(vm);
	int rc = fake_fails(vm->hv, "gsi_route_msi", e);

	bug_on(gsi >= FAKE_MAX_GSIS);
	if (rc < 0)
		return rc;
	pthread_mutex_lock(&v->lock);
	v->route[gsi].routed = msi != NULL;
	if (msi)
		v->route[gsi].msi = *msi;
	pthread_mutex_unlock(&v->lock);
	return 0;
}

static int irqfd(struct hv_vm *vm, int fd, unsigned gsi, bool assign, struct err *e)
{
	struct fake_vm *v = to_vm(vm);
	int rc = fake_fails(vm->hv, "irqfd", e);
	size_t i;

	if (rc < 0)
		return rc;
	pthread_mutex_lock(&v->lock);
	for (i = 0; i < FAKE_MAX_IRQFDS; i++)
		if (assign ? !v->irq[i].used :
			     v->irq[i].used && v->irq[i].fd == fd && v->irq[i].gsi == gsi)
			break;
	if (i < FAKE_MAX_IRQFDS)
		v->irq[i] = (struct fake_irqfd){ .used = assign, .fd = fd, .gsi = gsi };
	else
		rc = err_set(e, assign ? ENOSPC : ENOENT, "fake: irqfd");
	pthread_mutex_unlock(&v->lock);
	return rc;
}

static int signal_msi(struct hv_vm *vm, const struct hv_msi *msi)
{
	struct fake_vm *v = to_vm(vm);
	int rc = fake_fails(vm->hv, "signal_msi", NULL);

	if (rc < 0)
		return rc;
	pthread_mutex_lock(&v->lock);
	if (v->nmsis < FAKE_MAX_MSIS)
		v->msi[v->nmsis++] = *msi;
	pthread_mutex_unlock(&v->lock);
	return 0;
}

static bool same_io(const struct fake_ioeventfd *a, const struct fake_ioeventfd *b)
{
	return a->used && a->pio == b->pio && a->addr == b->addr && a->len == b->len &&
	       a->has_match == b->has_match && (!a->has_match || a->match == b->match);
}

static int ioeventfd(struct hv_vm *vm, int fd, bool pio, uint64_t addr, unsigned len,
		     const uint64_t *match, bool assign, struct err *e)
{
	struct fake_vm *v = to_vm(vm);
	struct fake_ioeventfd want = {
		.used = true, .pio = pio, .has_match = match != NULL, .fd = fd, .addr = addr,
		.match = match ? *match : 0, .len = len,
	};
	struct fake_ioeventfd *free_one = NULL, *same = NULL;
	int rc = fake_fails(vm->hv, "ioeventfd", e);

	if (rc < 0)
		return rc;
	pthread_mutex_lock(&v->lock);
	for (size_t i = 0; i < FAKE_MAX_IOEVENTFDS; i++) {
		if (!v->io[i].used)
			free_one = free_one ? free_one : &v->io[i];
		else if (same_io(&v->io[i], &want))
			same = &v->io[i];
	}
	if (assign && same)
		rc = err_set(e, EEXIST, "fake: a doorbell is at %#jx already", (uintmax_t)addr);
	else if (assign && !free_one)
		rc = err_set(e, ENOSPC, "fake: no doorbell left");
	else if (assign)
		*free_one = want;
	else if (!same || same->fd != fd)
		rc = err_set(e, ENOENT, "fake: no doorbell at %#jx", (uintmax_t)addr);
	else
		same->used = false;
	pthread_mutex_unlock(&v->lock);
	return rc;
}

static uint32_t tsc_khz(struct hv_vm *vm)
{
	(void)vm;
	return TSC_KHZ;
}

static int clock_get(struct hv_vm *vm, struct hv_clock *ret, struct err *e)
{
	int rc = fake_fails(vm->hv, "clock_get", e);

	if (rc == 0)
		*ret = to_vm(vm)->clock;
	return rc;
}

static int clock_set(struct hv_vm *vm, const struct hv_clock *c, struct err *e)
{
	int rc = fake_fails(vm->hv, "clock_set", e);

	if (rc == 0)
		to_vm(vm)->clock = *c;
	return rc;
}

static int dirty_log(struct hv_vm *vm, unsigned slot, bool enable, struct err *e)
{
	struct fake_vm *v = to_vm(vm);

	if (slot >= FAKE_MAX_SLOTS || !v->slot[slot].used)
		return err_set(e, EINVAL, "fake: slot %u", slot);
	v->slot[slot].dirty_log = enable;
	return 0;
}

/* A fake guest writes nothing by itself. */
static int dirty_get(struct hv_vm *vm, unsigned slot, uint64_t *bitmap, size_t words, struct err *e)
{
	struct fake_vm *v = to_vm(vm);

	if (slot >= FAKE_MAX_SLOTS || !v->slot[slot].dirty_log)
		return err_set(e, EINVAL, "fake: slot %u is not logged", slot);
	memset(bitmap, 0, words * sizeof(*bitmap));
	return 0;
}

/* ---- what a test sees of the machine ---- */

void fake_slot_at(struct hv_vm *vm, unsigned slot, struct fake_slot *ret)
{
	struct fake_vm *v = to_vm(vm);

	bug_on(slot >= FAKE_MAX_SLOTS);
	pthread_mutex_lock(&v->lock);
	*ret = v->slot[slot];
	pthread_mutex_unlock(&v->lock);
}

void fake_route_at(struct hv_vm *vm, unsigned gsi, struct fake_route *ret)
{
	struct fake_vm *v = to_vm(vm);

	bug_on(gsi >= FAKE_MAX_GSIS);
	pthread_mutex_lock(&v->lock);
	*ret = v->route[gsi];
	pthread_mutex_unlock(&v->lock);
}

size_t fake_ioeventfds(struct hv_vm *vm, struct fake_ioeventfd *ret, size_t max)
{
	struct fake_vm *v = to_vm(vm);
	size_t n = 0;

	pthread_mutex_lock(&v->lock);
	for (size_t i = 0; i < FAKE_MAX_IOEVENTFDS && n < max; i++)
		if (v->io[i].used)
			ret[n++] = v->io[i];
	pthread_mutex_unlock(&v->lock);
	return n;
}

size_t fake_irqfds(struct hv_vm *vm, struct fake_irqfd *ret, size_t max)
{
	struct fake_vm *v = to_vm(vm);
	size_t n = 0;

	pthread_mutex_lock(&v->lock);
	for (size_t i = 0; i < FAKE_MAX_IRQFDS && n < max; i++)
		if (v->irq[i].used)
			ret[n++] = v->irq[i];
	pthread_mutex_unlock(&v->lock);
	return n;
}

size_t fake_take_msis(struct hv_vm *vm, struct hv_msi *ret, size_t max)
{
	struct fake_vm *v = to_vm(vm);
	size_t n;

	pthread_mutex_lock(&v->lock);
	n = min_t(size_t, max, v->nmsis);
	memcpy(ret, v->msi, n * sizeof(*ret));
	memmove(v->msi, v->msi + n, (v->nmsis - n) * sizeof(*ret));
	v->nmsis -= n;
	pthread_mutex_unlock(&v->lock);
	return n;
}

bool fake_ioevent(struct hv_vm *vm, bool pio, uint64_t addr, unsigned len, uint64_t value)
{
	struct fake_vm *v = to_vm(vm);
	int fd = -1;

	pthread_mutex_lock(&v->lock);
	for (size_t i = 0; i < FAKE_MAX_IOEVENTFDS; i++) {
		const struct fake_ioeventfd *io = &v->io[i];

		if (io->used && io->pio == pio && io->addr == addr && (!io->len || io->len == len) &&
		    (!io->has_match || io->match == value))
			fd = io->fd;
	}
	pthread_mutex_unlock(&v->lock);
	return fd >= 0 && write(fd, &(uint64_t){ 1 }, 8) == 8;
}

static const struct hv_ops fake_ops = {
	.name = "fake",
	.close = hv_close,
	.vm_new = vm_new,
	.vm_free = vm_free,
	.max_vcpus = max_vcpus,
	.phys_bits = fake_phys_bits,
	.slot_set = slot_set,
	.cpuid_supported = cpuid_supported,
	.gsi_alloc = gsi_alloc,
	.gsi_free = gsi_free,
	.gsi_route_msi = gsi_route_msi,
	.irqfd = irqfd,
	.signal_msi = signal_msi,
	.ioeventfd = ioeventfd,
	.tsc_khz = tsc_khz,
	.clock_get = clock_get,
	.clock_set = clock_set,
	.dirty_log = dirty_log,
	.dirty_get = dirty_get,
	.vcpu_new = fake_vcpu_new,
	.vcpu_free = fake_vcpu_free,
	.vcpu_set_cpuid = fake_vcpu_set_cpuid,
	.vcpu_set_msrs = fake_vcpu_set_msrs,
	.vcpu_boot = fake_vcpu_boot,
	.vcpu_run = fake_vcpu_run,
	.vcpu_kick = fake_vcpu_kick,
	.vcpu_nmi = fake_vcpu_nmi,
	.reg_groups = fake_reg_groups,
	.vcpu_get = fake_vcpu_get,
	.vcpu_set = fake_vcpu_set,
};

int hv_fake_open(struct hv **ret, struct err *e)
{
	struct fake_hv *h = calloc(1, sizeof(*h));

	if (!h)
		return err_set(e, ENOMEM, "out of memory");
	h->hv.ops = &fake_ops;
	pthread_mutex_init(&h->lock, NULL);
	*ret = &h->hv;
	return 0;
}
