// SPDX-License-Identifier: Apache-2.0
/* The part of the fake hypervisor that PCI devices see. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/hv/fake/fake.h"

struct mini_vm {
	struct hv_vm vm;
	struct fake_route route[FAKE_MAX_GSIS];
	struct fake_irqfd irqfd[FAKE_MAX_IRQFDS];
	struct fake_ioeventfd io[FAKE_MAX_IOEVENTFDS];
	struct hv_msi msi[FAKE_MAX_MSIS];
	size_t nmsi;
};

static struct mini_vm *mini(struct hv_vm *vm)
{
	return container_of(vm, struct mini_vm, vm);
}

static void mini_close(struct hv *hv)
{
	free(hv);
}

static int mini_vm_new(struct hv *hv, struct hv_vm **ret, struct err *e)
{
	struct mini_vm *m = calloc(1, sizeof(*m));

	(void)e;
	bug_on(!m);
	m->vm.ops = hv->ops;
	m->vm.hv = hv;
	*ret = &m->vm;
	return 0;
}

static void mini_vm_free(struct hv_vm *vm)
{
	free(mini(vm));
}

static int mini_gsi_alloc(struct hv_vm *vm, unsigned *ret, struct err *e)
{
	(void)e;
	for (unsigned i = 24; i < FAKE_MAX_GSIS; i++)
		if (!mini(vm)->route[i].allocated) {
			mini(vm)->route[i].allocated = true;
			*ret = i;
			return 0;
		}
	return -ENOSPC;
}

static void mini_gsi_free(struct hv_vm *vm, unsigned gsi)
{
	memset(&mini(vm)->route[gsi], 0, sizeof(struct fake_route));
}

static int mini_route(struct hv_vm *vm, unsigned gsi, const struct hv_msi *msi, struct err *e)
{
	(void)e;
	mini(vm)->route[gsi].routed = msi;
	if (msi)
		mini(vm)->route[gsi].msi = *msi;
	return 0;
}

static int mini_irqfd(struct hv_vm *vm, int fd, unsigned gsi, bool assign, struct err *e)
{
	struct fake_irqfd *t = mini(vm)->irqfd;

	(void)e;
	for (unsigned i = 0; i < FAKE_MAX_IRQFDS; i++) {
		if (assign ? !t[i].used : t[i].used && t[i].fd == fd && t[i].gsi == gsi) {
			t[i] = (struct fake_irqfd){ .used = assign, .fd = fd, .gsi = gsi };
			return 0;
		}
	}
	return -ENOENT;
}

static int mini_signal_msi(struct hv_vm *vm, const struct hv_msi *msi)
{
	bug_on(mini(vm)->nmsi == FAKE_MAX_MSIS);
	mini(vm)->msi[mini(vm)->nmsi++] = *msi;
	return 0;
}

static int mini_ioeventfd(struct hv_vm *vm, int fd, bool pio, uint64_t addr, unsigned len,
			  const uint64_t *match, bool assign, struct err *e)
{
	struct fake_ioeventfd *t = mini(vm)->io;

	(void)e;
	(void)match;
	for (unsigned i = 0; i < FAKE_MAX_IOEVENTFDS; i++) {
		if (assign ? !t[i].used : t[i].used && t[i].fd == fd && t[i].addr == addr) {
			t[i] = (struct fake_ioeventfd){ .used = assign, .pio = pio, .fd = fd,
							.addr = addr, .len = len };
			return 0;
		}
	}
	return -ENOENT;
}

static const struct hv_ops mini_ops = {
	.name = "mini",
	.close = mini_close,
	.vm_new = mini_vm_new,
	.vm_free = mini_vm_free,
	.gsi_alloc = mini_gsi_alloc,
	.gsi_free = mini_gsi_free,
	.gsi_route_msi = mini_route,
	.irqfd = mini_irqfd,
	.signal_msi = mini_signal_msi,
	.ioeventfd = mini_ioeventfd,
};

int hv_fake_open(struct hv **ret, struct err *e)
{
	struct hv *hv = calloc(1, sizeof(*hv));

	(void)e;
	bug_on(!hv);
	hv->ops = &mini_ops;
	*ret = hv;
	return 0;
}

void fake_route_at(struct hv_vm *vm, unsigned gsi, struct fake_route *ret)
{
	*ret = mini(vm)->route[gsi];
}

size_t fake_ioeventfds(struct hv_vm *vm, struct fake_ioeventfd *ret, size_t max)
{
	size_t n = 0;

	for (unsigned i = 0; i < FAKE_MAX_IOEVENTFDS && n < max; i++)
		if (mini(vm)->io[i].used)
			ret[n++] = mini(vm)->io[i];
	return n;
}

size_t fake_irqfds(struct hv_vm *vm, struct fake_irqfd *ret, size_t max)
{
	size_t n = 0;

	for (unsigned i = 0; i < FAKE_MAX_IRQFDS && n < max; i++)
		if (mini(vm)->irqfd[i].used)
			ret[n++] = mini(vm)->irqfd[i];
	return n;
}

size_t fake_take_msis(struct hv_vm *vm, struct hv_msi *ret, size_t max)
{
	size_t n = min_t(size_t, max, mini(vm)->nmsi);

	memcpy(ret, mini(vm)->msi, n * sizeof(*ret));
	mini(vm)->nmsi -= n;
	memmove(mini(vm)->msi, mini(vm)->msi + n, mini(vm)->nmsi * sizeof(*ret));
	return n;
}

bool fake_ioevent(struct hv_vm *vm, bool pio, uint64_t addr, unsigned len, uint64_t value)
{
	const uint64_t one = 1;

	(void)value;
	for (unsigned i = 0; i < FAKE_MAX_IOEVENTFDS; i++) {
		struct fake_ioeventfd *t = &mini(vm)->io[i];

		if (t->used && t->pio == pio && t->addr == addr && (!t->len || t->len == len))
			return write(t->fd, &one, sizeof(one)) == sizeof(one);
	}
	return false;
}
