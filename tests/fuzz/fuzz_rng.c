// SPDX-License-Identifier: Apache-2.0
/* Requests of any shape, and rings of any content, for an rng device. */
#include "tests/lib/fakedrv.h"
#include "tests/lib/fuzzbytes.h"
#include "vmm/virtio/rng.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void request(struct fakedrv *f, struct fuzzbytes *in)
{
	struct fdv_seg seg[16];
	unsigned n = 1 + fb_u8(in) % 16;

	for (unsigned i = 0; i < n; i++) {
		uint32_t len = fb_u16(in);

		seg[i] = (struct fdv_seg){ gpa(KIB(512) + fb_u16(in)), len, fb_u8(in) & 1 };
	}
	(void)!fdv_add(f, 0, seg, n);
}

static void poke(struct fakedrv *f, struct fuzzbytes *in)
{
	fdv_poke_desc(f, 0, fb_u8(in) % f->q[0].size, fb_u32(in), fb_u32(in), fb_u8(in) & 7,
		      fb_u8(in));
	fdv_poke_avail(f, 0, fb_u8(in), fb_u16(in));
	fdv_publish(f, 0, (uint16_t)(f->q[0].avail_idx + fb_u8(in) % 4));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzzbytes in = { data, size };
	const struct fdv_opts o = { .ram_low = MIB(1), .no_decoy = true, .queue_size = 32 };
	const struct rng_cfg cfg = { .src_fd = -1, .bytes_per_sec = MIB(100) };
	static struct fakedrv f;
	uint16_t head;
	uint32_t len;

	fdv_init(&f, &o);
	bug_on(fdv_create(&f, &rng_class, &cfg, NULL) < 0);
	fdv_start(&f, fb_u8(&in) & 1 ? ~0ull : 0);
	for (unsigned n = 0; in.len && n < 200; n++) {
		uint8_t what = fb_u8(&in);

		if (what & 1)
			request(&f, &in);
		else if ((what & 6) == 2)
			poke(&f, &in);
		fdv_kick(&f, 0);
		evloop_turn(f.loop, 0);
		while (fdv_used(&f, 0, &head, &len))
			bug_on(len > RNG_MAX_REQUEST);
		if ((what & 0xc0) == 0xc0 || fdv_needs_reset(&f)) {
			fdv_reset(&f);
			fdv_start(&f, what & 8 ? ~0ull : 0);
		}
	}
	fdv_done(&f);
	return 0;
}
