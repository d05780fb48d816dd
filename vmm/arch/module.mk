# SPDX-License-Identifier: Apache-2.0
# Links with VMM_ACPI_OBJS, VMM_LEGACY_OBJS, VMM_BUS_OBJS and VMM_MEM_OBJS.
VMM_LEGACY_OBJS := vmm/bus/sink vmm/bus/serial vmm/bus/debugcon
ifeq ($(ARCH),x86_64)
VMM_ARCH_LOAD_OBJS := vmm/arch/x86_64/image vmm/arch/x86_64/elf vmm/arch/x86_64/bzimage \
	vmm/arch/x86_64/payload
VMM_ARCH_OBJS := $(VMM_ARCH_LOAD_OBJS) vmm/arch/later vmm/arch/x86_64/layout vmm/arch/x86_64/ioapic \
	vmm/arch/x86_64/platform vmm/arch/x86_64/tables vmm/arch/x86_64/boot vmm/arch/x86_64/cpuid

# Runs in a machine with KVM: tests/guest/hv_smoke.c.
PROGRAMS += hv-smoke
hv-smoke_OBJS = tests/guest/hv_smoke tests/guest/hv_boot $(LIB_BASE) $(VMM_HV_KVM_OBJS) $(VMM_MEM_OBJS) \
	$(VMM_BUS_OBJS) $(VMM_LEGACY_OBJS) $(VMM_ACPI_OBJS) $(VMM_ARCH_OBJS) $(VMM_SNAP_OBJS) \
	$(VMM_PCI_OBJS)
else
VMM_ARCH_OBJS := vmm/arch/later vmm/arch/aarch64/layout vmm/arch/aarch64/absent
endif

ifeq ($(ARCH),x86_64)
UNIT_TESTS += arch ioapic serial loader
arch_TEST_OBJS = $(LIB_BASE) $(VMM_HV_FAKE_OBJS) $(VMM_MEM_OBJS) $(VMM_BUS_OBJS) $(VMM_LEGACY_OBJS) \
	$(VMM_ACPI_OBJS) $(VMM_ARCH_OBJS) $(VMM_SNAP_OBJS)
ioapic_TEST_OBJS = $(LIB_BASE) $(VMM_SNAP_OBJS) $(VMM_HV_FAKE_OBJS) vmm/arch/x86_64/ioapic
loader_TEST_OBJS = $(LIB_BASE) $(VMM_MEM_OBJS) $(VMM_ARCH_LOAD_OBJS)
serial_TEST_OBJS = $(LIB_BASE) $(VMM_SNAP_OBJS) $(VMM_LEGACY_OBJS)
endif

ifeq ($(ARCH),x86_64)
FUZZ_TARGETS += elf bzimage serial ioapic
elf_FUZZ_OBJS = $(loader_TEST_OBJS)
bzimage_FUZZ_OBJS = $(loader_TEST_OBJS)
serial_FUZZ_OBJS = $(serial_TEST_OBJS)
ioapic_FUZZ_OBJS = $(ioapic_TEST_OBJS)
endif
