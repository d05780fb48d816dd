// SPDX-License-Identifier: Apache-2.0
/* Requests of any shape, and rings of any content, for a block device. What it may never do is change a byte
 * behind its last sector. */
#include <sys/mman.h>
#include <unistd.h>

#include "tests/lib/fakedrv.h"
#include "tests/lib/fuzzbytes.h"
#include "vmm/virtio/blk.h"

#define SECTORS 64u
#define GUARD	4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void header(struct fakedrv *f, struct fuzzbytes *in, gpa_t at)
{
	static const uint8_t types[] = { 0, 1, 4, 8, 11, 13, 14, 99 };
	uint8_t *h = fdv_ptr(f, at, 64);
	uint8_t how = fb_u8(in);

	memset(h, 0, 64);
	h[0] = types[how & 7];
	h[8] = fb_u8(in);
	if (how & 8)
		h[15] = fb_u8(in);
	h[16] = fb_u8(in); /* a range's sector, sectors, flags */
	h[24] = fb_u8(in);
	h[28] = how >> 6;
	if (how & 16)
		h[23] = h[27] = 0xff;
}

static void request(struct fakedrv *f, struct fuzzbytes *in)
{
	static const uint32_t lens[] = { 1, 16, 32, 512, 513, 1024, 4097, 15 };
	struct fdv_seg seg[8];
	unsigned n = 1 + fb_u8(in) % 8, q = fb_u8(in) & 1;
	gpa_t at = gpa(KIB(512));

	header(f, in, at);
	for (unsigned i = 0; i < n; i++) {
		uint8_t how = fb_u8(in);

		seg[i] = (struct fdv_seg){ i ? gpa(KIB(513) + how * 16u) : at, lens[how & 7], how & 8 };
	}
	(void)!fdv_add(f, q, seg, n);
	fdv_kick(f, q);
}

static void poke(struct fakedrv *f, struct fuzzbytes *in)
{
	unsigned q = fb_u8(in) & 1;

	fdv_poke_desc(f, q, fb_u8(in) % f->q[q].size, fb_u32(in), fb_u32(in), fb_u8(in) & 7, fb_u8(in));
	fdv_poke_avail(f, q, fb_u8(in), fb_u16(in));
	fdv_publish(f, q, (uint16_t)(f->q[q].avail_idx + fb_u8(in) % 4));
	fdv_kick(f, q);
}

static void check_guard(int fd)
{
	uint8_t b[GUARD];

	bug_on(lseek(fd, 0, SEEK_END) != SECTORS * 512 + GUARD);
	bug_on(pread(fd, b, GUARD, SECTORS * 512) != GUARD);
	for (unsigned i = 0; i < GUARD; i++)
		bug_on(b[i] != 0xa5);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzzbytes in = { data, size };
	const struct fdv_opts o = { .ram_low = MIB(1), .no_decoy = true, .queue_size = 16 };
	struct blk_cfg cfg = { .size = SECTORS * 512, .block_size = 512, .discard = true,
			       .queues = 2, .queue_size = 16, .no_uring = true };
	static struct fakedrv f;
	uint8_t guard[GUARD];
	uint16_t head;
	uint32_t len;
	int fd;

	memset(guard, 0xa5, sizeof(guard));
	cfg.fd = memfd_create("disk", MFD_CLOEXEC);
	fd = dup(cfg.fd);
	bug_on(pwrite(fd, guard, GUARD, SECTORS * 512) != GUARD);
	cfg.readonly = fb_u8(&in) & 1;
	fdv_init(&f, &o);
	bug_on(fdv_create(&f, &blk_class, &cfg, NULL) < 0);
	fdv_start(&f, fb_u8(&in) & 1 ? ~0ull : 0);
	for (unsigned n = 0; in.len && n < 50; n++) {
		uint8_t what = fb_u8(&in);

		if (what & 3)
			request(&f, &in);
		else
			poke(&f, &in);
		if (what & 4)
			evloop_turn(f.loop, 0);
		if ((what & 0x30) == 0x30)
			vdev_config_write(f.d, 24 + (what & 15), &what, 1);
		for (unsigned q = 0; q < 2; q++)
			while (fdv_used(&f, q, &head, &len))
				bug_on(len == 0 && f.q[q].used_idx == 0);
		if ((what & 0xc0) == 0xc0 || fdv_needs_reset(&f)) {
			fdv_reset(&f);
			fdv_start(&f, what & 8 ? ~0ull : 0);
		}
	}
	bug_on(!fdv_needs_reset(&f) && vdev_quiesce(f.d, NULL) < 0);
	fdv_done(&f);
	check_guard(fd);
	close(fd);
	return 0;
}
