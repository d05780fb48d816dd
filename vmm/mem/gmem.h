/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest memory. gpa_t is a type of its own; this module alone turns one into a pointer, always with
 * a length. One address window is reserved for all memory the machine can ever have and is never
 * unmapped while it lives, so a pointer stays valid for as long as the gmem does.
 *
 * Any thread may read and write; the guest does so at the same time. What is read twice may differ:
 * copy once, then check, then use.
 */
#ifndef VMM_MEM_GMEM_H
#define VMM_MEM_GMEM_H

#include <sys/uio.h>
#include "lib/err.h"

typedef struct {
	uint64_t v;
} gpa_t;

static inline gpa_t gpa(uint64_t v)
{
	return (gpa_t){ v };
}

/* False when the sum passes 2^64. */
static inline bool gpa_add(gpa_t a, uint64_t off, gpa_t *ret)
{
	return !__builtin_add_overflow(a.v, off, &ret->v);
}

struct gmem;

struct gmem_region {
	gpa_t base;
	uint64_t size; /* both multiples of the page size of the backing */
	/* Not in the memory map that the guest boots with: a memory device hands it out (vmm/virtio/mem.h). Memory like
	 * any other here: what a device is told to put where nothing is plugged is the guest's own loss. */
	bool later;
};

enum gmem_backing {
	GMEM_ANON,  /* private anonymous: the default */
	GMEM_MEMFD, /* shared, for memory that something outside the process must see */
};

#define GMEM_MAX_REGIONS 32

/* @regions ascending, not overlapping. Memory is not touched: an untouched page costs nothing.
 * Errors: -EINVAL bad regions, -ENOMEM no address space. */
int gmem_new(struct gmem **ret, const struct gmem_region *regions, size_t n,
	     enum gmem_backing backing, struct err *e);
void gmem_free(struct gmem *m);

size_t gmem_nregions(const struct gmem *m);
/* The i-th region and where it is mapped, for memory slots; nobody else needs the pointer. */
void gmem_region_at(const struct gmem *m, size_t i, struct gmem_region *ret, void **ret_host,
		    int *ret_fd, uint64_t *ret_fd_off);
uint64_t gmem_total(const struct gmem *m); /* what the guest boots with */

/* Policy for all memory: transparent huge pages, merging of equal pages (KSM). The kernel's own setting
 * holds where nothing is said. -ENOTSUP for what this kernel lacks. */
enum gmem_advice { GMEM_HUGE = 1u << 0, GMEM_NO_HUGE = 1u << 1, GMEM_MERGEABLE = 1u << 2 };
int gmem_advise(struct gmem *m, unsigned advice, struct err *e);

/* Puts @len bytes of @fd at @off over [at, at+len) as a copy-on-write mapping; all three multiples of
 * the page size but @len at the file's end, where the last page's rest is zero. Before the guest runs.
 * The file must not be truncated while the gmem lives. -EINVAL: does not align, or backing is shared. */
int gmem_map_file(const struct gmem *m, gpa_t at, uint64_t len, int fd, uint64_t off, struct err *e);

/* NULL unless all of [gpa, gpa+len) is RAM of one region and len > 0. */
void *gmem_ptr(const struct gmem *m, gpa_t at, uint64_t len);
/* 0 or -EFAULT; a range may not cross a region's end. */
int gmem_read(const struct gmem *m, gpa_t at, void *dst, size_t len);
int gmem_write(const struct gmem *m, gpa_t at, const void *src, size_t len); /* marks dirty */
/* Little-endian single loads and stores, one access each, for ring fields. */
int gmem_load16(const struct gmem *m, gpa_t at, uint16_t *ret);
int gmem_store16(const struct gmem *m, gpa_t at, uint16_t v);
/* What was written by other means than gmem_write (a readv into gmem_ptr) is told here. */
void gmem_mark_dirty(const struct gmem *m, gpa_t at, uint64_t len);

/* Gives the host back what of [at, at+len) are whole pages; they read as zeros from then on, or as their file's bytes where
 * one is mapped. The rest stays. 0, or -EFAULT: not all of it is RAM of one region. */
int gmem_discard(const struct gmem *m, gpa_t at, uint64_t len);

/* Tracking of what this process writes (the hypervisor's dirty log knows the guest's own writes). On
 * and off only while nothing writes; turning it on clears. */
#define GMEM_DIRTY_PAGE 4096u
int gmem_dirty_track(struct gmem *m, bool on, struct err *e);
/* Takes the bitmap of region @i, one bit a GMEM_DIRTY_PAGE, OR-ing it into @bitmap, which holds at
 * least one bit a page of the region. Any thread. -EINVAL: not tracking, or too few words. */
int gmem_dirty_take(const struct gmem *m, size_t i, uint64_t *bitmap, size_t words);

#endif
