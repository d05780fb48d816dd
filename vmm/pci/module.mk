# SPDX-License-Identifier: Apache-2.0
VMM_PCI_OBJS := vmm/pci/pci_seg vmm/pci/pci_access vmm/pci/pci_cfg vmm/pci/pci_cfg_page vmm/pci/pci_bar vmm/pci/msix \
	vmm/pci/pci_state vmm/pci/pvpanic

PCI_TEST_OBJS = $(LIB_BASE) $(VMM_SNAP_OBJS) $(VMM_BUS_OBJS) $(VMM_PCI_OBJS) $(VMM_HV_FAKE_OBJS)
UNIT_TESTS += pci msix
pci_TEST_OBJS = $(PCI_TEST_OBJS)
msix_TEST_OBJS = $(PCI_TEST_OBJS)

FUZZ_TARGETS += pci_config
pci_config_FUZZ_OBJS = $(PCI_TEST_OBJS)
