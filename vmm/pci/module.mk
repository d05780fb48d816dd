# SPDX-License-Identifier: Apache-2.0
VMM_PCI_OBJS := vmm/pci/pci_seg vmm/pci/pci_access vmm/pci/pci_cfg vmm/pci/pci_bar vmm/pci/msix \
	vmm/pci/pci_state vmm/pci/pvpanic
