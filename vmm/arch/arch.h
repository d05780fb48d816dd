/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What depends on the guest's architecture, behind one interface: the memory map, loading a kernel,
 * the platform's own devices (interrupt controller, power, ACPI events, debug ports), firmware
 * tables, CPU identification. vmm/arch/x86_64 or vmm/arch/aarch64 implements it, chosen when the tree
 * is built. vmm/core assembles a machine from it in this order:
 *
 *   hv_kvm_open -> vm_new -> arch_ram_regions -> gmem_new -> slot_set for each region
 *   bus_new twice -> arch_platform_new -> pci_seg_new(arch_pci_window) -> devices
 *   vcpu_new, arch_vcpu_setup for each vCPU
 *   arch_load_payload -> arch_write_tables -> arch_vcpu_boot(vCPU 0) -> run
 *
 * All of it happens on the thread that builds the machine; functions that may be called from
 * elsewhere say so. The other vCPUs just run: the hypervisor keeps them waiting until the guest
 * starts them.
 */
#ifndef VMM_ARCH_ARCH_H
#define VMM_ARCH_ARCH_H

#include "lib/evloop.h"
#include "vmm/bus/bus.h"
#include "vmm/hv/hv.h"
#include "vmm/mem/gmem.h"
#include "vmm/pci/pci.h"
#include "vmm/snapshot/snap.h"

#define ARCH_MAX_VCPUS       254
#define ARCH_MAX_RAM_REGIONS 4
#define ARCH_MAX_PCI_SEGS    1
#define ARCH_MIN_RAM         MIB(16)
#define ARCH_CMDLINE_MAX     0x10000 /* with the NUL */

/* ---- memory map ---------------------------------------------------------------------------- */

/* Where @size bytes of RAM lie. -EINVAL: less than ARCH_MIN_RAM, not a multiple of 2 MiB, or more
 * than guest-physical addresses of @phys_bits hold beside the device windows. */
int arch_ram_regions(uint64_t size, unsigned phys_bits,
		     struct gmem_region ret[ARCH_MAX_RAM_REGIONS], size_t *ret_n, struct err *e);

/* Where @size bytes that come later lie, behind RAM that ends at @ram_end: aligned to the largest memory block of a guest's
 * kernel, and as many as guest-physical addresses hold beside the device windows, of whole ARCH_LATER_GRANULEs; 0 bytes:
 * none. */
#define ARCH_LATER_GRANULE MIB(128)
void arch_later_region(uint64_t size, uint64_t ram_end, unsigned phys_bits, struct gmem_region *ret);

/* ECAM and BAR windows of PCI segment @number, for pci_seg_new(). @ram_end: end of all memory that the
 * machine can ever have. */
int arch_pci_window(uint16_t number, uint64_t ram_end, unsigned phys_bits,
		    struct pci_seg_cfg *ret, struct err *e);

/* ---- platform devices ---------------------------------------------------------------------- */

enum arch_event {
	ARCH_EVENT_POWEROFF,
	ARCH_EVENT_RESET,
};

struct arch_platform_cfg {
	struct hv_vm *vm;
	struct bus *mmio, *pio;
	const struct gmem *mem;
	struct evloop *loop;       /* of the serial port and the debug port: `io` */
	unsigned vcpus;
	/* Descriptors become the platform's on success. -1: none. */
	int serial_in, serial_out; /* both -1: no such device */
	int debug_out;             /* port 0xe9 */
	/* The guest asked for it; called on a vCPU thread, which goes on running until it is told
	 * otherwise. */
	void (*event)(void *arg, enum arch_event ev);
	void *event_arg;
};

struct arch_platform;

/* Puts the devices on the buses. The buses and the vm must outlive it. */
int arch_platform_new(struct arch_platform **ret, const struct arch_platform_cfg *cfg,
		      struct err *e);
/* After all vCPU threads have ended; on the loop's thread or with the loop stopped. */
void arch_platform_free(struct arch_platform *p);

void arch_platform_power_button(struct arch_platform *p); /* any thread */
/* HV_EXIT_EOI; vCPU threads. */
void arch_platform_eoi(struct arch_platform *p, uint8_t vector);
/* A new VM generation: 16 random bytes for the guest, which is told by an interrupt. Before the vCPUs
 * run again. */
int arch_platform_new_generation(struct arch_platform *p, const uint8_t guid[16], struct err *e);

/* One section "platform"; vCPUs stopped. Input is hostile. */
int arch_platform_save(struct arch_platform *p, struct snap_w *w, struct err *e);
int arch_platform_load(struct arch_platform *p, struct snap_r *r, struct err *e);

/* ---- what the guest starts with ------------------------------------------------------------- */

struct arch_payload {
	int kernel_fd;        /* stays the caller's; may be closed afterwards */
	int initramfs_fd;     /* -1: none */
	const char *cmdline;  /* NUL-terminated, shorter than ARCH_CMDLINE_MAX */
	/* Maps file pages copy-on-write into guest memory where they align, in place of copying: less
	 * memory and time, but the files must never be truncated while the machine lives. Private
	 * anonymous memory only; otherwise, and where nothing aligns, files are copied. */
	bool map_files;
};

enum arch_boot_kind { ARCH_BOOT_PVH, ARCH_BOOT_LINUX };

/* Filled in by arch_load_payload(), read by the two functions after it. */
struct arch_boot {
	enum arch_boot_kind kind;
	gpa_t entry;
	gpa_t kernel_start, kernel_end; /* memory that the kernel needs to itself at its start */
	gpa_t initramfs;
	uint64_t initramfs_len;
};

/* Images are hostile input. Every failure is one line that names what is wrong with which file. */
int arch_load_payload(const struct gmem *m, const struct arch_payload *p, struct arch_boot *ret,
		      struct err *e);
/* Firmware tables (ACPI, or a device tree), boot parameters and the memory map. @pci: as the segments
 * were created. */
int arch_write_tables(struct arch_platform *p, const struct arch_boot *boot,
		      const struct pci_seg_cfg *pci, size_t npci, struct err *e);

/* ---- vCPUs ---------------------------------------------------------------------------------- */

struct arch_cpu_cfg {
	unsigned vcpus;      /* of the machine */
	unsigned phys_bits;
	bool nested;         /* show hardware virtualisation to the guest */
};

/* What every vCPU has in common, computed once; plain data, so that it can be saved with the machine. */
struct arch_cpu_model {
	struct arch_cpu_cfg cfg;
	uint32_t tsc_khz;    /* of the guest's time stamp counter; 0: unknown, the guest measures */
	size_t n;
	struct hv_cpuid_entry tab[HV_CPUID_MAX];
};

/* The host's features, filtered. */
int arch_cpu_model(struct hv_vm *vm, const struct arch_cpu_cfg *cfg, struct arch_cpu_model *ret,
		   struct err *e);
/* Identification and fixed registers of one vCPU. Before its first run. */
int arch_vcpu_setup(struct hv_vcpu *c, const struct arch_cpu_model *model, struct err *e);
/* Entry state of the boot vCPU. */
int arch_vcpu_boot(struct hv_vcpu *c, const struct gmem *m, const struct arch_boot *boot,
		   struct err *e);

#endif
