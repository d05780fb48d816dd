// SPDX-License-Identifier: Apache-2.0
/* Files on their way into guest memory. */
#include <sys/stat.h>
#include <unistd.h>
#include "lib/io.h"
#include "vmm/arch/x86_64/layout.h"
#include "vmm/arch/x86_64/load.h"

/* Less than this is not worth a mapping of its own. */
#define MAP_MIN KIB(64)

int image_open(struct image *ret, int fd, const char *what, bool map, struct err *e)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_errno(e, errno, "%s", what);
	if (!S_ISREG(st.st_mode))
		return err_set(e, ENOEXEC, "%s: not a regular file", what);
	if (!st.st_size)
		return err_set(e, ENOEXEC, "%s: the file is empty", what);
	*ret = (struct image){ .fd = fd, .size = (uint64_t)st.st_size, .what = what, .map = map };
	return 0;
}

static int read_file(const struct image *im, uint64_t off, void *dst, size_t len, struct err *e)
{
	int rc = io_pread_full(im->fd, dst, len, off);

	if (rc == -EPIPE)
		return err_set(e, ENOEXEC, "%s: the file became shorter", im->what);
	return rc < 0 ? err_errno(e, -rc, "%s: cannot be read", im->what) : 0;
}

int image_read(const struct image *im, uint64_t off, void *dst, size_t len, struct err *e)
{
	if (!range_within(off, len, im->size))
		return err_set(e, ENOEXEC, "%s: %zu bytes at %#jx are beyond its end", im->what, len,
			       (uintmax_t)off);
	return read_file(im, off, dst, len, e);
}

bool image_room(const struct gmem *m, uint64_t at, uint64_t len)
{
	return at >= X86_HIGH_RAM && gmem_ptr(m, gpa(at), len);
}

static int copy(const struct image *im, const struct gmem *m, uint64_t off, uint64_t len, gpa_t at,
		struct err *e)
{
	int rc;

	if (!len)
		return 0;
	rc = read_file(im, off, gmem_ptr(m, at, len), len, e);
	if (rc == 0)
		gmem_mark_dirty(m, at, len);
	return rc;
}

int image_to_guest(const struct image *im, const struct gmem *m, uint64_t off, uint64_t len, gpa_t at,
		   struct err *e)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), head, body;

	if (!range_within(off, len, im->size))
		return err_set(e, ENOEXEC, "%s: %ju bytes at %#jx are beyond its end", im->what,
			       (uintmax_t)len, (uintmax_t)off);
	bug_on(!image_room(m, at.v, len));
	head = -at.v & (page - 1);
	if (!im->map || (at.v - off) % page || len < MAP_MIN)
		return copy(im, m, off, len, at, e);
	/* Whole pages are mapped; what shares a page with others is copied. */
	body = align_down64(len - head, page);
	if (gmem_map_file(m, gpa(at.v + head), body, im->fd, off + head, NULL) < 0)
		return copy(im, m, off, len, at, e);
	if (copy(im, m, off, head, at, e) < 0)
		return -ENOEXEC;
	return copy(im, m, off + head + body, len - head - body, gpa(at.v + head + body), e);
}
