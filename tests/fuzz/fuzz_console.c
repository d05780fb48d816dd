// SPDX-License-Identifier: Apache-2.0
/* Output, input, lies and a reader of any speed for a console device; its tail is always plain text. */
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/io.h"
#include "tests/lib/fakedrv.h"
#include "tests/lib/fuzzbytes.h"
#include "vmm/virtio/console.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void request(struct fakedrv *f, struct fuzzbytes *in)
{
	struct fdv_seg seg[4];
	unsigned how = fb_u8(in), n = 1 + (how & 3), q = (how >> 2) & 1;
	gpa_t at = gpa(KIB(512) + fb_u16(in));

	for (unsigned i = 0; i < n; i++)
		seg[i] = (struct fdv_seg){ gpa(at.v + 64 * i), how & 8 ? fb_u16(in) : fb_u8(in),
					   how & 16 ? fb_u8(in) & 1 : q == 0 };
	/* Bytes for the output: the next of the input. */
	for (unsigned i = 0; i < (how >> 5) * 8; i++)
		*(uint8_t *)fdv_ptr(f, gpa(at.v + i), 1) = fb_u8(in);
	(void)!fdv_add(f, q, seg, n);
	fdv_kick(f, q);
}

static void poke(struct fakedrv *f, struct fuzzbytes *in)
{
	unsigned q = fb_u8(in) & 1;

	fdv_poke_desc(f, q, fb_u8(in) % f->q[q].size, fb_u32(in), fb_u32(in), fb_u8(in) & 7,
		      fb_u8(in));
	fdv_poke_avail(f, q, fb_u8(in), fb_u16(in));
	fdv_publish(f, q, (uint16_t)(f->q[q].avail_idx + fb_u8(in) % 4));
	fdv_kick(f, q);
}

static void check_tail(struct fakedrv *f, size_t size)
{
	static char dst[4096];
	size_t n;

	size %= sizeof(dst);
	n = console_tail(f->d, dst, size);
	bug_on(size && n >= size);
	bug_on(size && dst[n] != '\0');
	for (size_t i = 0; i < n; i++)
		bug_on(dst[i] != '\n' && dst[i] != '\t' && (dst[i] < 0x20 || dst[i] > 0x7e));
}

static void host(struct fuzzbytes *in, int *fd)
{
	uint8_t how = fb_u8(in);
	char b[512] = "typed";
	ssize_t n = 0;

	if (*fd < 0)
		return;
	if (how < 100) {
		n = send(*fd, b, how, MSG_NOSIGNAL);
	} else if (how < 240) {
		n = recv(*fd, b, sizeof(b), 0);
	} else {
		close(*fd);
		*fd = -1;
	}
	(void)n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzzbytes in = { data, size };
	const struct fdv_opts o = { .ram_low = MIB(1), .no_decoy = true, .queue_size = 32 };
	struct console_cfg cfg = { .in_fd = -1, .out_fd = -1 };
	static struct fakedrv f;
	int sv[2] = { -1, -1 };
	uint16_t head;
	uint32_t len;

	signal(SIGPIPE, SIG_IGN);
	if (fb_u8(&in) & 1) {
		bug_on(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) < 0);
		io_set_nonblock(sv[0], true);
		cfg.in_fd = cfg.out_fd = sv[1];
	}
	fdv_init(&f, &o);
	bug_on(fdv_create(&f, &console_class, &cfg, NULL) < 0);
	fdv_start(&f, ~0ull);
	for (unsigned n = 0; in.len && n < 200; n++) {
		switch (fb_u8(&in) % 8) {
		case 0 ... 2:
			request(&f, &in);
			break;
		case 3 ... 4:
			host(&in, &sv[0]);
			break;
		case 5:
			poke(&f, &in);
			break;
		case 6:
			check_tail(&f, fb_u16(&in));
			break;
		case 7:
			console_resize(f.d, fb_u16(&in), fb_u16(&in));
			(void)!vdev_quiesce(f.d, NULL);
			vdev_resume(f.d);
			break;
		}
		evloop_turn(f.loop, 0);
		for (unsigned q = 0; q < 2; q++)
			while (fdv_used(&f, q, &head, &len))
				;
		if (fdv_needs_reset(&f)) {
			fdv_reset(&f);
			fdv_start(&f, ~0ull);
		}
	}
	check_tail(&f, 4095);
	fdv_done(&f);
	if (sv[0] >= 0)
		close(sv[0]);
	return 0;
}
