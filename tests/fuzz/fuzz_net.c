// SPDX-License-Identifier: Apache-2.0
/* Chains of any shape in all queues of a network device with two pairs, rings of any content, frames from
 * the host, commands, taps that come and go. */
#include <sys/socket.h>
#include <unistd.h>

#include "tests/lib/fakedrv.h"
#include "tests/lib/faketap.h"
#include "tests/lib/fuzzbytes.h"
#include "vmm/virtio/net.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PAIRS  2
#define QUEUES (2 * PAIRS + 1)

static struct fakedrv f;
static int host[PAIRS];

static void plug(bool link)
{
	struct net_attachment a = { .nfds = PAIRS, .link = link };

	for (unsigned i = 0; i < PAIRS; i++)
		host[i] = faketap_new(&a.fd[i]);
	bug_on(net_attach(f.d, &a, NULL) < 0);
}

static void unplug(void)
{
	for (unsigned i = 0; i < PAIRS; i++) {
		if (host[i] >= 0)
			close(host[i]);
		host[i] = -1;
	}
}

static void chain(unsigned q, struct fuzzbytes *in)
{
	struct fdv_seg seg[16];
	unsigned n = 1 + fb_u8(in) % 16;

	for (unsigned i = 0; i < n; i++) {
		uint8_t kind = fb_u8(in);

		/* Mostly what the queue is for. */
		seg[i] = (struct fdv_seg){ gpa(KIB(512) + fb_u16(in)), fb_u16(in) % 4096u + 1,
					   kind & 0xf8 ? q < 2 * PAIRS && q % 2 == 0 : kind & 1 };
		if ((kind & 6) == 6)
			seg[i].len = fb_u32(in);
	}
	(void)!(n & 1 ? fdv_add : fdv_add_indirect)(&f, q, seg, n);
}

static void poke(unsigned q, struct fuzzbytes *in)
{
	fdv_poke_desc(&f, q, fb_u8(in) % f.q[q].size, fb_u32(in), fb_u32(in), fb_u8(in) & 7, fb_u8(in));
	fdv_poke_avail(&f, q, fb_u8(in), fb_u16(in));
	fdv_publish(&f, q, (uint16_t)(f.q[q].avail_idx + fb_u8(in) % 4));
}

/* A command whose arguments are the input's. */
static void command(struct fuzzbytes *in)
{
	unsigned q = f.acked & (1ull << 22) ? 2 * PAIRS : 2, len = 2 + fb_u8(in) % 64;
	uint8_t *p = fdv_ptr(&f, gpa(KIB(700)), 128);
	struct fdv_seg seg[2] = { { gpa(KIB(700)), len, false }, { gpa(KIB(700) + 100), 1, true } };

	p[0] = fb_u8(in) % 7;
	p[1] = fb_u8(in) % 7;
	for (unsigned i = 2; i < len; i++)
		p[i] = fb_u8(in);
	(void)!fdv_add(&f, q, seg, 2);
	fdv_kick(&f, q);
}

static void from_host(struct fuzzbytes *in)
{
	static uint8_t frame[66000];
	size_t len = fb_u8(in) & 1 ? fb_u16(in) : fb_u8(in);

	for (unsigned i = 0; i < 40; i++)
		frame[i] = fb_u8(in);
	(void)!send(host[fb_u8(in) % PAIRS], frame, len, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void drain(void)
{
	static uint8_t got[70000];
	uint16_t head;
	uint32_t len;

	for (unsigned q = 0; q < QUEUES; q++)
		while (fdv_used(&f, q, &head, &len))
			bug_on(len > 12 + 18 + 65536);
	for (unsigned i = 0; i < PAIRS; i++)
		while (recv(host[i], got, sizeof(got), MSG_DONTWAIT) > 0)
			;
}

static void step(uint8_t what, struct fuzzbytes *in)
{
	unsigned q = what / 16 % QUEUES;

	switch (what % 16) {
	case 0:
		poke(q, in);
		break;
	case 1:
		command(in);
		break;
	case 2:
		net_detach(f.d, NULL);
		unplug();
		plug(q & 1);
		break;
	case 3:
		faketap.write_error = q == 0 ? 0 : q == 1 ? -EAGAIN : q == 2 ? -EIO : -EINVAL;
		break;
	case 4:
		if (fdv_quiesce(&f, NULL) == 0)
			fdv_resume(&f);
		break;
	case 5: case 6: case 7: case 8:
		from_host(in);
		break;
	default:
		chain(q, in);
	}
	fdv_kick(&f, q);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzzbytes in = { data, size };
	const struct fdv_opts o = { .ram_low = MIB(1), .no_decoy = true, .queue_size = 32 };
	const struct net_cfg cfg = { .mac = { 2, 0, 0, 0, 0, 1 }, .pairs = PAIRS, .queue_size = 32,
				     .mtu = 1500, .offloads = NET_OFFLOADS, .ops = &faketap_ops };
	uint64_t features[] = { ~0ull, 0, 1ull << 15 | 1ull << 17 | 0x3full << 16,
				~(1ull << 15), ~(1ull << 29) };

	faketap_reset();
	fdv_init(&f, &o);
	bug_on(fdv_create(&f, &net_class, &cfg, NULL) < 0);
	fdv_start(&f, features[fb_u8(&in) % ARRAY_SIZE(features)]);
	plug(true);
	for (unsigned n = 0; in.len && n < 300; n++) {
		uint8_t what = fb_u8(&in);

		step(what, &in);
		evloop_turn(f.loop, 0);
		drain();
		if (fdv_needs_reset(&f)) {
			fdv_reset(&f);
			fdv_start(&f, features[what % ARRAY_SIZE(features)]);
		}
	}
	fdv_done(&f);
	unplug();
	return 0;
}
