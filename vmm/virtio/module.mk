# SPDX-License-Identifier: Apache-2.0
# Queues and the life of a device, without any transport: what each device's own test links.
VMM_VIRTIO_CORE_OBJS := vmm/virtio/vq vmm/virtio/vq_chain vmm/virtio/vq_state vmm/virtio/vdev \
	vmm/virtio/vdev_state vmm/virtio/batch

VMM_VSOCK_OBJS := vmm/virtio/vsock vmm/virtio/vsock_table vmm/virtio/vsock_conn vmm/virtio/vsock_tx \
	vmm/virtio/vsock_buf vmm/virtio/vsock_rx vmm/virtio/vsock_host
VMM_RNG_OBJS := vmm/virtio/rng
VMM_NET_OBJS := $(addprefix vmm/virtio/,net net_link net_rx net_tx net_ctrl net_filter net_state net_vhost) \
	$(VMM_RATE_OBJS) $(VMM_TAP_OBJS) vmm/backend/vhost
VMM_BALLOON_OBJS := vmm/virtio/balloon
VMM_MEM_DEV_OBJS := vmm/virtio/mem
VMM_BLK_OBJS = vmm/virtio/blk vmm/virtio/blk_req $(VMM_DISK_OBJS) $(VMM_RATE_OBJS)
VMM_CONSOLE_OBJS := vmm/virtio/console vmm/virtio/console_tail vmm/virtio/console_watch

# What a device's test links beside the device: the fake driver and the suite that every device passes.
# A fuzz target takes the first alone.
FDV_OBJS = $(LIB_BASE) $(VMM_MEM_OBJS) $(VMM_SNAP_OBJS) $(VMM_VIRTIO_CORE_OBJS) tests/lib/fakedrv \
	tests/lib/fakedrv_ring
FDV_PCI_OBJS = $(FDV_OBJS) $(VMM_BUS_OBJS) $(VMM_PCI_OBJS) $(VMM_VIRTIO_PCI_OBJS) \
	$(VMM_HV_FAKE_OBJS) tests/lib/fakedrv_pci
VDEV_TEST_OBJS = $(FDV_PCI_OBJS) tests/lib/vdev_suite tests/lib/vdev_hostile

UNIT_TESTS += vq vdev
vq_TEST_OBJS = $(FDV_OBJS) tests/lib/echodev
vdev_TEST_OBJS = $(VDEV_TEST_OBJS) tests/lib/echodev

UNIT_TESTS += virtio_pci
virtio_pci_TEST_OBJS = $(FDV_PCI_OBJS) tests/lib/echodev

UNIT_TESTS += vsock vsock_connect
vsock_TEST_OBJS = $(VDEV_TEST_OBJS) $(VMM_VSOCK_OBJS) tests/lib/vsock_guest
vsock_connect_TEST_OBJS = $(vsock_TEST_OBJS)

BENCH_PROGRAMS += bench-vsock
bench-vsock_OBJS = tests/bench/vsock_device $(FDV_OBJS) $(VMM_VSOCK_OBJS) tests/lib/vsock_guest

UNIT_TESTS += vsock_lies
vsock_lies_TEST_OBJS = $(vsock_TEST_OBJS)

UNIT_TESTS += rng console
rng_TEST_OBJS = $(VDEV_TEST_OBJS) $(VMM_RNG_OBJS)
console_TEST_OBJS = $(VDEV_TEST_OBJS) $(VMM_CONSOLE_OBJS)

UNIT_TESTS += net net_lies net_batch
net_TEST_OBJS = $(VDEV_TEST_OBJS) $(VMM_NET_OBJS) tests/lib/faketap
net_lies_TEST_OBJS = $(net_TEST_OBJS)
net_batch_TEST_OBJS = $(FDV_OBJS) $(VMM_NET_OBJS) tests/lib/faketap

FUZZ_TARGETS += vsock rng console net
net_FUZZ_OBJS = $(FDV_OBJS) $(VMM_NET_OBJS) tests/lib/faketap
vsock_FUZZ_OBJS = $(FDV_OBJS) $(VMM_VSOCK_OBJS) tests/lib/vsock_guest
rng_FUZZ_OBJS = $(FDV_OBJS) $(VMM_RNG_OBJS)
console_FUZZ_OBJS = $(FDV_OBJS) $(VMM_CONSOLE_OBJS)

UNIT_TESTS += balloon
balloon_TEST_OBJS = $(VDEV_TEST_OBJS) $(VMM_BALLOON_OBJS)
FUZZ_TARGETS += balloon
balloon_FUZZ_OBJS = $(FDV_OBJS) $(VMM_BALLOON_OBJS)

UNIT_TESTS += mem_dev
mem_dev_TEST_OBJS = $(VDEV_TEST_OBJS) $(VMM_MEM_DEV_OBJS)
FUZZ_TARGETS += mem_dev
mem_dev_FUZZ_OBJS = $(FDV_OBJS) $(VMM_MEM_DEV_OBJS)

UNIT_TESTS += disk blk blk_batch
disk_TEST_OBJS = $(LIB_BASE) $(VMM_DISK_OBJS) lib/diskfile
disk_TEST_LIBS = $(VMM_DISK_LIBS)
blk_TEST_OBJS = $(VDEV_TEST_OBJS) $(VMM_BLK_OBJS)
blk_TEST_LIBS = $(VMM_DISK_LIBS)
blk_batch_TEST_OBJS = $(FDV_OBJS) $(VMM_BLK_OBJS)
blk_batch_TEST_LIBS = $(VMM_DISK_LIBS)
UNIT_TESTS += blk_stuck
blk_stuck_TEST_OBJS = $(FDV_OBJS) vmm/virtio/blk vmm/virtio/blk_req $(VMM_RATE_OBJS)
FUZZ_TARGETS += blk
blk_FUZZ_OBJS = $(FDV_OBJS) $(VMM_BLK_OBJS)
blk_FUZZ_LIBS = $(VMM_DISK_LIBS)

VMM_VIRTIO_PCI_OBJS := vmm/virtio/virtio_pci vmm/virtio/virtio_pci_regs vmm/virtio/virtio_pci_status \
	vmm/virtio/virtio_pci_state

FUZZ_TARGETS += vq virtio_pci
vq_FUZZ_OBJS = lib/err lib/log lib/buf $(VMM_MEM_OBJS) vmm/snapshot/snap vmm/virtio/vq vmm/virtio/vq_chain \
	vmm/virtio/vq_state
virtio_pci_FUZZ_OBJS = $(FDV_PCI_OBJS) tests/lib/echodev
