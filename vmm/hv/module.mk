# SPDX-License-Identifier: Apache-2.0
ifeq ($(ARCH),x86_64)
VMM_HV_KVM_OBJS := vmm/hv/kvm/open vmm/hv/kvm/vm vmm/hv/kvm/irq vmm/hv/kvm/vcpu vmm/hv/kvm/x86 \
	vmm/hv/kvm/msrs vmm/hv/kvm/regs vmm/hv/kvm/defer
else
VMM_HV_KVM_OBJS := vmm/hv/kvm/absent
endif
VMM_HV_FAKE_OBJS := vmm/hv/fake/fake vmm/hv/fake/fake_vcpu
