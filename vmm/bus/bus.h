/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dispatch of port and memory-mapped accesses. The table is replaced copy-on-write and read without
 * a lock, so that BARs can move while vCPUs run; bus_remove() returns only when no vCPU is inside
 * the removed device any more.
 *
 * An access that no device claims, or that crosses the end of one, reads as all ones and writes
 * nothing; this is decided here once, devices never see it.
 */
#ifndef VMM_BUS_BUS_H
#define VMM_BUS_BUS_H

#include "lib/err.h"

struct bus;

/* Called on vCPU threads, several at a time: the device locks. @off is within the device's range, and
 * @off + @size too. @size is 1, 2, 4 or 8. */
struct bus_ops {
	const char *name;
	/* The device stays for as long as accesses can come, and may itself change the bus from within
	 * one (configuration space, that moves BARs). All others must not: they would wait for
	 * themselves. */
	bool pinned;
	uint64_t (*read)(void *dev, uint64_t off, unsigned size);
	void (*write)(void *dev, uint64_t off, unsigned size, uint64_t value);
};

int bus_new(struct bus **ret, struct err *e);
void bus_free(struct bus *b);
/* -EEXIST (text names both) when the range overlaps another, -EINVAL when empty or wrapping. */
/* These three wait for accesses that are under way, so they are not for devices inside an access. */
int bus_add(struct bus *b, uint64_t base, uint64_t len, const struct bus_ops *ops, void *dev,
	    struct err *e);
void bus_remove(struct bus *b, uint64_t base);
/* One transaction that moves a range; on failure the old range stays. */
int bus_move(struct bus *b, uint64_t from, uint64_t to, struct err *e);

/* @data holds @size bytes, little-endian; any size 1 … 8 (3, 5, 6, 7 are split). */
void bus_read(struct bus *b, uint64_t addr, void *data, unsigned size);
void bus_write(struct bus *b, uint64_t addr, const void *data, unsigned size);

/* A level or edge interrupt line to a device's user. Any thread. */
struct irq_line {
	void (*set)(struct irq_line *l, bool level);
};
static inline void irq_line_set(struct irq_line *l, bool level)
{
	if (l)
		l->set(l, level);
}

#endif
