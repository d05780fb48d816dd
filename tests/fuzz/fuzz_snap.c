// SPDX-License-Identifier: Apache-2.0
/* State files and sections. The first byte says which; checksums can be mended, to get behind them. */
#include <stdlib.h>

#include "tests/fuzz/bytes.h"
#include "tests/lib/echodev.h"
#include "tests/lib/fakedrv_pci.h"
#include "vmm/snapshot/crc32c.h"

static void read_fields(const uint8_t *data, size_t len)
{
	struct snap_r r;
	uint64_t v64;
	uint32_t v32;

	if (snap_r_init(&r, data, len, NULL) < 0)
		return;
	for (unsigned tag = 0; tag < 64; tag++) {
		const void *p;
		size_t n;

		snap_r_u64(&r, (uint16_t)tag, &v64);
		snap_r_u32(&r, (uint16_t)tag, &v32);
		if (snap_r_bytes(&r, (uint16_t)tag, &p, &n, len) == 0)
			bug_on((const uint8_t *)p < data || (const uint8_t *)p + n > data + len);
	}
}

static int section(void *arg, const struct snap_section *s, struct err *e)
{
	(void)arg;
	(void)e;
	read_fields(s->data, s->len);
	return 0;
}

/* Offsets as snap_file.c lays them out: 32 bytes of header, 48 of each section's. */
static void mend(uint8_t *f, size_t len)
{
	uint32_t c, n = 0;
	size_t off = 32;

	if (len < 32)
		return;
	while (off + 48 <= len) {
		uint64_t body;

		memcpy(&body, f + off + 40, 8);
		body %= len - off - 48 + 1;
		memcpy(f + off + 40, &body, 8);
		memset(f + off + 36, 0, 4);
		c = crc32c(0, f + off, 48 + (size_t)body);
		memcpy(f + off + 36, &c, 4);
		off += 48 + (size_t)((body + 7) & ~7ull);
		n++;
	}
	memcpy(f, "HUSKSNAP", 8);
	memcpy(f + 8, &(uint32_t){ 1 }, 4);
	memcpy(f + 16, &(uint64_t){ len }, 8);
	memcpy(f + 24, &n, 4);
	memset(f + 12, 0, 4);
	c = crc32c(0, f, 32);
	memcpy(f + 12, &c, 4);
}

/* A device's section, and the segment's. */
static void load_machine(const uint8_t *data, size_t len, bool device)
{
	const struct fdv_opts opts = { .ram_low = KIB(256), .no_decoy = true };
	static struct fdv_pci p;
	struct snap_r r;

	fdv_pci_init(&p, &opts);
	bug_on(fdv_create(&p.f, &echo_class, NULL, NULL) < 0);
	if (snap_r_init(&r, data, len, NULL) == 0) {
		if (device && fdv_load(&p.f, &r, NULL) == 0) {
			fdv_resume(&p.f);
			evloop_turn(p.f.loop, 0);
		}
		if (!device)
			pci_seg_load(p.seg, &r, NULL);
	}
	fdv_pci_done(&p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy;

	if (size < 1)
		return 0;
	copy = malloc(size);
	bug_on(!copy);
	memcpy(copy, data + 1, --size);
	switch (data[0] % 5) {
	case 0:
		snap_file_read(copy, size, section, NULL, NULL);
		break;
	case 1:
		mend(copy, size);
		snap_file_read(copy, size, section, NULL, NULL);
		break;
	case 2:
		read_fields(copy, size);
		break;
	case 3:
		load_machine(copy, size, true);
		break;
	case 4:
		load_machine(copy, size, false);
		break;
	}
	free(copy);
	return 0;
}
