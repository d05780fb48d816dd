// SPDX-License-Identifier: Apache-2.0
/* The DSDT's contents: what the guest cannot find by probing. */
#include "vmm/acpi/acpi_internal.h"
#include "vmm/acpi/aml.h"
#include "vmm/acpi/ged.h"

#include <stdio.h>

/* Claims the ECAM area; a guest does not trust MCFG otherwise. */
static void motherboard(struct aml *a, const struct acpi_desc *d)
{
	aml_device(a, "MBRD");
	aml_name_eisa_id(a, "_HID", "PNP0C02");
	aml_name_int(a, "_UID", 0);
	aml_name(a, "_CRS");
	aml_resources(a);
	for (size_t i = 0; i < d->npci; i++)
		aml_res_memory32_fixed(a, true, (uint32_t)d->pci[i].ecam_base, ACPI_ECAM_LEN);
	aml_resources_end(a);
	aml_end(a);
}

static void pci_host(struct aml *a, const struct acpi_pci *p, size_t i)
{
	char name[5];

	snprintf(name, sizeof(name), "PC%02zX", i & 0xff);
	aml_device(a, name);
	aml_name_eisa_id(a, "_HID", "PNP0A08");
	aml_name_eisa_id(a, "_CID", "PNP0A03");
	aml_name_int(a, "_UID", i);
	aml_name_int(a, "_SEG", p->segment);
	aml_name_int(a, "_BBN", 0);
	aml_name_int(a, "_CCA", 1);
	aml_name(a, "_CRS");
	aml_resources(a);
	aml_res_bus_numbers(a, 0, 0);
	if (p->io_len)
		aml_res_io_window(a, p->io_base, p->io_len);
	if (p->mmio32_len)
		aml_res_memory_window(a, false, p->mmio32_base, p->mmio32_len);
	if (p->mmio64_len)
		aml_res_memory_window(a, true, p->mmio64_base, p->mmio64_len);
	aml_resources_end(a);
	aml_end(a);
}

static void event_device(struct aml *a, const struct acpi_desc *d)
{
	enum aml_space space = d->ged.space == ACPI_SPACE_IO ? AML_IO : AML_MEMORY;

	aml_device(a, "PWRB");
	aml_name_eisa_id(a, "_HID", "PNP0C0C");
	aml_name_int(a, "_UID", 0);
	aml_end(a);

	aml_device(a, "GED_");
	aml_name_str(a, "_HID", "ACPI0013");
	aml_name_int(a, "_UID", 0);
	aml_name(a, "_CRS");
	aml_resources(a);
	aml_res_interrupt(a, true, d->ged_gsi);
	aml_resources_end(a);
	aml_op_region(a, "EREG", space, d->ged.addr, GED_LEN);
	aml_field(a, "EREG", "ESEL", 32);
	aml_method(a, "_EVT", 1, true);
	aml_store_path(a, "ESEL", 0);
	aml_if_local_and(a, 0, GED_POWER_BUTTON);
	aml_notify(a, "\\_SB_.PWRB", 0x80);
	aml_end(a);
	if (d->vmgenid) {
		aml_if_local_and(a, 0, GED_VMGENID);
		aml_notify(a, "\\_SB_.VGEN", 0x80);
		aml_end(a);
	}
	aml_end(a); /* _EVT */
	aml_end(a);
}

/* _CID, _DDN and ADDR (low and high half) as in Microsoft's "Virtual Machine Generation ID". */
static void generation_device(struct aml *a, const struct acpi_desc *d)
{
	aml_device(a, "VGEN");
	aml_name_str(a, "_HID", "HUSK0001");
	aml_name_str(a, "_CID", "VM_GEN_COUNTER");
	aml_name_str(a, "_DDN", "VM_Gen_Counter");
	aml_name(a, "ADDR");
	aml_package(a, 2);
	aml_int(a, (uint32_t)d->vmgenid);
	aml_int(a, d->vmgenid >> 32);
	aml_end(a);
	aml_end(a);
}

static void serial_device(struct aml *a, const struct acpi_desc *d)
{
	aml_device(a, "COM1");
	aml_name_eisa_id(a, "_HID", "PNP0501");
	aml_name_int(a, "_UID", 0);
	aml_name(a, "_CRS");
	aml_resources(a);
	aml_res_io(a, d->serial_port, 8);
	aml_res_interrupt(a, true, d->serial_gsi);
	aml_resources_end(a);
	aml_end(a);
}

static void soft_off(struct aml *a)
{
	aml_name(a, "\\_S5_");
	aml_package(a, 1);
	aml_int(a, ACPI_SLEEP_TYPE_S5);
	aml_end(a);
}

int acpi_build_dsdt(struct buf *b, const struct acpi_desc *d, struct err *e)
{
	size_t start = b->len;
	struct aml a;

	if (acpi_table_begin(b, "DSDT", 2) < 0)
		return err_set(e, ENOMEM, "no room for the DSDT");
	aml_init(&a, b);
	aml_scope(&a, "\\_SB_");
	motherboard(&a, d);
	for (size_t i = 0; i < d->npci; i++)
		pci_host(&a, &d->pci[i], i);
	if (d->vmgenid)
		generation_device(&a, d);
	event_device(&a, d);
	if (d->serial_port)
		serial_device(&a, d);
	aml_end(&a);
	soft_off(&a);
	if (!aml_done(&a))
		return err_set(e, ENOMEM, "no room for the DSDT");
	acpi_table_end(b, start);
	return 0;
}
