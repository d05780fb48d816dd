// SPDX-License-Identifier: Apache-2.0
/* Assembly of a machine, in the order that vmm/arch/arch.h gives, and its taking down. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "lib/cleanup.h"
#include "lib/log.h"
#include "vmm/core/machine_internal.h"

static const struct {
	uint32_t flag;
	int advice;
	const char *name;
} advices[] = {
	{ NC_CREATE_THP, MADV_HUGEPAGE, "huge pages" },
	{ NC_CREATE_MERGEABLE, MADV_MERGEABLE, "merging of equal pages" },
};

static void advise(struct machine *m, void *host, uint64_t size)
{
	for (size_t a = 0; a < ARRAY_SIZE(advices); a++)
		if (m->cfg->flags & advices[a].flag && madvise(host, size, advices[a].advice) < 0)
			log_debug("memory: no %s here: %s", advices[a].name, strerror(errno));
}

static struct machine_device *mem_device(const struct machine *m)
{
	for (unsigned i = 0; i < m->cfg->ndevices; i++)
		if (m->cfg->dev[i].type == NC_DEV_MEM)
			return &m->cfg->dev[i];
	return NULL;
}

/* @r: *n regions of RAM, and room for one more, that of what comes later: as much as is wanted, and as the guest's addresses
 * hold, and as the host lets be reserved. The description then says how much that is. */
static int make_memory(struct machine *m, struct gmem_region *r, size_t *n, unsigned bits, struct err *e)
{
	struct machine_device *d = mem_device(m);
	struct gmem_region *later = &r[*n];
	int rc;

	arch_later_region(d ? d->mem.size : 0, r[*n - 1].base.v + r[*n - 1].size, bits, later);
	for (;; later->size = align_down64(later->size / 2, ARCH_LATER_GRANULE)) {
		rc = gmem_new(&m->mem, r, *n + (later->size ? 1 : 0), GMEM_ANON, e);
		if (rc != -ENOMEM || !later->size)
			break;
		log_debug("memory: %s", e ? e->msg : "");
	}
	if (rc < 0 || !d)
		return rc;
	*n += later->size ? 1 : 0;
	if (later->size < d->mem.size)
		log_info("memory: %llu MiB can come later, not %llu", (unsigned long long)(later->size >> 20),
			 (unsigned long long)(d->mem.size >> 20));
	d->mem.size = later->size;
	d->mem.requested = min_t(uint64_t, d->mem.requested, later->size);
	if (!later->size)
		d->type = NC_DEV_NONE;
	return 0;
}

static int build_memory(struct machine *m, struct err *e)
{
	struct gmem_region r[ARCH_MAX_RAM_REGIONS + 1];
	unsigned bits = m->setup.hv->ops->phys_bits(m->setup.hv);
	size_t n;
	int rc;

	_Static_assert(NC_MEM_GRANULE == ARCH_LATER_GRANULE, "one unit");
	rc = arch_ram_regions(m->cfg->memory, bits, r, &n, e);
	if (rc == 0)
		rc = make_memory(m, r, &n, bits, e);
	if (rc == 0)
		rc = arch_pci_window(0, r[n - 1].base.v + r[n - 1].size, bits, &m->pci_cfg, e);
	if (rc < 0)
		return err_wrap(e, rc, "memory");
	for (size_t i = 0; i < gmem_nregions(m->mem); i++) {
		struct gmem_region at;
		uint64_t off;
		void *host;
		int fd;

		gmem_region_at(m->mem, i, &at, &host, &fd, &off);
		advise(m, host, at.size);
	}
	return 0;
}

static int set_slots(struct machine *m, struct err *e)
{
	for (size_t i = 0; i < gmem_nregions(m->mem); i++) {
		struct gmem_region r;
		uint64_t off;
		void *host;
		int fd, rc;

		gmem_region_at(m->mem, i, &r, &host, &fd, &off);
		rc = m->vm->ops->slot_set(m->vm, (unsigned)i, r.base, r.size, host, false, e);
		if (rc < 0)
			return err_wrap(e, rc, "memory");
	}
	return 0;
}

static void platform_event(void *arg, enum arch_event ev)
{
	struct machine *m = arg;

	switch (ev) {
	case ARCH_EVENT_POWEROFF:
		machine_end(m, NC_END_POWEROFF, "the guest powered off");
		break;
	case ARCH_EVENT_RESET:
		machine_end(m, NC_END_RESET, "the guest reset itself");
		break;
	}
}

static void on_panic(void *arg, unsigned events)
{
	/* With a crash kernel loaded, the guest itself goes on to look after its end. */
	if (events & PVPANIC_PANICKED)
		machine_panicked(arg);
}

static int build_platform(struct machine *m, struct err *e)
{
	struct arch_platform_cfg p = { .vm = m->vm,
				       .mem = m->mem,
				       .loop = m->io.loop,
				       .vcpus = m->cfg->vcpus,
				       .serial_in = m->cfg->serial_in,
				       .serial_out = m->cfg->serial_out,
				       .debug_out = m->cfg->debug_out,
				       .event = platform_event,
				       .event_arg = m };
	int rc;

	rc = bus_new(&m->mmio, e);
	if (rc == 0)
		rc = bus_new(&m->pio, e);
	if (rc < 0)
		return rc;
	p.mmio = m->mmio;
	p.pio = m->pio;
	rc = arch_platform_new(&m->platform, &p, e);
	if (rc < 0)
		return rc;
	m->cfg->serial_in = m->cfg->serial_out = m->cfg->debug_out = -1;
	m->pci_cfg.cfg_is_memory = m->cfg->flags & NC_CREATE_CFG_MEMORY;
	rc = pci_seg_new(&m->pci, &m->pci_cfg, m->vm, m->mmio,
			 m->pci_cfg.cfg_is_memory ? NULL : m->pio, e);
	if (rc == 0 && m->cfg->flags & NC_CREATE_PVPANIC)
		rc = pvpanic_new(&m->pvpanic, m->pci, -1, on_panic, m, e);
	return rc;
}

static int build_vcpus(struct machine *m, struct err *e)
{
	const struct arch_cpu_cfg cfg = { .vcpus = m->cfg->vcpus,
					  .phys_bits = m->vm->ops->phys_bits(m->setup.hv) };
	_cleanup_free_ struct arch_cpu_model *model = malloc(sizeof(*model));
	int rc;

	m->vcpus = calloc(m->cfg->vcpus, sizeof(*m->vcpus));
	if (!model || !m->vcpus)
		return err_set(e, ENOMEM, "vCPUs: out of memory");
	rc = arch_cpu_model(m->vm, &cfg, model, e);
	for (unsigned i = 0; rc == 0 && i < m->cfg->vcpus; i++) {
		m->vcpus[i].m = m;
		rc = m->vm->ops->vcpu_new(m->vm, i, &m->vcpus[i].hv, e);
		if (rc < 0)
			break;
		m->nvcpus++;
		rc = arch_vcpu_setup(m->vcpus[i].hv, model, e);
	}
	return rc < 0 ? err_wrap(e, rc, "vCPUs") : 0;
}

static int load_payload(struct machine *m, struct err *e)
{
	const struct arch_payload p = { .kernel_fd = m->cfg->kernel,
					.initramfs_fd = m->cfg->initramfs,
					.cmdline = m->cfg->cmdline,
					.map_files = m->cfg->flags & NC_CREATE_MAP_FILES };
	int rc = arch_load_payload(m->mem, &p, &m->boot, e);

	/* What the guest runs from now on is its memory; nothing needs the files again. */
	if (rc == 0) {
		close_and_reset(&m->cfg->kernel);
		close_and_reset(&m->cfg->initramfs);
	}
	return rc;
}

static int write_boot_state(struct machine *m, struct err *e)
{
	int rc = arch_write_tables(m->platform, &m->boot, &m->pci_cfg, 1, e);

	return rc < 0 ? rc : arch_vcpu_boot(m->vcpus[0].hv, m->mem, &m->boot, e);
}

/* Making a VM waits for RCU grace periods (12 ms on a host that is not tuned); meanwhile a thread of its
 * own fills the guest's memory. In this order, so that with one CPU too the wait begins at once: a new
 * thread first runs when its maker rests. */
struct filler {
	struct machine *m;
	pthread_t thread;
	bool started;
	int rc;
	struct err err;
};

static void *fill_memory(void *arg)
{
	struct filler *f = arg;

	f->rc = build_memory(f->m, &f->err);
	if (f->rc == 0)
		f->rc = load_payload(f->m, &f->err);
	return NULL;
}

static void filler_start(struct filler *f)
{
	f->started = machine_thread(&f->thread, KIB(128), "filler", fill_memory, f, NULL) == 0;
	if (!f->started)
		fill_memory(f);
}

static int filler_join(struct filler *f, struct err *e)
{
	if (f->started)
		pthread_join(f->thread, NULL);
	return f->rc < 0 ? err_set(e, -f->rc, "%s", f->err.msg) : 0;
}

/* Only where the process ends with the machine; whoever frees it does not want it to linger. */
static void defer_teardown(struct machine *m)
{
	struct err e = ERR_INIT;

	if (m->vm->ops->vm_defer_teardown && m->vm->ops->vm_defer_teardown(m->vm, &e) < 0)
		log_debug("the end of the process will wait for the VM's: %s", e.msg);
}

/* What needs a VM, from its memory on. */
static int build_on_vm(struct machine *m, struct err *e)
{
	int rc;

	if (m->setup.jail)
		defer_teardown(m);
	rc = set_slots(m, e);
	if (rc == 0)
		rc = build_platform(m, e);
	if (rc == 0)
		rc = machine_add_devices(m, e);
	if (rc == 0)
		rc = build_vcpus(m, e);
	if (rc == 0)
		rc = write_boot_state(m, e);
	return rc;
}

int machine_build(struct machine *m, struct err *e)
{
	const unsigned max = m->setup.hv->ops->max_vcpus(m->setup.hv);
	struct filler filler = { .m = m };
	struct err fill_err = ERR_INIT;
	int rc, fill_rc;

	if (m->cfg->vcpus > max)
		return err_set(e, EINVAL, "%u vCPUs are more than the %u that %s allows",
			       m->cfg->vcpus, max, m->setup.hv->ops->name);
	filler_start(&filler);
	rc = m->setup.hv->ops->vm_new(m->setup.hv, &m->vm, e);
	if (rc == 0)
		rc = evloop_new(&m->io.loop, e);
	fill_rc = filler_join(&filler, &fill_err);
	if (rc == 0 && fill_rc < 0)
		rc = err_set(e, -fill_rc, "%s", fill_err.msg);
	return rc < 0 ? rc : build_on_vm(m, e);
}

/* All threads have ended. Backwards, and whatever there is of it. */
void machine_teardown(struct machine *m)
{
	machine_remove_devices(m);
	pvpanic_free(m->pvpanic);
	if (m->pci)
		pci_seg_free(m->pci);
	if (m->platform)
		arch_platform_free(m->platform);
	for (unsigned i = 0; i < m->nvcpus; i++)
		m->vcpus[i].hv->ops->vcpu_free(m->vcpus[i].hv);
	free(m->vcpus);
	if (m->mmio)
		bus_free(m->mmio);
	if (m->pio)
		bus_free(m->pio);
	if (m->vm)
		m->vm->ops->vm_free(m->vm);
	if (m->mem)
		gmem_free(m->mem);
	evloop_free(m->disk.loop);
	evloop_free(m->fs.loop);
	evloop_free(m->io.loop);
}
