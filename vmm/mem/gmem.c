// SPDX-License-Identifier: Apache-2.0
#include <endian.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "lib/cleanup.h"
#include "vmm/mem/gmem.h"

/* Regions start at this alignment plus their guest address modulo it, so that the hypervisor can use
 * huge pages wherever the host does. As much before the first, between regions and after the last stays
 * unmapped: a stray access faults. */
#define WINDOW_ALIGN MIB(2)

struct mapped {
	struct gmem_region r;
	uint8_t *host;
	uint64_t fd_off;
	uint64_t *dirty; /* accessed by atomics; one bit a GMEM_DIRTY_PAGE; NULL when not tracking */
};

struct gmem {
	enum gmem_backing backing;
	int fd;
	void *window;
	uint64_t window_len;
	uint64_t total, later; /* bytes */
	size_t n;
	struct mapped at[GMEM_MAX_REGIONS];
};

static int check_regions(const struct gmem_region *r, size_t n, struct err *e)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t end = 0;

	if (!n || n > GMEM_MAX_REGIONS)
		return err_set(e, EINVAL, "%zu memory regions, not 1 to %d", n, GMEM_MAX_REGIONS);
	for (size_t i = 0; i < n; i++) {
		uint64_t base = r[i].base.v, size = r[i].size, this_end;

		if (!size || size % page || base % page)
			return err_set(e, EINVAL, "memory region at %#jx of %#jx bytes is not whole pages",
				       (uintmax_t)base, (uintmax_t)size);
		if (__builtin_add_overflow(base, size, &this_end))
			return err_set(e, EINVAL, "memory region at %#jx wraps", (uintmax_t)base);
		if (i && base < end)
			return err_set(e, EINVAL, "memory region at %#jx overlaps the one before",
				       (uintmax_t)base);
		end = this_end;
	}
	return 0;
}

/* Fills in each region's offset in the window as a fake pointer from zero; returns the window's length,
 * or 0 when the sum passes what can be mapped. */
static uint64_t lay_out(struct gmem *m, const struct gmem_region *r, size_t n)
{
	uint64_t off = WINDOW_ALIGN;

	for (size_t i = 0; i < n; i++) {
		uint64_t start = off + (r[i].base.v & (WINDOW_ALIGN - 1));

		if (r[i].size > (uint64_t)INT64_MAX / 2 || m->total > (uint64_t)INT64_MAX / 2)
			return 0;
		m->at[i] = (struct mapped){ .r = r[i], .host = NULL, .fd_off = m->total };
		m->total += r[i].size;
		m->later += r[i].later ? r[i].size : 0;
		off = align_up64(start + r[i].size, WINDOW_ALIGN) + WINDOW_ALIGN;
		if (off > (uint64_t)INT64_MAX / 2)
			return 0;
	}
	m->n = n;
	return off + WINDOW_ALIGN; /* to align the whole */
}

static int map_regions(struct gmem *m, struct err *e)
{
	uint64_t at = align_up64((uintptr_t)m->window, WINDOW_ALIGN) + WINDOW_ALIGN;

	for (size_t i = 0; i < m->n; i++) {
		struct mapped *p = &m->at[i];
		int flags = m->backing == GMEM_MEMFD ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS;
		uint64_t start = at + (p->r.base.v & (WINDOW_ALIGN - 1));
		void *host;

		host = mmap((void *)(uintptr_t)start, p->r.size, PROT_READ | PROT_WRITE,
			    flags | MAP_FIXED | MAP_NORESERVE, m->fd,
			    m->fd >= 0 ? (off_t)p->fd_off : 0);
		if (host == MAP_FAILED)
			return err_errno(e, errno, "cannot map %ju MiB of guest memory",
					 (uintmax_t)(p->r.size >> 20));
		p->host = host;
		at = align_up64(start + p->r.size, WINDOW_ALIGN) + WINDOW_ALIGN;
	}
	return 0;
}

static int open_memfd(struct gmem *m, struct err *e)
{
	m->fd = memfd_create("guest-memory", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (m->fd < 0)
		return err_errno(e, errno, "cannot make a file for guest memory");
	if (ftruncate(m->fd, (off_t)m->total) < 0)
		return err_errno(e, errno, "cannot size the file of guest memory");
	/* Who it is passed to cannot make our accesses fault. */
	if (fcntl(m->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		return err_errno(e, errno, "cannot seal the file of guest memory");
	return 0;
}

int gmem_new(struct gmem **ret, const struct gmem_region *regions, size_t n,
	     enum gmem_backing backing, struct err *e)
{
	struct gmem *m;
	int rc;

	rc = check_regions(regions, n, e);
	if (rc < 0)
		return rc;
	m = calloc(1, sizeof(*m));
	if (!m)
		return err_set(e, ENOMEM, "out of memory");
	m->backing = backing;
	m->fd = -1;
	m->window = MAP_FAILED;
	m->window_len = lay_out(m, regions, n);
	if (!m->window_len) {
		rc = err_set(e, ENOMEM, "guest memory is larger than the address space");
		goto fail;
	}
	if (backing == GMEM_MEMFD) {
		rc = open_memfd(m, e);
		if (rc < 0)
			goto fail;
	}
	m->window = mmap(NULL, m->window_len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
			 -1, 0);
	if (m->window == MAP_FAILED) {
		rc = err_errno(e, errno, "no address space for %ju MiB of guest memory",
			       (uintmax_t)(m->total >> 20));
		goto fail;
	}
	rc = map_regions(m, e);
	if (rc < 0)
		goto fail;
	*ret = m;
	return 0;
fail:
	gmem_free(m);
	return rc;
}

void gmem_free(struct gmem *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->n; i++)
		free(m->at[i].dirty);
	if (m->window != MAP_FAILED)
		munmap(m->window, m->window_len);
	cleanup_closep(&m->fd);
	free(m);
}

size_t gmem_nregions(const struct gmem *m)
{
	return m->n;
}

void gmem_region_at(const struct gmem *m, size_t i, struct gmem_region *ret, void **ret_host,
		    int *ret_fd, uint64_t *ret_fd_off)
{
	bug_on(i >= m->n);
	*ret = m->at[i].r;
	*ret_host = m->at[i].host;
	*ret_fd = m->fd;
	*ret_fd_off = m->at[i].fd_off;
}

uint64_t gmem_total(const struct gmem *m)
{
	return m->total - m->later;
}

int gmem_advise(struct gmem *m, unsigned advice, struct err *e)
{
	static const struct {
		unsigned bit;
		int advice;
		const char *name;
	} tab[] = {
		{ GMEM_HUGE, MADV_HUGEPAGE, "huge pages" },
		{ GMEM_NO_HUGE, MADV_NOHUGEPAGE, "small pages" },
		{ GMEM_MERGEABLE, MADV_MERGEABLE, "merging of equal pages" },
	};

	for (size_t t = 0; t < ARRAY_SIZE(tab); t++) {
		for (size_t i = 0; i < m->n && (advice & tab[t].bit); i++)
			if (madvise(m->at[i].host, m->at[i].r.size, tab[t].advice) < 0)
				return err_set(e, ENOTSUP, "this kernel has no %s for guest memory",
					       tab[t].name);
	}
	return 0;
}

static const struct mapped *find(const struct gmem *m, gpa_t at, uint64_t len)
{
	for (size_t i = 0; len && i < m->n; i++) {
		const struct mapped *p = &m->at[i];

		/* A wrapped difference is larger than any region. */
		if (range_within(at.v - p->r.base.v, len, p->r.size))
			return p;
	}
	return NULL;
}

int gmem_map_file(const struct gmem *m, gpa_t at, uint64_t len, int fd, uint64_t off, struct err *e)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t whole = len > UINT64_MAX - page ? 0 : align_up64(len, page);
	const struct mapped *p = find(m, at, whole);
	uint8_t *host;

	if (m->backing != GMEM_ANON)
		return err_set(e, EINVAL, "shared guest memory cannot hold a file's pages");
	if (!p || at.v % page || off % page || off > (uint64_t)INT64_MAX - whole)
		return err_set(e, EINVAL, "a file's pages do not fit guest address %#jx",
			       (uintmax_t)at.v);
	host = p->host + (at.v - p->r.base.v);
	if (mmap(host, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, fd,
		 (off_t)off) == MAP_FAILED)
		return err_errno(e, errno, "cannot map a file into guest memory");
	/* What of the file lies behind @len in the last page is not part of it. */
	if (len != whole)
		memset(host + len, 0, whole - len);
	gmem_mark_dirty(m, at, whole);
	return 0;
}

void *gmem_ptr(const struct gmem *m, gpa_t at, uint64_t len)
{
	const struct mapped *p = find(m, at, len);

	return p ? p->host + (at.v - p->r.base.v) : NULL;
}

int gmem_read(const struct gmem *m, gpa_t at, void *dst, size_t len)
{
	const void *src = gmem_ptr(m, at, len);

	if (!src)
		return -EFAULT;
	memcpy(dst, src, len);
	return 0;
}

int gmem_write(const struct gmem *m, gpa_t at, const void *src, size_t len)
{
	void *dst = gmem_ptr(m, at, len);

	if (!dst)
		return -EFAULT;
	memcpy(dst, src, len);
	gmem_mark_dirty(m, at, len);
	return 0;
}

int gmem_load16(const struct gmem *m, gpa_t at, uint16_t *ret)
{
	const uint16_t *p = gmem_ptr(m, at, sizeof(*p));

	if (!p || at.v % sizeof(*p))
		return -EFAULT;
	*ret = le16toh(__atomic_load_n(p, __ATOMIC_RELAXED));
	return 0;
}

int gmem_store16(const struct gmem *m, gpa_t at, uint16_t v)
{
	uint16_t *p = gmem_ptr(m, at, sizeof(*p));

	if (!p || at.v % sizeof(*p))
		return -EFAULT;
	__atomic_store_n(p, htole16(v), __ATOMIC_RELAXED);
	gmem_mark_dirty(m, at, sizeof(*p));
	return 0;
}

void gmem_mark_dirty(const struct gmem *m, gpa_t at, uint64_t len)
{
	const struct mapped *p = find(m, at, len);
	uint64_t first, last;

	if (!p || !p->dirty)
		return;
	first = (at.v - p->r.base.v) / GMEM_DIRTY_PAGE;
	last = (at.v - p->r.base.v + len - 1) / GMEM_DIRTY_PAGE;
	for (uint64_t i = first; i <= last; i++)
		__atomic_fetch_or(&p->dirty[i / 64], 1ull << (i % 64), __ATOMIC_RELEASE);
}

static size_t dirty_words(const struct mapped *p)
{
	return (size_t)((p->r.size / GMEM_DIRTY_PAGE + 63) / 64);
}

int gmem_discard(const struct gmem *m, gpa_t at, uint64_t len)
{
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	const struct mapped *p = find(m, at, len);
	uint64_t from, to;
	int rc;

	if (!p)
		return -EFAULT;
	/* Regions begin at whole pages, in the guest and here. */
	from = align_up64(at.v - p->r.base.v, page);
	to = align_down64(at.v - p->r.base.v + len, page);
	if (from >= to)
		return 0;
	if (m->fd >= 0)
		rc = fallocate(m->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)(p->fd_off + from),
			       (off_t)(to - from));
	else
		rc = madvise(p->host + from, to - from, MADV_DONTNEED);
	if (rc == 0) /* else the host does not want it back */
		gmem_mark_dirty(m, gpa(p->r.base.v + from), to - from);
	return 0;
}

int gmem_dirty_track(struct gmem *m, bool on, struct err *e)
{
	for (size_t i = 0; i < m->n; i++) {
		struct mapped *p = &m->at[i];

		free(p->dirty);
		p->dirty = NULL;
		if (!on)
			continue;
		p->dirty = calloc(dirty_words(p), sizeof(*p->dirty));
		if (!p->dirty) {
			gmem_dirty_track(m, false, NULL);
			return err_set(e, ENOMEM, "out of memory");
		}
	}
	return 0;
}

int gmem_dirty_take(const struct gmem *m, size_t i, uint64_t *bitmap, size_t words)
{
	const struct mapped *p;

	bug_on(i >= m->n);
	p = &m->at[i];
	if (!p->dirty || words < dirty_words(p))
		return -EINVAL;
	for (size_t w = 0; w < dirty_words(p); w++)
		bitmap[w] |= __atomic_exchange_n(&p->dirty[w], 0, __ATOMIC_ACQUIRE);
	return 0;
}
