// SPDX-License-Identifier: Apache-2.0
/*
 * bzImage by the 32-bit boot protocol (Linux: Documentation/arch/x86/boot.rst), version 2.06 or newer:
 * the kernel unpacks itself in the guest. The image is hostile: each number in it is checked where
 * it is used.
 */
#include <asm/bootparam.h>
#include <string.h>
#include "vmm/arch/x86_64/layout.h"
#include "vmm/arch/x86_64/load.h"

#define HEADER_AT        0x1f1
#define HEADER_MAGIC     0x53726448u /* "HdrS" */
#define SECTOR           512u
#define SETUP_SECTS_OLD  4
#define VERSION_MIN      0x0206
#define VERSION_RELOC    0x020a /* pref_address, init_size */
#define LOADER_UNDEFINED 0xff
#define LOAD_DEFAULT     0x100000u

static int read_header(const struct image *im, struct setup_header *ret, struct err *e)
{
	return image_read(im, HEADER_AT, ret, sizeof(*ret), e);
}

bool bzimage_is(const struct image *im)
{
	struct setup_header h;

	return read_header(im, &h, NULL) == 0 && h.boot_flag == 0xaa55 && h.header == HEADER_MAGIC;
}

/* The header ends where its jump instruction leads; what lies behind are other bytes of the setup code. */
static void cut_header(struct setup_header *h)
{
	size_t end = offsetof(struct setup_header, header) + (h->jump >> 8);

	if (end < sizeof(*h))
		memset((uint8_t *)h + end, 0, sizeof(*h) - end);
}

struct place {
	uint64_t off, len;  /* of the protected-mode kernel in the file */
	uint64_t at, need;  /* where it is loaded, and the memory it needs there */
};

static int find_place(const struct image *im, const struct setup_header *h, struct place *p,
		      struct err *e)
{
	p->off = (uint64_t)((h->setup_sects ? h->setup_sects : SETUP_SECTS_OLD) + 1) * SECTOR;
	if (p->off >= im->size)
		return err_set(e, ENOEXEC, "kernel: the file ends in its setup code");
	p->len = im->size - p->off;
	p->at = LOAD_DEFAULT;
	p->need = p->len;
	if (h->version >= VERSION_RELOC) {
		p->at = h->pref_address;
		p->need = max_t(uint64_t, p->len, h->init_size);
	}
	return 0;
}

static int write_params(const struct gmem *m, const struct setup_header *h)
{
	struct boot_params bp;

	memset(&bp, 0, sizeof(bp));
	bp.hdr = *h;
	bp.hdr.type_of_loader = LOADER_UNDEFINED;
	bp.hdr.cmd_line_ptr = X86_CMDLINE;
	bp.hdr.vid_mode = 0xffff; /* normal */
	return gmem_write(m, gpa(X86_ZERO_PAGE), &bp, sizeof(bp));
}

int bzimage_load(const struct image *im, const struct gmem *m, const char *cmdline,
		 struct arch_boot *ret, uint64_t *ret_initramfs_max, struct err *e)
{
	struct setup_header h;
	struct place p = { 0 };
	int rc = read_header(im, &h, e);

	if (rc < 0)
		return rc;
	if (h.version < VERSION_MIN)
		return err_set(e, ENOEXEC, "kernel: boot protocol %u.%02u, at least 2.06 is needed",
			       h.version >> 8, h.version & 0xff);
	if (!(h.loadflags & LOADED_HIGH))
		return err_set(e, ENOEXEC, "kernel: it wants to be loaded below 1 MiB");
	if (strlen(cmdline) > h.cmdline_size)
		return err_set(e, ENOEXEC, "kernel: it takes a command line of %u bytes, this has %zu",
			       h.cmdline_size, strlen(cmdline));
	cut_header(&h);
	rc = find_place(im, &h, &p, e);
	if (rc < 0)
		return rc;
	if (p.at > UINT32_MAX || !image_room(m, p.at, p.need))
		return err_set(e, ENOEXEC, "kernel: it needs %ju MiB at %#jx, which is not all memory",
			       (uintmax_t)(p.need >> 20), (uintmax_t)p.at);
	rc = image_to_guest(im, m, p.off, p.len, gpa(p.at), e);
	if (rc < 0)
		return rc;
	h.code32_start = (uint32_t)p.at;
	if (write_params(m, &h) < 0)
		return err_set(e, EFAULT, "kernel: no memory for its parameters");
	*ret = (struct arch_boot){
		.kind = ARCH_BOOT_LINUX,
		.entry = gpa(p.at),
		.kernel_start = gpa(p.at),
		.kernel_end = gpa(p.at + p.need),
	};
	*ret_initramfs_max = h.initrd_addr_max;
	return 0;
}
