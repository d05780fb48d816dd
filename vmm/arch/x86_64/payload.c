// SPDX-License-Identifier: Apache-2.0
/* Kernel, initramfs and command line: where each goes. */
#include <string.h>
#include <unistd.h>
#include "vmm/arch/x86_64/layout.h"
#include "vmm/arch/x86_64/load.h"

static int load_kernel(const struct gmem *m, const struct arch_payload *p, struct arch_boot *ret,
		       uint64_t *initramfs_max, struct err *e)
{
	struct image im;
	int rc = image_open(&im, p->kernel_fd, "kernel", p->map_files, e);

	if (rc < 0)
		return rc;
	*initramfs_max = UINT32_MAX;
	if (elf_is(&im))
		return elf_load(&im, m, ret, e);
	if (bzimage_is(&im))
		return bzimage_load(&im, m, p->cmdline, ret, initramfs_max, e);
	return err_set(e, ENOEXEC, "kernel: neither an ELF file nor a bzImage");
}

/* As high as it may be, so that it leaves alone what the kernel takes for itself at its start. */
static int load_initramfs(const struct gmem *m, const struct arch_payload *p, uint64_t max,
			  struct arch_boot *b, struct err *e)
{
	struct gmem_region low;
	uint64_t off, end, at;
	struct image im;
	void *host;
	int rc, fd;

	rc = image_open(&im, p->initramfs_fd, "initramfs", p->map_files, e);
	if (rc < 0)
		return rc;
	gmem_region_at(m, 0, &low, &host, &fd, &off);
	end = min_t(uint64_t, low.base.v + low.size, max + 1);
	if (im.size > end)
		return err_set(e, ENOSPC, "initramfs: %ju MiB do not fit the machine's memory",
			       (uintmax_t)(im.size >> 20));
	at = align_down64(end - im.size, (uint64_t)sysconf(_SC_PAGESIZE));
	if (at < b->kernel_end.v || !image_room(m, at, im.size))
		return err_set(e, ENOSPC, "initramfs: %ju MiB do not fit the memory beside the kernel",
			       (uintmax_t)(im.size >> 20));
	rc = image_to_guest(&im, m, 0, im.size, gpa(at), e);
	if (rc < 0)
		return rc;
	b->initramfs = gpa(at);
	b->initramfs_len = im.size;
	return 0;
}

int arch_load_payload(const struct gmem *m, const struct arch_payload *p, struct arch_boot *ret,
		      struct err *e)
{
	size_t len = strlen(p->cmdline);
	uint64_t initramfs_max;
	struct arch_boot b;
	int rc;

	if (len >= ARCH_CMDLINE_MAX)
		return err_set(e, E2BIG, "kernel command line of %zu bytes, at most %d", len,
			       ARCH_CMDLINE_MAX - 1);
	rc = load_kernel(m, p, &b, &initramfs_max, e);
	if (rc == 0 && p->initramfs_fd >= 0)
		rc = load_initramfs(m, p, initramfs_max, &b, e);
	if (rc < 0)
		return rc;
	if (gmem_write(m, gpa(X86_CMDLINE), p->cmdline, len + 1) < 0)
		return err_set(e, EFAULT, "no memory for the kernel command line");
	*ret = b;
	return 0;
}
