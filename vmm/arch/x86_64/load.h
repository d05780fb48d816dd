/* SPDX-License-Identifier: Apache-2.0 */
/* Loading kernel images; shared by the files of this folder and their tests. */
#ifndef VMM_ARCH_X86_64_LOAD_H
#define VMM_ARCH_X86_64_LOAD_H

#include "vmm/arch/arch.h"

/* A file to be loaded: a regular file (or memfd) whose size was read once. */
struct image {
	int fd;
	uint64_t size;
	const char *what; /* "kernel", "initramfs": for messages */
	bool map;         /* may be mapped: arch_payload.map_files */
};

int image_open(struct image *ret, int fd, const char *what, bool map, struct err *e);
/* Exactly @len bytes at @off. -ENOEXEC when they are not there. */
int image_read(const struct image *im, uint64_t off, void *dst, size_t len, struct err *e);
/* [@off, @off + @len) of the file to @at, all of which must be RAM above X86_HIGH_RAM. */
int image_to_guest(const struct image *im, const struct gmem *m, uint64_t off, uint64_t len, gpa_t at,
		   struct err *e);
/* NULL-safe check that [@at, @at + @len) may hold a kernel's bytes: RAM, at or above X86_HIGH_RAM. */
bool image_room(const struct gmem *m, uint64_t at, uint64_t len);

/* -ENOEXEC: not this format or not usable; the text says what. */
bool elf_is(const struct image *im);
int elf_load(const struct image *im, const struct gmem *m, struct arch_boot *ret, struct err *e);
bool bzimage_is(const struct image *im);
/* Leaves boot_params with the image's header at X86_ZERO_PAGE. *ret_initramfs_max: the highest address
 * an initramfs may use. */
int bzimage_load(const struct image *im, const struct gmem *m, const char *cmdline,
		 struct arch_boot *ret, uint64_t *ret_initramfs_max, struct err *e);

#endif
