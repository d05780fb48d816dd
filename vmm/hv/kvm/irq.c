// SPDX-License-Identifier: Apache-2.0
/*
 * Interrupt routes. KVM takes the whole table at a time and waits for a grace period when it does, so
 * it gets a new one only when a route changes that something can use: an irqfd, or the report of an
 * EOI, which concerns the I/O APIC's pins alone.
 */
#include <stdlib.h>
#include "vmm/hv/kvm/kvm.h"

int kvm_irq_init(struct kvm_vm *v)
{
	v->table = malloc(sizeof(*v->table) + KVM_GSIS * sizeof(v->table->entries[0]));
	if (!v->table)
		return -ENOMEM;
	pthread_mutex_init(&v->irq_lock, NULL);
	return 0;
}

void kvm_irq_done(struct kvm_vm *v)
{
	pthread_mutex_destroy(&v->irq_lock);
	free(v->table);
}

static bool same_msi(const struct hv_msi *a, const struct hv_msi *b)
{
	return a->addr == b->addr && a->data == b->data;
}

static bool usable(const struct kvm_gsi *g, unsigned gsi)
{
	return g->routed && (g->irqfds || gsi < KVM_IRQ_LINES);
}

/* Does KVM's table say what it must about @gsi? */
static bool up_to_date(const struct kvm_gsi *g, unsigned gsi)
{
	if (usable(g, gsi))
		return g->in_kernel && same_msi(&g->msi, &g->kernel_msi);
	/* A route left behind that nothing can use does no harm. */
	return !g->in_kernel || (!g->irqfds && gsi >= KVM_IRQ_LINES);
}

static int write_table_locked(struct kvm_vm *v, struct err *e)
{
	struct kvm_irq_routing *t = v->table;

	t->nr = 0;
	t->flags = 0;
	for (unsigned i = 0; i < KVM_GSIS; i++) {
		if (!usable(&v->gsi[i], i))
			continue;
		t->entries[t->nr++] = (struct kvm_irq_routing_entry){
			.gsi = i,
			.type = KVM_IRQ_ROUTING_MSI,
			.u.msi.address_lo = (uint32_t)v->gsi[i].msi.addr,
			.u.msi.address_hi = (uint32_t)(v->gsi[i].msi.addr >> 32),
			.u.msi.data = v->gsi[i].msi.data,
		};
	}
	if (ioctl(v->fd, KVM_SET_GSI_ROUTING, t) < 0)
		return err_errno(e, errno, "KVM refuses the interrupt routes");
	for (unsigned i = 0; i < KVM_GSIS; i++) {
		v->gsi[i].in_kernel = usable(&v->gsi[i], i);
		v->gsi[i].kernel_msi = v->gsi[i].msi;
	}
	return 0;
}

static int sync_locked(struct kvm_vm *v, unsigned gsi, struct err *e)
{
	return up_to_date(&v->gsi[gsi], gsi) ? 0 : write_table_locked(v, e);
}

int kvm_gsi_alloc(struct hv_vm *vm, unsigned *ret, struct err *e)
{
	struct kvm_vm *v = to_vm(vm);
	int rc = err_set(e, ENOSPC, "all %d interrupt routes are used", KVM_GSIS);

	pthread_mutex_lock(&v->irq_lock);
	for (unsigned i = KVM_IRQ_LINES; i < KVM_GSIS; i++) {
		if (v->gsi[i].allocated)
			continue;
		v->gsi[i].allocated = true;
		*ret = i;
		rc = 0;
		break;
	}
	pthread_mutex_unlock(&v->irq_lock);
	return rc;
}

void kvm_gsi_free(struct hv_vm *vm, unsigned gsi)
{
	struct kvm_vm *v = to_vm(vm);

	bug_on(gsi < KVM_IRQ_LINES || gsi >= KVM_GSIS);
	pthread_mutex_lock(&v->irq_lock);
	bug_on(!v->gsi[gsi].allocated || v->gsi[gsi].irqfds);
	v->gsi[gsi].allocated = false;
	v->gsi[gsi].routed = false;
	pthread_mutex_unlock(&v->irq_lock);
}

int kvm_gsi_route_msi(struct hv_vm *vm, unsigned gsi, const struct hv_msi *msi, struct err *e)
{
	struct kvm_vm *v = to_vm(vm);
	struct kvm_gsi old;
	int rc;

	bug_on(gsi >= KVM_GSIS);
	pthread_mutex_lock(&v->irq_lock);
	old = v->gsi[gsi];
	v->gsi[gsi].routed = msi != NULL;
	if (msi)
		v->gsi[gsi].msi = *msi;
	rc = sync_locked(v, gsi, e);
	if (rc < 0)
		v->gsi[gsi] = old;
	pthread_mutex_unlock(&v->irq_lock);
	return rc;
}

int kvm_irqfd(struct hv_vm *vm, int fd, unsigned gsi, bool assign, struct err *e)
{
	struct kvm_vm *v = to_vm(vm);
	struct kvm_irqfd i = {
		.fd = (uint32_t)fd, .gsi = gsi, .flags = assign ? 0 : KVM_IRQFD_FLAG_DEASSIGN,
	};
	int rc;

	bug_on(gsi >= KVM_GSIS);
	pthread_mutex_lock(&v->irq_lock);
	bug_on(!assign && !v->gsi[gsi].irqfds);
	if (assign)
		v->gsi[gsi].irqfds++;
	rc = assign ? sync_locked(v, gsi, e) : 0;
	if (rc == 0 && ioctl(v->fd, KVM_IRQFD, &i) < 0)
		rc = err_errno(e, errno, "KVM cannot %s an interrupt descriptor",
			       assign ? "set" : "remove");
	if (assign != (rc == 0))
		v->gsi[gsi].irqfds--;
	pthread_mutex_unlock(&v->irq_lock);
	return rc;
}

int kvm_signal_msi(struct hv_vm *vm, const struct hv_msi *msi)
{
	struct kvm_msi m = {
		.address_lo = (uint32_t)msi->addr,
		.address_hi = (uint32_t)(msi->addr >> 32),
		.data = msi->data,
	};

	/* 0: the guest has it blocked, which is its own affair. */
	return ioctl(to_vm(vm)->fd, KVM_SIGNAL_MSI, &m) < 0 ? -errno : 0;
}
