# SPDX-License-Identifier: Apache-2.0
VMM_CORE_OBJS := vmm/core/config vmm/core/runstate vmm/core/build vmm/core/devices \
	vmm/core/vsock_glue vmm/core/net_glue vmm/core/vcpu vmm/core/threads vmm/core/machine vmm/core/commands \
	vmm/core/commands_devices vmm/core/panic_words
# Everything that a machine is made of, but for the hypervisor and main().
VMM_MACHINE_OBJS = $(LIB_BASE) $(VMM_CORE_OBJS) $(VMM_CONTROL_OBJS) $(VMM_MEM_OBJS) $(VMM_BUS_OBJS) \
	$(VMM_SNAP_OBJS) $(VMM_ARCH_OBJS) $(VMM_ACPI_OBJS) $(VMM_LEGACY_OBJS) $(VMM_PCI_OBJS) \
	$(VMM_VIRTIO_CORE_OBJS) $(VMM_VIRTIO_PCI_OBJS) $(VMM_VSOCK_OBJS) $(VMM_RNG_OBJS) \
	$(VMM_CONSOLE_OBJS) $(VMM_NET_OBJS) $(VMM_BLK_OBJS) $(VMM_BALLOON_OBJS) $(VMM_MEM_DEV_OBJS) $(VMM_FS_DEV_OBJS) $(VMM_FS_OBJS) \
	$(VMM_JAIL_OBJS)

PROGRAMS += husk-machine
husk-machine_OBJS = vmm/core/main $(VMM_MACHINE_OBJS) $(VMM_HV_KVM_OBJS)
husk-machine_GEN_OBJS = $(VMM_JAIL_GEN_OBJS)
husk-machine_LIBS = $(VMM_JAIL_LIBS) $(VMM_DISK_LIBS)
husk-machine_STATIC := 1

# The test guest: its files make up the only program.
TEST_GUEST := $(B)/tests/guest/initramfs
$(B)/tests/guest/init: tests/guest/init.c tests/guest/net.c tests/guest/noise.c tests/guest/disk.c tests/guest/guest.h $(B)/flags
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(filter-out -fsanitize=% -fno-sanitize-recover=%,$(ALL_CFLAGS)) -static -o $@ $(filter %.c,$^)
$(TEST_GUEST): $(B)/tests/guest/init rootfs-tools/initramfs/pack
	$(call say,PACK,$@)
	$(Q)rootfs-tools/initramfs/pack $< $@
# And one that does what no kernel should.
$(B)/tests/guest/wild: tests/guest/wild.S $(B)/flags
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) -m64 -nostdlib -static -no-pie -Wl,--build-id=none,-e,start,-Ttext=0x1000000 -o $@ $<

ifeq ($(ARCH)$(SAN),x86_64)
all: $(TEST_GUEST) $(B)/tests/guest/wild
endif

UNIT_TESTS += panic_words
panic_words_TEST_OBJS = $(LIB_BASE) $(VMM_MEM_OBJS) vmm/core/panic_words
FUZZ_TARGETS += panic_words
panic_words_FUZZ_OBJS = $(panic_words_TEST_OBJS)

UNIT_TESTS += vsock_glue
vsock_glue_TEST_OBJS = $(vsock_TEST_OBJS) vmm/core/vsock_glue

ifeq ($(ARCH),x86_64)
UNIT_TESTS += machine machine_ends
machine_TEST_OBJS = lib/diskfile $(VMM_MACHINE_OBJS) $(VMM_HV_FAKE_OBJS) $(NATIVE_CLIENT_OBJS)
machine_TEST_GEN_OBJS = $(VMM_JAIL_GEN_OBJS)
machine_TEST_LIBS = $(VMM_JAIL_LIBS) $(VMM_DISK_LIBS)
machine_ends_TEST_OBJS = $(machine_TEST_OBJS)
machine_ends_TEST_GEN_OBJS = $(machine_TEST_GEN_OBJS)
machine_ends_TEST_LIBS = $(machine_TEST_LIBS)
endif
