// SPDX-License-Identifier: Apache-2.0
/* FUSE requests cut into descriptors of any shape, and rings of any content, for a virtio-fs
 * device. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/fakedrv.h"
#include "tests/lib/fsfix.h"
#include "tests/lib/fuzzbytes.h"
#include "vmm/virtio/fs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define AREA	  gpa(KIB(512)) /* where requests and replies are */
#define AREA_SIZE KIB(256)

static struct fsfix fix;
static struct fakedrv f;
static uint64_t known[2]; /* a node, an open file */

static void cleanup(void)
{
	fsfix_done(&fix);
}

static void start(void)
{
	const struct fs_server_cfg cfg = { .max_nodes = 200,
					   .max_handles = 40,
					   .max_fds = 8,
					   .attr_timeout = 1,
					   .entry_timeout = 1,
					   .proc_fd = -1 };

	fsfix_init(&fix, access("/dev/shm", W_OK) == 0 ? "/dev/shm" : NULL, &cfg, 0);
	fsfix_host_file(&fix, "a", "some text", 0644);
	atexit(cleanup);
}

/* Readable then writable pieces over one request at the area's start, its reply behind it. */
static void request(struct fuzzbytes *in, unsigned q)
{
	static const uint8_t ops[] = { FUSE_LOOKUP,	 FUSE_OPEN,    FUSE_READ,   FUSE_WRITE,
				       FUSE_READDIRPLUS, FUSE_OPENDIR, FUSE_SETLKW, FUSE_FSYNC,
				       FUSE_INTERRUPT,	 FUSE_FORGET,  FUSE_CREATE, FUSE_GETATTR };
	uint8_t op = fb_u8(in), shape = fb_u8(in);
	struct fuse_in_header h = { .opcode = op < 128 ? op : ops[op % ARRAY_SIZE(ops)],
				    .unique = 7,
				    .nodeid = known[0] };
	uint32_t len = fb_u16(in) & 0x1ff, piece = 1 + (shape & 0x3f), at = 0;
	uint8_t *p = fdv_ptr(&f, AREA, AREA_SIZE);
	struct fdv_seg seg[24];
	unsigned n = 0;

	if (h.opcode == FUSE_LOOKUP && (shape & 0x40))
		h.nodeid = FUSE_ROOT_ID;
	h.len = (uint32_t)sizeof(h) + len;
	memcpy(p, &h, sizeof(h));
	memset(p + sizeof(h), 0, len);
	memcpy(p + sizeof(h), in->p, min_t(size_t, len, in->len));
	if (len >= 8 && op >= 128 && h.opcode != FUSE_LOOKUP && h.opcode != FUSE_CREATE)
		memcpy(p + sizeof(h), &known[1], 8);
	fb_take(in, 0);
	in->p += min_t(size_t, len, in->len);
	in->len -= min_t(size_t, len, in->len);
	while (at < h.len && n < 12) {
		uint32_t l = n == 11 ? h.len - at : min_t(uint32_t, piece * 8, h.len - at);

		seg[n++] = (struct fdv_seg){ gpa(AREA.v + at), l, false };
		at += l;
	}
	for (unsigned i = 0; i < fb_u8(in) % 10u; i++)
		seg[n++] = (struct fdv_seg){ gpa(AREA.v + KIB(64) + i * KIB(16)),
					     fb_u16(in) & 0x3fff, true };
	(void)!(shape & 0x80 ? fdv_add_indirect(&f, q, seg, n) : fdv_add(&f, q, seg, n));
}

static void learn(uint32_t len)
{
	const uint8_t *p = fdv_ptr(&f, gpa(AREA.v + KIB(64)), 256);
	struct fuse_out_header oh;

	memcpy(&oh, p, sizeof(oh));
	if (len == sizeof(oh) + sizeof(struct fuse_entry_out) && !oh.error)
		memcpy(&known[0], p + sizeof(oh), 8);
	if (len == sizeof(oh) + sizeof(struct fuse_open_out) && !oh.error)
		memcpy(&known[1], p + sizeof(oh), 8);
}

static void poke(struct fuzzbytes *in, unsigned q)
{
	fdv_poke_desc(&f, q, fb_u8(in) % f.q[q].size, fb_u32(in), fb_u32(in), fb_u8(in) & 7,
		      fb_u8(in));
	fdv_poke_avail(&f, q, fb_u8(in), fb_u16(in));
	fdv_publish(&f, q, (uint16_t)(f.q[q].avail_idx + fb_u8(in) % 4));
}

static void init_session(void)
{
	struct fuse_init_in in = { .major = 7, .minor = 38, .flags = ~0u };
	struct {
		struct fuse_in_header h;
		struct fuse_init_in in;
	} req = { .h = { .len = sizeof(req), .opcode = FUSE_INIT }, .in = in };
	uint8_t out[80];

	fdv_request(&f, 1, &req, sizeof(req), out, sizeof(out));
}

static void quiesce_and_back(void)
{
	bug_on(vdev_quiesce(f.d, NULL) < 0);
	vdev_resume(f.d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzzbytes in = { data, size };
	const struct fdv_opts o = { .ram_low = MIB(1), .no_decoy = true, .queue_size = 32 };
	struct fs_dev_cfg cfg = { .tag = "t", .queues = 1 };
	uint16_t head;
	uint32_t len;

	if (!fix.c.s)
		start();
	fs_server_reset(fix.c.s);
	cfg.server = fix.c.s;
	known[0] = FUSE_ROOT_ID;
	known[1] = 0;
	fdv_init(&f, &o);
	bug_on(fdv_create(&f, &fs_dev_class, &cfg, NULL) < 0);
	fdv_start(&f, fb_u8(&in) & 1 ? ~0ull : 0);
	init_session();
	for (unsigned n = 0; in.len && n < 100; n++) {
		uint8_t what = fb_u8(&in), q = what >> 3 & 1;

		if (what & 3)
			request(&in, q);
		else if (what & 4)
			poke(&in, q);
		fdv_kick(&f, q);
		evloop_turn(f.loop, 0);
		while (fdv_used(&f, q, &head, &len))
			learn(len);
		if ((what & 0xf0) == 0xe0)
			quiesce_and_back();
		if ((what & 0xf0) == 0xf0 || fdv_needs_reset(&f)) {
			fdv_reset(&f);
			fdv_start(&f, what & 8 ? ~0ull : 0);
			init_session();
		}
	}
	fdv_done(&f);
	bug_on(!fsfix_outside_intact(&fix));
	return 0;
}
