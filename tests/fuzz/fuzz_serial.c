// SPDX-License-Identifier: Apache-2.0
/* The input is a list of three bytes each: what is done to a 16550, and with what. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "vmm/bus/serial.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct line {
	struct irq_line l;
	bool level;
};

/* A level is told only when it changes. */
static void on_line(struct irq_line *l, bool level)
{
	struct line *x = container_of(l, struct line, l);

	if (x->level == level)
		abort();
	x->level = level;
}

static void save_and_load(struct serial *s)
{
	struct buf one = BUF_INIT(4096), two = BUF_INIT(4096);
	struct snap_w w1 = { .b = &one }, w2 = { .b = &two };
	struct snap_r r;

	serial_save(s, &w1, 1);
	if (snap_r_init(&r, one.data, one.len, NULL) < 0 || serial_load(s, &r, 1, NULL) < 0)
		abort();
	serial_save(s, &w2, 1);
	if (one.len != two.len || memcmp(one.data, two.data, one.len))
		abort();
	buf_free(&one);
	buf_free(&two);
}

static void act(struct serial *s, struct evloop *loop, int host, const uint8_t *a)
{
	uint8_t tmp[64];

	switch (a[0] >> 5) {
	case 0:
	case 1:
		serial_ops.write(s, a[0] & 7, 1, a[1]);
		break;
	case 2:
	case 3:
		if (serial_ops.read(s, a[0] & 7, 1) > 0xff)
			abort();
		break;
	case 4:
		memset(tmp, a[1], sizeof(tmp));
		if (serial_feed(s, tmp, a[2] % 64u) > 16)
			abort();
		break;
	case 5:
		if (write(host, a + 1, 2) == 2)
			evloop_turn(loop, 0);
		break;
	case 6:
		if (read(host, tmp, sizeof(tmp)) > 0)
			evloop_turn(loop, 0);
		break;
	default:
		if (a[1] == 0)
			save_and_load(s);
		else
			serial_ops.write(s, a[0] & 7, 2, a[1]);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct line irq = { .l = { on_line } };
	struct evloop *loop;
	struct serial *s;
	int sv[2];

	signal(SIGPIPE, SIG_IGN);
	if (evloop_new(&loop, NULL) < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sv) < 0 ||
	    serial_new(&s, sv[1], sv[1], loop, &irq.l, NULL) < 0)
		abort();
	for (size_t i = 0; i + 3 <= size; i += 3)
		act(s, loop, sv[0], data + i);
	serial_free(s);
	evloop_free(loop);
	close(sv[0]);
	return 0;
}
