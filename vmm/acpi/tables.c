// SPDX-License-Identifier: Apache-2.0
/* RSDP, XSDT, FADT, MADT, MCFG (ACPI 6.5, chapter 5; PCI Firmware 3.3, section 4.1.2). */
#include "vmm/acpi/acpi_internal.h"

#include <string.h>

#define PACKED __attribute__((packed))

struct PACKED header {
	char signature[4];
	uint32_t length;
	uint8_t revision, checksum;
	char oem_id[6], oem_table_id[8];
	uint32_t oem_revision;
	char creator_id[4];
	uint32_t creator_revision;
};
_Static_assert(sizeof(struct header) == 36, "5.2.6");

struct PACKED rsdp {
	char signature[8];
	uint8_t checksum;
	char oem_id[6];
	uint8_t revision;
	uint32_t rsdt, length;
	uint64_t xsdt;
	uint8_t checksum_all, reserved[3];
};
_Static_assert(sizeof(struct rsdp) == 36, "5.2.5.3");

struct PACKED gas {
	uint8_t space, bits, offset, access;
	uint64_t addr;
};

struct PACKED fadt {
	uint32_t firmware_ctrl, dsdt;
	uint8_t reserved0, profile;
	uint8_t not_reduced[108 - 46 + 1]; /* SCI_INT … CENTURY: ignored when hardware-reduced */
	uint16_t iapc_boot_arch;
	uint8_t reserved1;
	uint32_t flags;
	struct gas reset_reg;
	uint8_t reset_value;
	uint16_t arm_boot_arch;
	uint8_t minor;
	uint64_t x_firmware_ctrl, x_dsdt;
	struct gas x_blocks[8];
	struct gas sleep_control, sleep_status;
	uint64_t hypervisor;
};
_Static_assert(sizeof(struct fadt) + sizeof(struct header) == 276, "5.2.9");

#define BOOT_ARCH_NO_VGA (1u << 2)
#define BOOT_ARCH_NO_RTC (1u << 5)

#define FADT_WBINVD       (1u << 0)
#define FADT_PROC_C1      (1u << 2)
#define FADT_PWR_BUTTON   (1u << 4) /* a control method (or none), no fixed hardware */
#define FADT_SLP_BUTTON   (1u << 5) /* the same */
#define FADT_RESET_REG    (1u << 10)
#define FADT_HEADLESS     (1u << 12)
#define FADT_HW_REDUCED   (1u << 20)

#define GAS_BYTE 1

int acpi_table_begin(struct buf *b, const char sig[4], uint8_t revision)
{
	struct header h = {
		.revision = revision,
		.oem_id = { 'H', 'U', 'S', 'K', ' ', ' ' },
		.oem_table_id = { 'H', 'U', 'S', 'K', 'V', 'M', ' ', ' ' },
		.oem_revision = 1,
		.creator_id = { 'H', 'U', 'S', 'K' },
		.creator_revision = 1,
	};

	memcpy(h.signature, sig, 4);
	return buf_append(b, &h, sizeof(h));
}

static uint8_t sum(const uint8_t *p, size_t len)
{
	unsigned v = 0;

	while (len--)
		v += *p++;
	return (uint8_t)v;
}

void acpi_table_end(struct buf *b, size_t start)
{
	uint32_t len = (uint32_t)(b->len - start);
	uint8_t *t = b->data + start;

	if (b->failed)
		return; /* the header itself may not be there; acpi_build() looks at it in the end */
	memcpy(t + offsetof(struct header, length), &len, sizeof(len));
	t[offsetof(struct header, checksum)] = 0;
	t[offsetof(struct header, checksum)] = (uint8_t)-sum(t, len);
}

static struct gas to_gas(const struct acpi_reg *r)
{
	return (struct gas){
		.space = (uint8_t)r->space, .bits = r->addr ? 8 : 0,
		.access = r->addr ? GAS_BYTE : 0, .addr = r->addr,
	};
}

static void build_fadt(struct buf *b, const struct acpi_desc *d, uint64_t dsdt)
{
	struct fadt f = {
		.iapc_boot_arch = BOOT_ARCH_NO_VGA | BOOT_ARCH_NO_RTC,
		.flags = FADT_WBINVD | FADT_PROC_C1 | FADT_PWR_BUTTON | FADT_SLP_BUTTON |
			FADT_RESET_REG | FADT_HEADLESS | FADT_HW_REDUCED,
		.reset_reg = to_gas(&d->reset),
		.reset_value = d->reset_value,
		.minor = 5,
		.x_dsdt = dsdt,
		.sleep_control = to_gas(&d->sleep_control),
		.sleep_status = to_gas(&d->sleep_status),
	};
	size_t start = b->len;

	memcpy(&f.hypervisor, "HUSK    ", 8);
	acpi_table_begin(b, "FACP", 6);
	buf_append(b, &f, sizeof(f));
	acpi_table_end(b, start);
}

struct PACKED madt {
	uint32_t lapic_base, flags;
};
struct PACKED madt_lapic {
	uint8_t type, length, uid, apic_id;
	uint32_t flags;
};
struct PACKED madt_x2apic {
	uint8_t type, length;
	uint16_t reserved;
	uint32_t apic_id, flags, uid;
};
struct PACKED madt_ioapic {
	uint8_t type, length, id, reserved;
	uint32_t base, gsi_base;
};
struct PACKED madt_lapic_nmi {
	uint8_t type, length, uid;
	uint16_t flags;
	uint8_t lint;
};

#define MADT_ENABLED   1u
#define LAPIC_ID_LIMIT 255u /* 255 is the broadcast */

static void build_madt(struct buf *b, const struct acpi_desc *d)
{
	struct madt m = { .lapic_base = d->lapic_base };
	struct madt_ioapic io = { .type = 1, .length = sizeof(io), .base = d->ioapic_base };
	struct madt_lapic_nmi nmi = { .type = 4, .length = sizeof(nmi), .uid = 0xff, .lint = 1 };
	size_t start = b->len;

	acpi_table_begin(b, "APIC", 5);
	buf_append(b, &m, sizeof(m));
	for (uint32_t i = 0; i < d->cpus; i++) {
		struct madt_lapic l = {
			.type = 0, .length = sizeof(l), .uid = (uint8_t)i, .apic_id = (uint8_t)i,
			.flags = MADT_ENABLED,
		};
		struct madt_x2apic x = {
			.type = 9, .length = sizeof(x), .apic_id = i, .flags = MADT_ENABLED, .uid = i,
		};

		if (i < LAPIC_ID_LIMIT)
			buf_append(b, &l, sizeof(l));
		else
			buf_append(b, &x, sizeof(x));
	}
	buf_append(b, &io, sizeof(io));
	buf_append(b, &nmi, sizeof(nmi));
	acpi_table_end(b, start);
}

struct PACKED mcfg_entry {
	uint64_t base;
	uint16_t segment;
	uint8_t first_bus, last_bus;
	uint32_t reserved;
};

static void build_mcfg(struct buf *b, const struct acpi_desc *d)
{
	size_t start = b->len;
	uint64_t reserved = 0;

	acpi_table_begin(b, "MCFG", 1);
	buf_append(b, &reserved, sizeof(reserved));
	for (size_t i = 0; i < d->npci; i++) {
		struct mcfg_entry m = { .base = d->pci[i].ecam_base, .segment = d->pci[i].segment };

		buf_append(b, &m, sizeof(m));
	}
	acpi_table_end(b, start);
}

static void build_xsdt(struct buf *b, const uint64_t *at, size_t n)
{
	size_t start = b->len;

	acpi_table_begin(b, "XSDT", 1);
	buf_append(b, at, n * sizeof(*at));
	acpi_table_end(b, start);
}

static void fill_rsdp(uint8_t *p, uint64_t xsdt)
{
	struct rsdp r = {
		.signature = { 'R', 'S', 'D', ' ', 'P', 'T', 'R', ' ' },
		.oem_id = { 'H', 'U', 'S', 'K', ' ', ' ' },
		.revision = 2,
		.length = sizeof(r),
		.xsdt = xsdt,
	};

	r.checksum = (uint8_t)-sum((const uint8_t *)&r, 20); /* the ACPI 1.0 part */
	r.checksum_all = (uint8_t)-sum((const uint8_t *)&r, sizeof(r));
	memcpy(p, &r, sizeof(r));
}

/* Tables start at multiples of 8. */
static uint64_t next_table(struct buf *b, uint64_t base)
{
	static const uint8_t zeros[8];

	buf_append(b, zeros, (size_t)(align_up64(b->len, 8) - b->len));
	return base + b->len;
}

int acpi_build(struct buf *b, const struct acpi_desc *d, uint64_t base, struct err *e)
{
	uint64_t dsdt, xsdt, at[3];
	int rc;

	if (!d->cpus || d->cpus > ACPI_MAX_CPUS || d->npci > ACPI_MAX_PCI)
		return err_set(e, EINVAL, "no ACPI tables for %u CPUs and %zu PCI segments", d->cpus,
			       d->npci);
	bug_on(b->len);
	if (!buf_reserve(b, sizeof(struct rsdp)))
		return err_set(e, ENOMEM, "no room for ACPI tables");
	buf_commit(b, sizeof(struct rsdp));
	dsdt = next_table(b, base);
	rc = acpi_build_dsdt(b, d, e);
	if (rc < 0)
		return rc;
	at[0] = next_table(b, base);
	build_fadt(b, d, dsdt);
	at[1] = next_table(b, base);
	build_madt(b, d);
	at[2] = next_table(b, base);
	build_mcfg(b, d);
	xsdt = next_table(b, base);
	build_xsdt(b, at, ARRAY_SIZE(at));
	if (b->failed)
		return err_set(e, ENOMEM, "no room for ACPI tables");
	fill_rsdp(b->data, xsdt);
	return 0;
}
