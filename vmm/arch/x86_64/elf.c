// SPDX-License-Identifier: Apache-2.0
/*
 * ELF kernels that are entered the PVH way: a Xen note names a 32-bit entry point, at which the
 * kernel finds struct hvm_start_info (Xen: docs/misc/pvh.pandoc). The image is hostile: each number
 * in it is checked where it is used.
 */
#include <elf.h>
#include <string.h>
#include "vmm/arch/x86_64/load.h"

#define MAX_HEADERS 64
#define MAX_NOTES   KIB(16)

#define XEN_ELFNOTE_PHYS32_ENTRY 18

struct elf {
	const struct image *im;
	size_t n;
	Elf64_Phdr ph[MAX_HEADERS];
};

bool elf_is(const struct image *im)
{
	char magic[SELFMAG];

	return image_read(im, 0, magic, sizeof(magic), NULL) == 0 && !memcmp(magic, ELFMAG, SELFMAG);
}

static int refuse(struct err *e, const char *why)
{
	return err_set(e, ENOEXEC, "kernel: %s", why);
}

static int read_headers(struct elf *f, struct err *e)
{
	Elf64_Ehdr h;
	int rc = image_read(f->im, 0, &h, sizeof(h), e);

	if (rc < 0)
		return rc;
	if (h.e_ident[EI_CLASS] != ELFCLASS64 || h.e_ident[EI_DATA] != ELFDATA2LSB ||
	    h.e_machine != EM_X86_64)
		return refuse(e, "this ELF file is not for 64-bit x86");
	if (h.e_type != ET_EXEC && h.e_type != ET_DYN)
		return refuse(e, "this ELF file is not a program");
	if (h.e_phentsize != sizeof(Elf64_Phdr) || !h.e_phnum)
		return refuse(e, "this ELF file has no usable program headers");
	if (h.e_phnum > MAX_HEADERS)
		return err_set(e, ENOEXEC, "kernel: %u program headers, at most %d", h.e_phnum,
			       MAX_HEADERS);
	f->n = h.e_phnum;
	return image_read(f->im, h.e_phoff, f->ph, f->n * sizeof(f->ph[0]), e);
}

/* ---- the note ---- */

/* 1: found. Name and descriptor are each padded to four bytes. */
static int scan_notes(const uint8_t *p, size_t len, uint64_t *ret)
{
	size_t at = 0;

	while (range_within(at, sizeof(Elf64_Nhdr), len)) {
		Elf64_Nhdr h;
		uint64_t name = at + sizeof(h), desc, next;

		memcpy(&h, p + at, sizeof(h));
		desc = align_up64(name + h.n_namesz, 4); /* 32-bit sizes: no overflow */
		next = align_up64(desc + h.n_descsz, 4);
		if (!range_within(desc, h.n_descsz, len))
			return 0;
		if (h.n_type == XEN_ELFNOTE_PHYS32_ENTRY && h.n_namesz == 4 &&
		    !memcmp(p + name, "Xen", 4) && (h.n_descsz == 4 || h.n_descsz == 8)) {
			*ret = 0;
			memcpy(ret, p + desc, h.n_descsz);
			return 1;
		}
		at = next;
	}
	return 0;
}

static int find_entry(const struct elf *f, uint64_t *ret, struct err *e)
{
	uint8_t notes[MAX_NOTES];

	for (size_t i = 0; i < f->n; i++) {
		int rc;

		if (f->ph[i].p_type != PT_NOTE)
			continue;
		if (f->ph[i].p_filesz > sizeof(notes))
			return refuse(e, "its notes are too long");
		rc = image_read(f->im, f->ph[i].p_offset, notes, f->ph[i].p_filesz, e);
		if (rc < 0)
			return rc;
		if (scan_notes(notes, f->ph[i].p_filesz, ret))
			return 0;
	}
	return refuse(e, "no PVH entry point (build it with CONFIG_PVH, or use its bzImage)");
}

/* ---- the segments ---- */

static bool overlaps(const Elf64_Phdr *a, const Elf64_Phdr *b)
{
	return a->p_paddr < b->p_paddr + b->p_memsz && b->p_paddr < a->p_paddr + a->p_memsz;
}

static bool loadable(const Elf64_Phdr *p)
{
	return p->p_type == PT_LOAD && p->p_memsz;
}

static int check_segment(const struct elf *f, const struct gmem *m, size_t i, struct err *e)
{
	const Elf64_Phdr *p = &f->ph[i];

	if (p->p_filesz > p->p_memsz)
		return err_set(e, ENOEXEC, "kernel: segment %zu is longer in the file than in memory", i);
	if (!range_within(p->p_offset, p->p_filesz, f->im->size))
		return err_set(e, ENOEXEC, "kernel: segment %zu lies beyond the file's end", i);
	if (!image_room(m, p->p_paddr, p->p_memsz))
		return err_set(e, ENOEXEC,
			       "kernel: segment %zu (%#jx, %ju KiB) does not fit the machine's memory", i,
			       (uintmax_t)p->p_paddr, (uintmax_t)(p->p_memsz >> 10));
	for (size_t j = 0; j < i; j++)
		if (loadable(&f->ph[j]) && overlaps(p, &f->ph[j]))
			return err_set(e, ENOEXEC, "kernel: segments %zu and %zu overlap", j, i);
	return 0;
}

/* Everything is checked before the first byte is loaded. What a segment has beyond its file bytes is
 * zero already: nothing else was ever there. */
static int load_segments(const struct elf *f, const struct gmem *m, struct arch_boot *b,
			 struct err *e)
{
	bool has_entry = false;
	int rc;

	b->kernel_start = gpa(UINT64_MAX);
	b->kernel_end = gpa(0);
	for (size_t i = 0; i < f->n; i++) {
		const Elf64_Phdr *p = &f->ph[i];

		if (!loadable(p))
			continue;
		rc = check_segment(f, m, i, e);
		if (rc < 0)
			return rc;
		has_entry |= range_within(b->entry.v - p->p_paddr, 1, p->p_filesz);
		b->kernel_start.v = min_t(uint64_t, b->kernel_start.v, p->p_paddr);
		b->kernel_end.v = max_t(uint64_t, b->kernel_end.v, p->p_paddr + p->p_memsz);
	}
	if (!has_entry || b->entry.v > UINT32_MAX)
		return err_set(e, ENOEXEC, "kernel: its entry point %#jx lies in no segment",
			       (uintmax_t)b->entry.v);
	for (size_t i = 0; i < f->n; i++) {
		const Elf64_Phdr *p = &f->ph[i];

		if (!loadable(p) || !p->p_filesz)
			continue;
		rc = image_to_guest(f->im, m, p->p_offset, p->p_filesz, gpa(p->p_paddr), e);
		if (rc < 0)
			return rc;
	}
	return 0;
}

int elf_load(const struct image *im, const struct gmem *m, struct arch_boot *ret, struct err *e)
{
	struct elf f = { .im = im, .n = 0 };
	struct arch_boot b = { .kind = ARCH_BOOT_PVH };
	int rc;

	rc = read_headers(&f, e);
	if (rc == 0)
		rc = find_entry(&f, &b.entry.v, e);
	if (rc == 0)
		rc = load_segments(&f, m, &b, e);
	if (rc == 0)
		*ret = b;
	return rc;
}
