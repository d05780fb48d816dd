// SPDX-License-Identifier: Apache-2.0
/* What the guest is told about the machine: ACPI tables, memory map, boot parameters. */
#include <asm/bootparam.h>
#include <string.h>
#include <sys/random.h>
#include "vmm/acpi/acpi.h"
#include "vmm/arch/x86_64/layout.h"
#include "vmm/arch/x86_64/platform_internal.h"

/* E820 types, which PVH uses as well. */
enum { MAP_RAM = 1, MAP_RESERVED = 2, MAP_ACPI = 3 };

struct map_entry {
	uint64_t at, len;
	uint32_t type;
};

#define MAP_MAX 16

struct memory_map {
	size_t n;
	struct map_entry e[MAP_MAX];
};

static void map_add(struct memory_map *t, uint64_t at, uint64_t len, uint32_t type)
{
	bug_on(t->n == MAP_MAX);
	t->e[t->n++] = (struct map_entry){ .at = at, .len = len, .type = type };
}

static void build_map(struct memory_map *t, const struct gmem *m, const struct pci_seg_cfg *pci,
		      size_t npci, uint64_t acpi_len)
{
	t->n = 0;
	map_add(t, 0, X86_LOW_RAM_END, MAP_RAM);
	map_add(t, X86_RSDP, align_up64(acpi_len, KIB(4)), MAP_ACPI);
	map_add(t, X86_VMGENID, KIB(4), MAP_RESERVED);
	for (size_t i = 0; i < gmem_nregions(m); i++) {
		struct gmem_region r;
		uint64_t off, cut;
		void *host;
		int fd;

		gmem_region_at(m, i, &r, &host, &fd, &off);
		cut = r.base.v < X86_HIGH_RAM ? X86_HIGH_RAM - r.base.v : 0;
		if (r.size > cut && !r.later)
			map_add(t, r.base.v + cut, r.size - cut, MAP_RAM);
		/* Behind low RAM, before high: in ascending order. */
		for (size_t j = 0; i == 0 && j < npci; j++)
			map_add(t, pci[j].ecam_base, X86_ECAM_LEN, MAP_RESERVED);
	}
}

/* ---- PVH: struct hvm_start_info, version 1 (Xen: public/arch-x86/hvm/start_info.h) ---- */

#define PVH_MAGIC 0x336ec578u

struct pvh_info {
	uint32_t magic, version, flags, nr_modules;
	uint64_t modlist, cmdline, rsdp, memmap;
	uint32_t memmap_entries, reserved;
};
struct pvh_module {
	uint64_t at, size, cmdline, reserved;
};
struct pvh_memmap {
	uint64_t at, size;
	uint32_t type, reserved;
};
_Static_assert(sizeof(struct pvh_info) == 56 && sizeof(struct pvh_memmap) == 24, "start_info.h");
_Static_assert(X86_PVH_MEMMAP + MAP_MAX * sizeof(struct pvh_memmap) <= X86_ZERO_PAGE, "layout");

static int write_pvh(const struct gmem *m, const struct arch_boot *b, const struct memory_map *t)
{
	struct pvh_module mod = { .at = b->initramfs.v, .size = b->initramfs_len };
	struct pvh_memmap map[MAP_MAX] = { 0 };
	struct pvh_info info = {
		.magic = PVH_MAGIC,
		.version = 1,
		.nr_modules = b->initramfs_len ? 1 : 0,
		.modlist = b->initramfs_len ? X86_PVH_MODLIST : 0,
		.cmdline = X86_CMDLINE,
		.rsdp = X86_RSDP,
		.memmap = X86_PVH_MEMMAP,
		.memmap_entries = (uint32_t)t->n,
	};
	int rc;

	for (size_t i = 0; i < t->n; i++) {
		map[i].at = t->e[i].at;
		map[i].size = t->e[i].len;
		map[i].type = t->e[i].type;
	}
	rc = gmem_write(m, gpa(X86_PVH_INFO), &info, sizeof(info));
	if (rc == 0)
		rc = gmem_write(m, gpa(X86_PVH_MODLIST), &mod, sizeof(mod));
	if (rc == 0)
		rc = gmem_write(m, gpa(X86_PVH_MEMMAP), map, t->n * sizeof(map[0]));
	return rc;
}

/* ---- Linux: boot_params, begun by bzimage_load() ---- */

static int write_zero_page(const struct gmem *m, const struct arch_boot *b,
			   const struct memory_map *t)
{
	struct boot_params bp;

	if (gmem_read(m, gpa(X86_ZERO_PAGE), &bp, sizeof(bp)) < 0)
		return -EFAULT;
	bp.acpi_rsdp_addr = X86_RSDP;
	bp.hdr.ramdisk_image = (uint32_t)b->initramfs.v; /* below 4 GiB: load_initramfs() */
	bp.hdr.ramdisk_size = (uint32_t)b->initramfs_len;
	bp.e820_entries = (uint8_t)t->n;
	for (size_t i = 0; i < t->n; i++) {
		bp.e820_table[i].addr = t->e[i].at;
		bp.e820_table[i].size = t->e[i].len;
		bp.e820_table[i].type = t->e[i].type;
	}
	return gmem_write(m, gpa(X86_ZERO_PAGE), &bp, sizeof(bp));
}

/* ---- ACPI ---- */

static void describe(struct acpi_desc *d, const struct arch_platform *p,
		     const struct pci_seg_cfg *pci, size_t npci)
{
	*d = (struct acpi_desc){
		.cpus = p->cfg.vcpus,
		.lapic_base = X86_LAPIC,
		.ioapic_base = X86_IOAPIC,
		.ged_gsi = X86_IRQ_GED,
		.ged = { ACPI_SPACE_IO, X86_PORT_GED },
		.sleep_control = { ACPI_SPACE_IO, X86_PORT_POWER + POWER_SLEEP_CONTROL },
		.sleep_status = { ACPI_SPACE_IO, X86_PORT_POWER + POWER_SLEEP_STATUS },
		.reset = { ACPI_SPACE_IO, X86_PORT_POWER + POWER_RESET },
		.reset_value = POWER_RESET_VALUE,
		.vmgenid = X86_VMGENID,
		.serial_port = p->serial ? X86_PORT_SERIAL : 0,
		.serial_gsi = X86_IRQ_SERIAL,
		.npci = npci,
	};
	for (size_t i = 0; i < npci; i++)
		d->pci[i] = (struct acpi_pci){
			.segment = pci[i].number,
			.ecam_base = pci[i].ecam_base,
			.mmio32_base = pci[i].mmio32_base, .mmio32_len = pci[i].mmio32_len,
			.mmio64_base = pci[i].mmio64_base, .mmio64_len = pci[i].mmio64_len,
			.io_base = pci[i].io_base, .io_len = pci[i].io_len,
		};
}

static int write_acpi(struct arch_platform *p, const struct pci_seg_cfg *pci, size_t npci,
		      uint64_t *ret_len, struct err *e)
{
	struct buf b = BUF_INIT(X86_ACPI_END - X86_RSDP);
	struct acpi_desc d;
	int rc;

	describe(&d, p, pci, npci);
	rc = acpi_build(&b, &d, X86_RSDP, e);
	if (rc == 0 && gmem_write(p->cfg.mem, gpa(X86_RSDP), b.data, b.len) < 0)
		rc = err_set(e, EFAULT, "no memory for ACPI tables");
	if (rc == 0)
		*ret_len = b.len;
	buf_free(&b);
	return rc;
}

static int write_generation(const struct gmem *m, struct err *e)
{
	uint8_t guid[16];

	if (getrandom(guid, sizeof(guid), 0) != sizeof(guid))
		return err_errno(e, errno, "no random bytes for the generation id");
	if (gmem_write(m, gpa(X86_VMGENID), guid, sizeof(guid)) < 0)
		return err_set(e, EFAULT, "no memory for the generation id");
	return 0;
}

int arch_write_tables(struct arch_platform *p, const struct arch_boot *boot,
		      const struct pci_seg_cfg *pci, size_t npci, struct err *e)
{
	const struct gmem *m = p->cfg.mem;
	struct memory_map map;
	uint64_t acpi_len = 0;
	int rc;

	if (npci > ARCH_MAX_PCI_SEGS)
		return err_set(e, EINVAL, "%zu PCI segments, at most %d", npci, ARCH_MAX_PCI_SEGS);
	rc = write_acpi(p, pci, npci, &acpi_len, e);
	if (rc == 0)
		rc = write_generation(m, e);
	if (rc < 0)
		return rc;
	build_map(&map, m, pci, npci, acpi_len);
	rc = boot->kind == ARCH_BOOT_PVH ? write_pvh(m, boot, &map) : write_zero_page(m, boot, &map);
	return rc < 0 ? err_set(e, EFAULT, "no memory for boot parameters") : 0;
}
