// SPDX-License-Identifier: Apache-2.0
/*
 * What the vsock device itself costs, under the fake driver, on one thread: no guest, no exits, no
 * interrupts. Lines "name value unit"; compare figures of one run with each other only.
 */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/io.h"
#include "tests/lib/vsock_guest.h"

static struct vg g;
static struct vg_pkt pkt;
static struct vg_conn conn;
static int host = -1;
static uint8_t chunk[65536];

static void connected(void *arg, int rc, int fd)
{
	(void)arg;
	bug_on(rc < 0);
	host = fd;
	io_set_nonblock(fd, true);
}

static void begin(unsigned rx_size)
{
	const struct vg_opts o = { .features = ~0ull,
				   .rx_size = rx_size,
				   .rx_bufs = 64,
				   .no_decoy = true,
				   .cfg = { .ready_fd = -1 } };

	bug_on(vg_init(&g, &o, false) < 0);
	bug_on(vsock_connect(g.f.d, 1, VSOCK_NO_TIMEOUT, connected, NULL) < 0);
	bug_on(!vg_recv(&g, &pkt, 1000));
	conn = (struct vg_conn){ .guest_port = 1, .host_port = pkt.h.src_port };
	vg_conn_take(&conn, &pkt);
	vg_conn_op(&g, &conn, VSOCK_OP_RESPONSE, 0);
	bug_on(host < 0);
}

static void end(void)
{
	close(host);
	host = -1;
	vg_done(&g);
}

static void take(void)
{
	while (vg_recv(&g, &pkt, 0)) {
		vg_conn_take(&conn, &pkt);
		if (conn.rx_cnt - conn.fwd_cnt > g.buf_alloc / 2) {
			conn.fwd_cnt = conn.rx_cnt;
			vg_conn_op(&g, &conn, VSOCK_OP_CREDIT_UPDATE, 0);
		}
	}
}

static void report(const char *name, uint64_t bytes, uint64_t ns)
{
	printf("%-40s %8.2f GB/s\n", name, (double)bytes / (double)ns);
}

static void to_host(uint32_t size)
{
	uint64_t total = GIB(1) / (size < 4096 ? 32 : 1), seen = 0, start;
	char name[64];

	begin(4096);
	start = io_now_ns();
	while (seen < total) {
		ssize_t n;

		while (vg_conn_send(&g, &conn, chunk, size))
			;
		while ((n = read(host, chunk, sizeof(chunk))) > 0)
			seen += (uint64_t)n;
		evloop_turn(g.f.loop, 0);
		take();
	}
	snprintf(name, sizeof(name), "guest to host, packets of %u", size);
	report(name, seen, io_now_ns() - start);
	end();
}

static void to_guest(unsigned rx_size)
{
	uint64_t total = GIB(1), start;
	char name[64];

	begin(rx_size);
	start = io_now_ns();
	for (uint64_t sum = 0; sum < total;) {
		ssize_t n;

		while ((n = write(host, chunk, sizeof(chunk))) > 0)
			sum += (uint64_t)n;
		evloop_turn(g.f.loop, 0);
		take();
	}
	snprintf(name, sizeof(name), "host to guest, buffers of %u", rx_size);
	report(name, total, io_now_ns() - start);
	end();
}

static void ping(void)
{
	const unsigned rounds = 200000;
	uint64_t start;

	begin(4096);
	start = io_now_ns();
	for (unsigned i = 0; i < rounds; i++) {
		bug_on(vg_conn_send(&g, &conn, chunk, 64) != 64);
		bug_on(read(host, chunk, 64) != 64);
		bug_on(write(host, chunk, 64) != 64);
		do
			bug_on(!vg_recv(&g, &pkt, 1000));
		while (pkt.h.op != VSOCK_OP_RW);
		vg_conn_take(&conn, &pkt);
		conn.fwd_cnt = conn.rx_cnt;
	}
	printf("%-40s %8.0f ns\n", "64 bytes there and back",
	       (double)(io_now_ns() - start) / rounds);
	end();
}

int main(void)
{
	to_host(65536);
	to_host(4096);
	to_host(64);
	to_guest(4096);
	to_guest(65536 + sizeof(struct vsock_hdr));
	ping();
	return 0;
}
