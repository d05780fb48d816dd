# SPDX-License-Identifier: Apache-2.0
# With what it needs of vmm/acpi and of vmm/bus's legacy devices; not with vmm/bus/bus itself.
ifeq ($(ARCH),x86_64)
VMM_ARCH_LOAD_OBJS := vmm/arch/x86_64/image vmm/arch/x86_64/elf vmm/arch/x86_64/bzimage \
	vmm/arch/x86_64/payload
VMM_ARCH_OBJS := $(VMM_ARCH_LOAD_OBJS) vmm/arch/x86_64/layout vmm/arch/x86_64/ioapic \
	vmm/arch/x86_64/platform vmm/arch/x86_64/tables vmm/arch/x86_64/boot vmm/arch/x86_64/cpuid \
	vmm/bus/sink vmm/bus/serial vmm/bus/debugcon \
	vmm/acpi/aml vmm/acpi/aml_res vmm/acpi/dsdt vmm/acpi/tables vmm/acpi/ged vmm/acpi/power
else
VMM_ARCH_OBJS := vmm/arch/aarch64/layout vmm/arch/aarch64/absent
endif
