// SPDX-License-Identifier: Apache-2.0
/*
 * A list of what a guest, its host ends and the machine do to a vsock device, in any order. First byte:
 * size and number of receive buffers; then actions, each one byte and its arguments.
 */
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/io.h"
#include "tests/lib/fuzzbytes.h"
#include "tests/lib/vsock_guest.h"

#define MAX_FDS	    8
#define MAX_ACTIONS 400

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct run {
	struct vg g;
	struct fuzzbytes in;
	int fd[MAX_FDS];
	struct vg_conn conn[4]; /* those that the device answered or asked for last */
	unsigned nconns;
	bool rude; /* does not answer the device's requests */
	uint64_t token[4];
	unsigned ntokens;
	unsigned asked, done;
};

static struct vg_pkt pkt;
static uint8_t junk[VG_TX_MAX];

static void keep_fd(struct run *r, int fd)
{
	for (unsigned i = 0; i < MAX_FDS; i++)
		if (r->fd[i] < 0) {
			r->fd[i] = fd;
			io_set_nonblock(fd, true);
			return;
		}
	close(fd);
}

static void connected(void *arg, int rc, int fd)
{
	struct run *r = arg;

	r->done++;
	bug_on((rc == 0) != (fd >= 0));
	if (fd >= 0)
		keep_fd(r, fd);
}

/* Small buffers, so that little is needed to fill them. */
static int small_pair(int sv[2])
{
	int size = 1;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) < 0)
		return -errno;
	setsockopt(sv[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	setsockopt(sv[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	return 0;
}

static int open_host_port(void *arg, uint32_t port, uint64_t token, int *ret_fd)
{
	struct run *r = arg;
	int sv[2];

	if (port % 3 == 0)
		return -ECONNREFUSED;
	if (port % 3 == 1) {
		r->token[r->ntokens++ % 4] = token;
		return -EINPROGRESS;
	}
	if (small_pair(sv) < 0)
		return -errno;
	keep_fd(r, sv[0]);
	*ret_fd = sv[1];
	return 0;
}

static const struct vsock_ops ops = { .open_host_port = open_host_port };

/* --- the guest ----------------------------------------------------------------------------------------- */

static void send_packet(struct run *r)
{
	uint8_t how = fb_u8(&r->in), which = fb_u8(&r->in);
	const struct vg_conn *c = &r->conn[which & 3];
	uint32_t host = which & 4 ? c->host_port : which & 3;
	uint32_t guest = which & 4 ? c->guest_port : (which >> 3) & 3;
	uint32_t len = which & 0x80 ? fb_u16(&r->in) : which & 0x40 ? fb_u8(&r->in) : 0;
	struct vsock_hdr h;

	h = vg_hdr(&r->g, how % (VSOCK_OP_COUNT + 1), guest, host, len, fb_u8(&r->in));
	h.fwd_cnt = how & 0x10 ? fb_u32(&r->in) : c->rx_cnt;
	if (how & 0x20)
		h.buf_alloc = fb_u32(&r->in);
	if (how & 0x40)
		h.len = fb_u32(&r->in);
	if (how & 0x80) {
		h.type = fb_u8(&r->in);
		h.src_cid += fb_u8(&r->in);
		h.dst_cid += fb_u8(&r->in);
	}
	vg_send_hdr(&r->g, &h, junk, min_t(uint32_t, len, 60000));
}

/* Honest data, in as large packets as credit allows. */
static void send_data(struct run *r)
{
	uint8_t which = fb_u8(&r->in);
	struct vg_conn *c = &r->conn[which & 3];
	uint32_t len = which & 4 ? fb_u16(&r->in) : fb_u8(&r->in);

	for (unsigned i = 0; i <= which >> 5; i++)
		vg_conn_send(&r->g, c, junk, len);
}

static void receive(struct run *r)
{
	for (unsigned i = 0; i < 64 && vg_recv(&r->g, &pkt, 0); i++) {
		if (pkt.h.op == VSOCK_OP_REQUEST || pkt.h.op == VSOCK_OP_RESPONSE) {
			struct vg_conn *c = &r->conn[r->nconns++ % 4];

			*c = (struct vg_conn){ .guest_port = pkt.h.dst_port,
					       .host_port = pkt.h.src_port };
			if (pkt.h.op == VSOCK_OP_REQUEST && !r->rude)
				vg_conn_op(&r->g, c, VSOCK_OP_RESPONSE, 0);
		}
		for (unsigned k = 0; k < 4; k++)
			if (vg_conn_take(&r->conn[k], &pkt))
				r->conn[k].fwd_cnt = r->conn[k].rx_cnt;
	}
}

static void poke(struct run *r)
{
	struct fakedrv *f = &r->g.f;
	unsigned q = fb_u8(&r->in) % VSOCK_NQUEUES;
	unsigned what = fb_u8(&r->in);

	if (what & 1)
		fdv_poke_desc(f, q, fb_u8(&r->in) % f->q[q].size, fb_u32(&r->in), fb_u32(&r->in),
			      fb_u8(&r->in) & 7, fb_u8(&r->in));
	if (what & 2)
		fdv_poke_avail(f, q, fb_u8(&r->in), fb_u16(&r->in));
	if (what & 4)
		fdv_publish(f, q, (uint16_t)(f->q[q].avail_idx + (what >> 4)));
	fdv_kick(f, q);
}

static void restart(struct run *r)
{
	fdv_reset(&r->g.f);
	vg_start(&r->g);
}

/* --- the host ------------------------------------------------------------------------------------------ */

static void host_end(struct run *r)
{
	uint8_t how = fb_u8(&r->in);
	int *fd = &r->fd[how % MAX_FDS];
	ssize_t n = 0;

	if (*fd < 0)
		return;
	switch (how >> 4) {
	case 0 ... 5:
		n = send(*fd, junk, fb_u16(&r->in), MSG_NOSIGNAL);
		break;
	case 6 ... 9:
		n = recv(*fd, junk, sizeof(junk), 0);
		break;
	case 10:
		shutdown(*fd, SHUT_WR);
		break;
	case 11:
		shutdown(*fd, SHUT_RD);
		break;
	default:
		close(*fd);
		*fd = -1;
	}
	(void)n;
}

static void host_connect(struct run *r)
{
	uint8_t how = fb_u8(&r->in);

	if (vsock_connect(r->g.f.d, how & 3, how & 4 ? 1000 : VSOCK_NO_TIMEOUT, connected, r) == 0)
		r->asked++;
	evloop_turn(r->g.f.loop, 0);
}

static void host_opened(struct run *r)
{
	uint8_t how = fb_u8(&r->in);
	int sv[2] = { -1, -1 };

	if ((how & 4) && small_pair(sv) == 0)
		keep_fd(r, sv[0]);
	vsock_host_opened(r->g.f.d, r->token[how & 3], sv[1] >= 0 ? 0 : -ECONNREFUSED, sv[1]);
}

/* --- the machine --------------------------------------------------------------------------------------- */

static void resume(struct run *r)
{
	vdev_resume(r->g.f.d);
	for (unsigned q = 0; q < VSOCK_NQUEUES; q++)
		fdv_kick(&r->g.f, q);
}

static void save_and_load(struct run *r)
{
	struct buf b = BUF_INIT(MIB(1));
	struct snap_w w = { .b = &b };
	struct snap_r rd;

	if (vdev_quiesce(r->g.f.d, NULL) == 0 && vdev_save(r->g.f.d, &w, NULL) == 0) {
		fdv_destroy(&r->g.f);
		bug_on(fdv_create(&r->g.f, &vsock_class, &r->g.o.cfg, NULL) < 0);
		bug_on(snap_r_init(&rd, b.data, b.len, NULL) < 0);
		if (vdev_load(r->g.f.d, &rd, NULL) < 0)
			restart(r);
	}
	buf_free(&b);
	resume(r);
}

static void act(struct run *r)
{
	gpa_t at;

	switch (fb_u8(&r->in) % 16) {
	case 0 ... 2:
		send_packet(r);
		break;
	case 3 ... 4:
		send_data(r);
		break;
	case 5:
		receive(r);
		break;
	case 6:
		r->g.rx_hold = !r->g.rx_hold;
		vg_restock(&r->g);
		break;
	case 7 ... 8:
		host_end(r);
		break;
	case 9:
		host_connect(r);
		break;
	case 10:
		host_opened(r);
		break;
	case 11:
		if (r->g.f.brk < MIB(7))
			vg_add_event_buffer(&r->g, &at);
		break;
	case 12:
		poke(r);
		break;
	case 13:
		(void)!vdev_quiesce(r->g.f.d, NULL);
		evloop_turn(r->g.f.loop, 0);
		resume(r);
		break;
	case 14:
		save_and_load(r);
		break;
	case 15:
		r->rude = !r->rude;
		if (r->rude)
			restart(r);
		break;
	}
	evloop_turn(r->g.f.loop, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct run r;
	struct vg_opts o = {
		.features = ~0ull,
		.no_decoy = true,
		.cfg = { .ready_fd = -1, .ops = &ops, .ops_arg = &r, .max_conns = 16 }
	};
	uint8_t shape;

	memset(&r, 0, sizeof(r));
	r.in = (struct fuzzbytes){ data, size };
	for (unsigned i = 0; i < MAX_FDS; i++)
		r.fd[i] = -1;
	shape = fb_u8(&r.in);
	o.rx_size = 45 + (shape & 15) * 300;
	o.rx_bufs = 1 + (shape >> 4);
	o.rx_segs = 1 + (shape & 1) * 3;
	bug_on(vg_init(&r.g, &o, false) < 0);
	/* Two connections to begin with. */
	vg_send(&r.g, VSOCK_OP_REQUEST, 5, 5, 0);
	bug_on(vsock_connect(r.g.f.d, 1, VSOCK_NO_TIMEOUT, connected, &r) < 0);
	r.asked++;
	evloop_turn(r.g.f.loop, 0);
	receive(&r);
	for (unsigned n = 0; r.in.len && n < MAX_ACTIONS; n++) {
		act(&r);
		/* Another driver's event buffers would use up its descriptors. */
		if (fdv_needs_reset(&r.g.f) || r.g.f.q[VSOCK_EVQ].nfree == 0)
			restart(&r);
	}
	vg_done(&r.g);
	bug_on(r.asked != r.done); /* every caller is told, once */
	for (unsigned i = 0; i < MAX_FDS; i++)
		if (r.fd[i] >= 0)
			close(r.fd[i]);
	return 0;
}
