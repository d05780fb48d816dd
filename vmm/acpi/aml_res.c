// SPDX-License-Identifier: Apache-2.0
/* Resource templates (ACPI 6.5, section 6.4). */
#include "vmm/acpi/aml_internal.h"

#define RES_FIXED 0x0cu /* minimum and maximum fixed, positive decode, produced */

void aml_resources(struct aml *a)
{
	aml_put8(a, AML_OP_BUFFER);
	aml_open(a);
	aml_open(a); /* the buffer's own size goes here: aml_resources_end() */
}

void aml_resources_end(struct aml *a)
{
	uint8_t size[3] = { AML_PREFIX_WORD };
	size_t at, n;

	aml_put16(a, 0x0079); /* end tag, no checksum */
	bug_on(a->depth < 2);
	at = a->open[--a->depth];
	n = a->b->len - at;
	bug_on(n > UINT16_MAX);
	size[1] = (uint8_t)n;
	size[2] = (uint8_t)(n >> 8);
	if (!a->failed)
		aml_insert(a, at, size, sizeof(size));
	aml_end(a);
}

void aml_res_memory32_fixed(struct aml *a, bool writable, uint32_t base, uint32_t len)
{
	aml_put8(a, 0x86);
	aml_put16(a, 9);
	aml_put8(a, writable);
	aml_put32(a, base);
	aml_put32(a, len);
}

void aml_res_io(struct aml *a, uint16_t base, uint8_t len)
{
	aml_put8(a, 0x47);
	aml_put8(a, 1); /* 16-bit decode */
	aml_put16(a, base);
	aml_put16(a, base);
	aml_put8(a, 1);
	aml_put8(a, len);
}

static void word_window(struct aml *a, uint8_t type, uint8_t flags, unsigned first, unsigned last)
{
	aml_put8(a, 0x88);
	aml_put16(a, 0x0d);
	aml_put8(a, type);
	aml_put8(a, RES_FIXED);
	aml_put8(a, flags);
	aml_put16(a, 0);
	aml_put16(a, first);
	aml_put16(a, last);
	aml_put16(a, 0);
	aml_put16(a, last - first + 1);
}

void aml_res_bus_numbers(struct aml *a, uint16_t first, uint16_t last)
{
	word_window(a, 2, 0, first, last);
}

void aml_res_io_window(struct aml *a, uint16_t base, uint16_t len)
{
	bug_on(!len);
	word_window(a, 1, 3, base, base + len - 1u);
}

void aml_res_memory_window(struct aml *a, bool prefetch, uint64_t base, uint64_t len)
{
	bool wide = base + len - 1 > UINT32_MAX;

	bug_on(!len);
	aml_put8(a, wide ? 0x8a : 0x87);
	aml_put16(a, wide ? 0x2b : 0x17);
	aml_put8(a, 0);
	aml_put8(a, RES_FIXED);
	aml_put8(a, 1u | (prefetch ? 3u << 1 : 0));
	if (wide) {
		aml_put64(a, 0);
		aml_put64(a, base);
		aml_put64(a, base + len - 1);
		aml_put64(a, 0);
		aml_put64(a, len);
	} else {
		aml_put32(a, 0);
		aml_put32(a, (uint32_t)base);
		aml_put32(a, (uint32_t)(base + len - 1));
		aml_put32(a, 0);
		aml_put32(a, (uint32_t)len);
	}
}

void aml_res_interrupt(struct aml *a, bool edge, uint32_t gsi)
{
	aml_put8(a, 0x89);
	aml_put16(a, 6);
	aml_put8(a, 1u | (edge ? 2u : 0)); /* consumer; active high, exclusive */
	aml_put8(a, 1);
	aml_put32(a, gsi);
}
