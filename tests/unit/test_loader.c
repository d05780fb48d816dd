// SPDX-License-Identifier: Apache-2.0
/*
 * Kernel loaders: a good image of each kind, and for each check one image that is a single step from
 * good. Every refusal is one line that names the file.
 */
#include "tests/unit/check.h"

#include <asm/bootparam.h>
#include <elf.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>
#include "vmm/arch/x86_64/layout.h"
#include "vmm/arch/x86_64/load.h"

#define RAM  MIB(32)
#define TEXT 0x1000000u

/* ---- an ELF image ---- */

struct note {
	Elf64_Nhdr h;
	char name[4];
	uint32_t entry[2];
};

struct elf_image {
	Elf64_Ehdr h;
	Elf64_Phdr ph[3]; /* text, data, notes */
	struct note gnu, xen;
	uint8_t pad[3000];
	uint8_t text[0x20000];
	uint8_t data[0x1000];
};

static void good_elf(struct elf_image *x)
{
	memset(x, 0, sizeof(*x));
	memcpy(x->h.e_ident, ELFMAG, SELFMAG);
	x->h.e_ident[EI_CLASS] = ELFCLASS64;
	x->h.e_ident[EI_DATA] = ELFDATA2LSB;
	x->h.e_type = ET_EXEC;
	x->h.e_machine = EM_X86_64;
	x->h.e_phoff = offsetof(struct elf_image, ph);
	x->h.e_phentsize = sizeof(Elf64_Phdr);
	x->h.e_phnum = 3;
	x->ph[0] = (Elf64_Phdr){ .p_type = PT_LOAD, .p_offset = offsetof(struct elf_image, text),
				 .p_paddr = TEXT, .p_filesz = sizeof(x->text),
				 .p_memsz = sizeof(x->text) };
	x->ph[1] = (Elf64_Phdr){ .p_type = PT_LOAD, .p_offset = offsetof(struct elf_image, data),
				 .p_paddr = TEXT + sizeof(x->text), .p_filesz = sizeof(x->data),
				 .p_memsz = 0x10000 };
	x->ph[2] = (Elf64_Phdr){ .p_type = PT_NOTE, .p_offset = offsetof(struct elf_image, gnu),
				 .p_filesz = 2 * sizeof(struct note) };
	x->gnu = (struct note){ .h = { 4, 8, 3 }, .name = "GNU", .entry = { TEXT, 0 } };
	x->xen = (struct note){ .h = { 4, 8, 18 }, .name = "Xen", .entry = { TEXT + 16, 0 } };
	memset(x->text, 0xaa, sizeof(x->text));
	memset(x->data, 0xbb, sizeof(x->data));
}

static struct gmem *ram(void)
{
	const struct gmem_region r = { .base = gpa(0), .size = RAM };
	struct gmem *m = NULL;

	assert_int_equal(gmem_new(&m, &r, 1, GMEM_ANON, NULL), 0);
	return m;
}

static int file_of(const void *p, size_t len)
{
	int fd = memfd_create("image", MFD_CLOEXEC);

	assert_true(fd >= 0);
	if (len)
		assert_int_equal(write(fd, p, len), len);
	return fd;
}

static int load(const void *image, size_t len, const void *initramfs, size_t initramfs_len,
		const char *cmdline, bool map, struct gmem *m, struct arch_boot *b, struct err *e)
{
	struct arch_payload p = {
		.kernel_fd = file_of(image, len),
		.initramfs_fd = initramfs ? file_of(initramfs, initramfs_len) : -1,
		.cmdline = cmdline,
		.map_files = map,
	};
	int rc = arch_load_payload(m, &p, b, e);

	close(p.kernel_fd);
	if (p.initramfs_fd >= 0)
		close(p.initramfs_fd);
	return rc;
}

static uint8_t byte(struct gmem *m, uint64_t at)
{
	uint8_t v = 0;

	assert_int_equal(gmem_read(m, gpa(at), &v, 1), 0);
	return v;
}

static void good_elf_loads(void **state)
{
	static struct elf_image x;
	static const uint8_t cpio[5000] = { 7 };

	(void)state;
	for (int map = 0; map < 2; map++) {
		struct gmem *m = ram();
		struct arch_boot b = { 0 };
		struct err e = ERR_INIT;

		good_elf(&x);
		if (load(&x, sizeof(x), cpio, sizeof(cpio), "quiet", map, m, &b, &e) < 0)
			fail_msg("%s", e.msg);
		assert_int_equal(b.kind, ARCH_BOOT_PVH);
		assert_int_equal(b.entry.v, TEXT + 16);
		assert_int_equal(b.kernel_start.v, TEXT);
		assert_int_equal(b.kernel_end.v, TEXT + 0x30000);
		assert_int_equal(byte(m, TEXT - 1), 0);
		assert_int_equal(byte(m, TEXT), 0xaa);
		assert_int_equal(byte(m, TEXT + 0x1ffff), 0xaa);
		assert_int_equal(byte(m, TEXT + 0x20000), 0xbb);
		assert_int_equal(byte(m, TEXT + 0x20fff), 0xbb);
		assert_int_equal(byte(m, TEXT + 0x21000), 0);
		assert_int_equal(b.initramfs.v, align_down64(RAM - sizeof(cpio), 4096));
		assert_int_equal(b.initramfs_len, sizeof(cpio));
		assert_int_equal(byte(m, b.initramfs.v), 7);
		assert_int_equal(byte(m, X86_CMDLINE), 'q');
		assert_int_equal(byte(m, X86_CMDLINE + 5), 0);
		gmem_free(m);
	}
}

/* One field of a good image overwritten. */
struct change {
	const char *why;
	size_t off, len;
	uint64_t v;
	bool ok;
};
#define H(f)     offsetof(struct elf_image, h.f), sizeof(((struct elf_image *)0)->h.f)
#define P(i, f)  offsetof(struct elf_image, ph) + (i) * sizeof(Elf64_Phdr) + offsetof(Elf64_Phdr, f), \
		 sizeof(((Elf64_Phdr *)0)->f)
#define N(f)     offsetof(struct elf_image, xen.f), sizeof(((struct elf_image *)0)->xen.f)

static void malformed_elf_is_refused(void **state)
{
	static const struct change tab[] = {
		{ "32-bit", offsetof(struct elf_image, h) + EI_CLASS, 1, ELFCLASS32, false },
		{ "big-endian", offsetof(struct elf_image, h) + EI_DATA, 1, ELFDATA2MSB, false },
		{ "another machine", H(e_machine), EM_AARCH64, false },
		{ "object file", H(e_type), ET_REL, false },
		{ "position independent is fine", H(e_type), ET_DYN, true },
		{ "program headers of another size", H(e_phentsize), 32, false },
		{ "no program headers", H(e_phnum), 0, false },
		{ "65,535 program headers", H(e_phnum), 0xffff, false },
		{ "65 program headers", H(e_phnum), 65, false },
		{ "program headers beyond the end", H(e_phoff), sizeof(struct elf_image) - 100, false },
		{ "program headers' offset wraps", H(e_phoff), UINT64_MAX - 8, false },
		{ "segment offset beyond the end", P(0, p_offset), sizeof(struct elf_image), false },
		{ "segment offset wraps", P(0, p_offset), UINT64_MAX, false },
		{ "more in the file than there is", P(1, p_filesz), 0x1001, false },
		{ "file part longer than memory part", P(1, p_memsz), 0xfff, false },
		{ "file size wraps", P(1, p_filesz), UINT64_MAX, false },
		{ "memory size wraps", P(1, p_memsz), UINT64_MAX, false },
		{ "beyond memory by a byte", P(1, p_memsz), RAM - TEXT - 0x20000 + 1, false },
		{ "just fits memory", P(1, p_memsz), RAM - TEXT - 0x20000, true },
		{ "address outside memory", P(1, p_paddr), RAM, false },
		{ "address wraps", P(1, p_paddr), UINT64_MAX - 0x800, false },
		{ "over our own data below 1 MiB", P(1, p_paddr), 0xff000, false },
		{ "at 1 MiB is fine", P(1, p_paddr), 0x100000, true },
		{ "overlaps the other by a byte", P(1, p_paddr), TEXT + 0x1ffff, false },
		{ "ends in the other", P(1, p_paddr), TEXT - 0xffff, false },
		{ "ends where the other begins", P(1, p_paddr), TEXT - 0x10000, true },
		{ "a segment without memory is skipped", P(1, p_type), PT_NULL, true },
		{ "no notes", P(2, p_type), PT_NULL, false },
		{ "notes beyond the end", P(2, p_offset), sizeof(struct elf_image) - 8, false },
		{ "notes too long", P(2, p_filesz), KIB(16) + 1, false },
		{ "notes cut in the descriptor", P(2, p_filesz), 2 * sizeof(struct note) - 1, false },
		{ "notes cut in the header", P(2, p_filesz), sizeof(struct note) + 11, false },
		{ "another note's type", N(h.n_type), 17, false },
		{ "another note's name", N(name), 0x006e6558 ^ 0x100, false },
		{ "name longer than the notes", N(h.n_namesz), UINT32_MAX, false },
		{ "descriptor longer than the notes", N(h.n_descsz), UINT32_MAX, false },
		{ "descriptor of odd size", N(h.n_descsz), 6, false },
		{ "descriptor of four bytes", N(h.n_descsz), 4, true },
		{ "entry outside every segment", N(entry), TEXT - 1, false },
		{ "entry in what the file does not hold", N(entry), TEXT + 0x21000, false },
		{ "entry above 4 GiB", N(entry), 0x101000010, false },
	};
	static struct elf_image x;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(tab); i++) {
		struct gmem *m = ram();
		struct arch_boot b = { 0 };
		struct err e = ERR_INIT;
		int rc;

		good_elf(&x);
		memcpy((uint8_t *)&x + tab[i].off, &tab[i].v, tab[i].len);
		rc = load(&x, sizeof(x), NULL, 0, "", true, m, &b, &e);
		if (tab[i].ok != (rc == 0))
			fail_msg("%s: %d %s", tab[i].why, rc, e.msg);
		check_row(tab[i].why, rc == 0 || (rc == -ENOEXEC && !strncmp(e.msg, "kernel: ", 8)));
		/* Refused before the first byte was put into memory. */
		check_row(tab[i].why, rc == 0 || byte(m, TEXT) == 0);
		gmem_free(m);
	}
}

static void files_that_are_no_images(void **state)
{
	static struct elf_image x;
	static uint8_t junk[8192];
	struct gmem *m = ram();
	struct arch_payload p = { .initramfs_fd = -1, .cmdline = "" };
	struct arch_boot b;
	struct err e = ERR_INIT;
	int fds[2];

	(void)state;
	assert_int_equal(load(junk, 0, NULL, 0, "", false, m, &b, &e), -ENOEXEC);
	assert_non_null(strstr(e.msg, "empty"));
	assert_int_equal(load(junk, 3, NULL, 0, "", false, m, &b, &e), -ENOEXEC);
	assert_int_equal(load(junk, sizeof(junk), NULL, 0, "", false, m, &b, &e), -ENOEXEC);
	assert_non_null(strstr(e.msg, "neither"));
	good_elf(&x);
	for (size_t len = 4; len < offsetof(struct elf_image, text); len += 97)
		assert_int_equal(load(&x, len, NULL, 0, "", false, m, &b, &e), -ENOEXEC);
	assert_int_equal(pipe(fds), 0);
	p.kernel_fd = fds[0];
	assert_int_equal(arch_load_payload(m, &p, &b, &e), -ENOEXEC);
	close(fds[0]);
	close(fds[1]);
	assert_int_equal(arch_load_payload(m, &p, &b, &e), -EBADF);
	gmem_free(m);
}

static void what_goes_with_a_kernel(void **state)
{
	static struct elf_image x;
	static char cmdline[ARCH_CMDLINE_MAX + 1];
	struct gmem *m = ram();
	uint8_t *big = calloc(1, RAM);
	struct arch_boot b;
	struct err e = ERR_INIT;

	(void)state;
	good_elf(&x);
	assert_int_equal(load(&x, sizeof(x), big, 0, "", false, m, &b, &e), -ENOEXEC);
	assert_non_null(strstr(e.msg, "initramfs: the file is empty"));
	assert_int_equal(load(&x, sizeof(x), big, RAM, "", false, m, &b, &e), -ENOSPC);
	assert_int_equal(load(&x, sizeof(x), big, RAM - TEXT - 0x30000 + 1, "", false, m, &b, &e), -ENOSPC);
	assert_int_equal(load(&x, sizeof(x), big, RAM - TEXT - 0x30000, "", false, m, &b, &e), 0);
	memset(cmdline, 'a', ARCH_CMDLINE_MAX);
	assert_int_equal(load(&x, sizeof(x), NULL, 0, cmdline, false, m, &b, &e), -E2BIG);
	cmdline[ARCH_CMDLINE_MAX - 1] = 0;
	assert_int_equal(load(&x, sizeof(x), NULL, 0, cmdline, false, m, &b, &e), 0);
	assert_int_equal(byte(m, X86_CMDLINE + ARCH_CMDLINE_MAX - 2), 'a');
	assert_int_equal(byte(m, X86_CMDLINE + ARCH_CMDLINE_MAX - 1), 0);
	gmem_free(m);
	free(big);
}

/* ---- a bzImage ---- */

#define SETUP_SECTS 4
#define BZ_LEN      (512 * (SETUP_SECTS + 1) + 100000)

static void good_bzimage(uint8_t *x)
{
	struct setup_header h = {
		.setup_sects = SETUP_SECTS,
		.boot_flag = 0xaa55,
		.jump = 0x66eb,
		.header = 0x53726448,
		.version = 0x020f,
		.loadflags = LOADED_HIGH,
		.code32_start = 0x100000,
		.initrd_addr_max = 0x7fffffff,
		.kernel_alignment = 0x200000,
		.relocatable_kernel = 1,
		.cmdline_size = 100,
		.pref_address = TEXT,
		.init_size = 0x200000,
	};

	memset(x, 0xcc, BZ_LEN);
	memcpy(x + 0x1f1, &h, sizeof(h));
}

static void good_bzimage_loads(void **state)
{
	static uint8_t x[BZ_LEN];
	struct gmem *m = ram();
	struct boot_params bp;
	struct arch_boot b;
	struct err e = ERR_INIT;

	(void)state;
	good_bzimage(x);
	x[512 * (SETUP_SECTS + 1)] = 0x77;
	if (load(x, sizeof(x), x, 5000, "quiet", false, m, &b, &e) < 0)
		fail_msg("%s", e.msg);
	assert_int_equal(b.kind, ARCH_BOOT_LINUX);
	assert_int_equal(b.entry.v, TEXT);
	assert_int_equal(b.kernel_end.v, TEXT + 0x200000);
	assert_int_equal(byte(m, TEXT), 0x77);
	assert_int_equal(byte(m, TEXT + 99999), 0xcc);
	assert_int_equal(byte(m, TEXT + 100000), 0);
	assert_int_equal(gmem_read(m, gpa(X86_ZERO_PAGE), &bp, sizeof(bp)), 0);
	assert_int_equal(bp.hdr.cmd_line_ptr, X86_CMDLINE);
	assert_int_equal(bp.hdr.type_of_loader, 0xff);
	assert_int_equal(bp.hdr.version, 0x020f);
	assert_int_equal(bp.hdr.init_size, 0x200000);
	gmem_free(m);
}

#define S(f) 0x1f1 + offsetof(struct setup_header, f), sizeof(((struct setup_header *)0)->f)

static void malformed_bzimage_is_refused(void **state)
{
	static const struct change tab[] = {
		{ "no boot flag", S(boot_flag), 0, false },
		{ "no header", S(header), 0, false },
		{ "old protocol", S(version), 0x0205, false },
		{ "oldest protocol", S(version), 0x0206, true },
		{ "wants low memory", S(loadflags), 0, false },
		{ "only setup code", S(setup_sects), 255, false },
		{ "no number means four", S(setup_sects), 0, true },
		{ "below 1 MiB", S(pref_address), 0xff000, false },
		{ "outside memory", S(pref_address), RAM, false },
		{ "address wraps", S(pref_address), UINT64_MAX - 4096, false },
		{ "above 4 GiB", S(pref_address), 1ull << 32, false },
		{ "needs more than there is", S(init_size), RAM - TEXT + 1, false },
		{ "needs all there is", S(init_size), RAM - TEXT, true },
		{ "needs less than it is long", S(init_size), 0, true },
		{ "all of init_size", S(init_size), UINT32_MAX, false },
		{ "takes no such command line", S(cmdline_size), 4, false },
		{ "takes just this command line", S(cmdline_size), 5, true },
		{ "header ends at once", S(jump), 0x00eb, true },
		{ "header ends late", S(jump), 0xffeb, true },
	};
	static uint8_t x[BZ_LEN];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(tab); i++) {
		struct gmem *m = ram();
		struct arch_boot b;
		struct err e = ERR_INIT;
		int rc;

		good_bzimage(x);
		memcpy(x + tab[i].off, &tab[i].v, tab[i].len);
		rc = load(x, sizeof(x), NULL, 0, "quiet", false, m, &b, &e);
		if (tab[i].ok != (rc == 0))
			fail_msg("%s: %d %s", tab[i].why, rc, e.msg);
		check_row(tab[i].why, rc == 0 || !strncmp(e.msg, "kernel: ", 8));
		gmem_free(m);
	}
}

static void initramfs_respects_the_image(void **state)
{
	static uint8_t x[BZ_LEN];
	struct gmem *m = ram();
	struct arch_boot b;
	struct err e = ERR_INIT;
	uint32_t max = TEXT + 0x300000 - 1;

	(void)state;
	good_bzimage(x);
	memcpy(x + 0x1f1 + offsetof(struct setup_header, initrd_addr_max), &max, 4);
	assert_int_equal(load(x, sizeof(x), x, 4096, "", false, m, &b, &e), 0);
	assert_int_equal(b.initramfs.v, max + 1 - 4096);
	max = 0;
	memcpy(x + 0x1f1 + offsetof(struct setup_header, initrd_addr_max), &max, 4);
	assert_int_equal(load(x, sizeof(x), x, 4096, "", false, m, &b, &e), -ENOSPC);
	gmem_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_elf_loads),
		cmocka_unit_test(malformed_elf_is_refused),
		cmocka_unit_test(files_that_are_no_images),
		cmocka_unit_test(what_goes_with_a_kernel),
		cmocka_unit_test(good_bzimage_loads),
		cmocka_unit_test(malformed_bzimage_is_refused),
		cmocka_unit_test(initramfs_respects_the_image),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
