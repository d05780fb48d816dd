// SPDX-License-Identifier: Apache-2.0
/*
 * A process that ends with a VM's descriptor open waits for the kernel to take the VM down, which waits
 * for RCU: some 10 ms. An io_uring holds a reference of its own to the files registered with it and drops
 * it from a kernel worker, after the process has gone. The ring here does nothing else: it is made
 * disabled, never enabled, and the jail forbids io_uring's calls.
 */
#include <linux/io_uring.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/hv/kvm/kvm.h"

int kvm_vm_defer_teardown(struct hv_vm *vm, struct err *e)
{
	struct io_uring_params p = { .flags = IORING_SETUP_R_DISABLED };
	const int fd = to_vm(vm)->fd;
	int ring = (int)syscall(SYS_io_uring_setup, 1, &p);
	int rc = 0;

	if (ring < 0)
		return err_errno(e, errno, "io_uring");
	if (syscall(SYS_io_uring_register, ring, IORING_REGISTER_FILES, &fd, 1) < 0)
		rc = err_errno(e, errno, "io_uring: registering the VM");
	if (rc < 0)
		close(ring);
	/* Else it stays open, unnamed, until the process ends. */
	return rc;
}
