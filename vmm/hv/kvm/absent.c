// SPDX-License-Identifier: Apache-2.0
/* Architectures whose vCPUs nobody has written yet. */
#include "vmm/hv/hv.h"

int hv_kvm_open(struct hv **ret, int kvm_fd, struct err *e)
{
	(void)ret;
	(void)kvm_fd;
	return err_set(e, ENOTSUP, "husk does not run machines on this architecture yet");
}
