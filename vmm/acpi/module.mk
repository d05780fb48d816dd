# SPDX-License-Identifier: Apache-2.0
VMM_ACPI_TABLE_OBJS := vmm/acpi/aml vmm/acpi/aml_res vmm/acpi/dsdt vmm/acpi/tables
VMM_ACPI_OBJS := $(VMM_ACPI_TABLE_OBJS) vmm/acpi/ged vmm/acpi/power

UNIT_TESTS += acpi
acpi_TEST_OBJS = $(LIB_BASE) $(VMM_SNAP_OBJS) $(VMM_ACPI_OBJS)
