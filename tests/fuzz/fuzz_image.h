/* SPDX-License-Identifier: Apache-2.0 */
/* Loads @data as a kernel into a small machine's memory and checks what must hold afterwards. */
#ifndef TESTS_FUZZ_FUZZ_IMAGE_H
#define TESTS_FUZZ_FUZZ_IMAGE_H

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "vmm/arch/arch.h"

static int fuzz_file(const void *p, size_t len)
{
	int fd = memfd_create("image", MFD_CLOEXEC);

	if (fd < 0 || write(fd, p, len) != (ssize_t)len)
		abort();
	return fd;
}

static inline void fuzz_image(const uint8_t *data, size_t size, bool initramfs, bool map)
{
	const struct gmem_region r[2] = { { { 0 }, MIB(20), false }, { { GIB(4) }, MIB(2), false } };
	struct arch_payload p = { .kernel_fd = fuzz_file(data, size), .initramfs_fd = -1,
				  .cmdline = "console=hvc0", .map_files = map };
	struct arch_boot b = { .kernel_end = gpa(0) };
	struct err e = ERR_INIT;
	struct gmem *m;
	int rc;

	if (gmem_new(&m, r, 2, GMEM_ANON, NULL) < 0)
		abort();
	if (initramfs)
		p.initramfs_fd = fuzz_file("0707010000000000", 16);
	rc = arch_load_payload(m, &p, &b, &e);
	if (rc < 0 && (!e.msg[0] || strchr(e.msg, '\n')))
		abort();
	if (rc == 0 && (!gmem_ptr(m, b.entry, 1) || b.entry.v < b.kernel_start.v ||
			b.entry.v >= b.kernel_end.v || b.kernel_start.v < MIB(1) ||
			(b.initramfs_len && b.initramfs.v < b.kernel_end.v &&
			 b.initramfs.v + b.initramfs_len > b.kernel_start.v)))
		abort();
	gmem_free(m);
	close(p.kernel_fd);
	if (p.initramfs_fd >= 0)
		close(p.initramfs_fd);
}

#endif
