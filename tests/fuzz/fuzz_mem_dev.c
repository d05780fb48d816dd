// SPDX-License-Identifier: Apache-2.0
/* Requests of any kind and size, and rings of any content, for a memory device. A model keeps count. */
#include <string.h>

#include "tests/lib/fakedrv.h"
#include "tests/lib/fuzzbytes.h"
#include "vmm/virtio/mem.h"

#define BLOCKS 40u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void request(struct fakedrv *f, struct fuzzbytes *in)
{
	const gpa_t out = gpa(KIB(512)), answer = gpa(KIB(516));
	uint8_t *req = fdv_ptr(f, out, 64);
	uint8_t how = fb_u8(in);
	uint64_t addr = FDV_LATER + (uint64_t)fb_u8(in) * MEM_BLOCK;
	struct fdv_seg seg[3] = { { out, 24, false }, { answer, 10, true }, { gpa(KIB(518)), 16, true } };

	addr -= how & 0x40 ? 5 * MEM_BLOCK : 0;
	addr += how & 0x80 ? fb_u16(in) : 0;
	memset(req, 0, 64);
	req[0] = how & 7;
	memcpy(req + 8, &addr, sizeof(addr));
	req[16] = fb_u8(in);
	req[17] = how & 8 ? fb_u8(in) : 0;
	if (how & 16)
		seg[fb_u8(in) % 3].len = 1u + fb_u8(in);
	(void)!fdv_add(f, 0, seg, how & 32 ? 1 + fb_u8(in) % 3 : 2);
	fdv_kick(f, 0);
}

static void poke(struct fakedrv *f, struct fuzzbytes *in)
{
	fdv_poke_desc(f, 0, fb_u8(in) % f->q[0].size, fb_u32(in), fb_u32(in), fb_u8(in) & 7, fb_u8(in));
	fdv_poke_avail(f, 0, fb_u8(in), fb_u16(in));
	fdv_publish(f, 0, (uint16_t)(f->q[0].avail_idx + fb_u8(in) % 4));
	fdv_kick(f, 0);
}

/* What the configuration says is never more than may be, and what is saved says the same. */
static void check(struct fakedrv *f, const struct mem_cfg *cfg)
{
	uint64_t plugged;

	vdev_config_read(f->d, 40, &plugged, sizeof(plugged));
	bug_on(plugged != mem_plugged(f->d) || plugged > cfg->requested || plugged % MEM_BLOCK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzzbytes in = { data, size };
	const struct fdv_opts o = { .ram_low = MIB(1), .no_decoy = true, .queue_size = 16, .later = BLOCKS * MEM_BLOCK };
	struct mem_cfg cfg = { .base = { FDV_LATER }, .size = BLOCKS * MEM_BLOCK };
	static struct fakedrv f;
	uint16_t head;
	uint32_t len;

	fdv_init(&f, &o);
	cfg.requested = fb_u8(&in) % (BLOCKS + 1) * MEM_BLOCK;
	bug_on(fdv_create(&f, &mem_class, &cfg, NULL) < 0);
	fdv_start(&f, ~0ull);
	for (unsigned n = 0; in.len && n < 200; n++) {
		uint8_t what = fb_u8(&in);

		if (what & 7)
			request(&f, &in);
		else
			poke(&f, &in);
		check(&f, &cfg);
		while (fdv_used(&f, 0, &head, &len))
			bug_on(len > 10);
		if ((what & 0xf0) == 0xf0 || fdv_needs_reset(&f)) {
			fdv_reset(&f);
			fdv_start(&f, ~0ull);
		}
	}
	fdv_done(&f);
	return 0;
}
