// SPDX-License-Identifier: Apache-2.0
/* Lists of pages, reports and statistics of any shape, and rings of any content, for a balloon. */
#include "tests/lib/fakedrv.h"
#include "tests/lib/fuzzbytes.h"
#include "vmm/virtio/balloon.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void request(struct fakedrv *f, struct fuzzbytes *in)
{
	unsigned q = fb_u8(in) % 5, n = 1 + fb_u8(in) % 4;
	uint8_t *list = fdv_ptr(f, gpa(KIB(512)), 256);
	struct fdv_seg seg[4];

	/* Page numbers near each other, or tags of statistics. */
	for (unsigned i = 0; i < 16; i++) {
		list[i * 4] = fb_u8(in);
		list[i * 4 + 3] = fb_u8(in) & 0x80;
	}
	for (unsigned i = 0; i < n; i++) {
		uint8_t how = fb_u8(in);

		seg[i] = (struct fdv_seg){ how & 1 ? gpa(KIB(512)) : gpa(KIB(600) + fb_u16(in)),
					   how & 2 ? 64u : fb_u16(in), how & 4 };
	}
	(void)!fdv_add(f, q, seg, n);
	fdv_kick(f, q);
}

static void poke(struct fakedrv *f, struct fuzzbytes *in)
{
	unsigned q = fb_u8(in) % 5;

	fdv_poke_desc(f, q, fb_u8(in) % f->q[q].size, fb_u32(in), fb_u32(in), fb_u8(in) & 7, fb_u8(in));
	fdv_poke_avail(f, q, fb_u8(in), fb_u16(in));
	fdv_publish(f, q, (uint16_t)(f->q[q].avail_idx + fb_u8(in) % 4));
	fdv_kick(f, q);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzzbytes in = { data, size };
	const struct fdv_opts o = { .ram_low = MIB(1), .no_decoy = true, .queue_size = 16 };
	const struct balloon_cfg cfg = { .reporting = true, .deflate_on_oom = true, .stats = true };
	static struct fakedrv f;
	struct balloon_info info;
	uint16_t head;
	uint32_t len;

	fdv_init(&f, &o);
	bug_on(fdv_create(&f, &balloon_class, &cfg, NULL) < 0);
	fdv_start(&f, fb_u8(&in) & 1 ? ~0ull : fb_u8(&in));
	for (unsigned n = 0; in.len && n < 100; n++) {
		uint8_t what = fb_u8(&in);

		if (what & 3)
			request(&f, &in);
		else
			poke(&f, &in);
		if (what & 4)
			balloon_info(f.d, &info);
		if (what & 8)
			evloop_turn(f.loop, 0);
		for (unsigned q = 0; q < 5; q++)
			while (fdv_used(&f, q, &head, &len))
				bug_on(len != 0);
		if ((what & 0xc0) == 0xc0 || fdv_needs_reset(&f)) {
			fdv_reset(&f);
			fdv_start(&f, what & 16 ? ~0ull : fb_u8(&in));
		}
	}
	fdv_done(&f);
	return 0;
}
