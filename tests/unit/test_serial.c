// SPDX-License-Identifier: Apache-2.0
/* 16550 and debug port: registers, interrupts, slow and absent descriptors, state. */
#include "tests/unit/check.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
#include "vmm/bus/debugcon.h"
#include "vmm/bus/serial.h"
#include "vmm/bus/sink.h"

struct line {
	struct irq_line l;
	bool level;
	unsigned edges;
};

static void set_level(struct irq_line *l, bool level)
{
	struct line *x = container_of(l, struct line, l);

	x->edges += level && !x->level;
	x->level = level;
}

struct fix {
	struct evloop *loop;
	struct serial *s;
	struct line irq;
	int host; /* our end of the wire */
};

static int setup(void **state)
{
	struct fix *f = calloc(1, sizeof(*f));
	int sv[2];

	f->irq.l.set = set_level;
	assert_int_equal(evloop_new(&f->loop, NULL), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sv), 0);
	f->host = sv[0];
	assert_int_equal(serial_new(&f->s, sv[1], sv[1], f->loop, &f->irq.l, NULL), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fix *f = *state;

	serial_free(f->s);
	evloop_free(f->loop);
	close(f->host);
	free(f);
	return 0;
}

static uint8_t in(struct fix *f, unsigned reg)
{
	return (uint8_t)serial_ops.read(f->s, reg, 1);
}

static void out(struct fix *f, unsigned reg, uint8_t v)
{
	serial_ops.write(f->s, reg, 1, v);
}

static void registers(void **state)
{
	struct fix *f = *state;

	out(f, 3, 0x83); /* divisor */
	out(f, 0, 0x12);
	out(f, 1, 0x34);
	assert_int_equal(in(f, 0), 0x12);
	assert_int_equal(in(f, 1), 0x34);
	out(f, 3, 0x03);
	assert_int_equal(in(f, 0), 0);
	out(f, 1, 0xff);
	assert_int_equal(in(f, 1), 0x0f);
	out(f, 1, 0);
	out(f, 7, 0xa5);
	assert_int_equal(in(f, 7), 0xa5);
	assert_int_equal(in(f, 5), 0x60);
	assert_int_equal(in(f, 6), 0xb0);
	out(f, 4, 0xff);
	assert_int_equal(in(f, 4), 0x1f);
	assert_int_equal(in(f, 6), 0xf0); /* loopback: all outputs come back */
	out(f, 4, 0x1a);
	assert_int_equal(in(f, 6), 0x90);
	assert_int_equal(in(f, 2), 0x01);
	out(f, 2, 0x01);
	assert_int_equal(in(f, 2), 0xc1); /* FIFOs are there */
	/* Wide accesses are not ours. */
	assert_true(serial_ops.read(f->s, 0, 4) == UINT64_MAX);
	serial_ops.write(f->s, 7, 2, 0);
	assert_int_equal(in(f, 7), 0xa5);
}

static void sends(void **state)
{
	struct fix *f = *state;
	char got[8] = "";

	out(f, 1, 0x02);
	assert_int_equal(f->irq.edges, 1); /* the transmitter is empty */
	assert_int_equal(in(f, 2), 0x02);
	assert_false(f->irq.level);
	out(f, 0, 'h');
	assert_true(f->irq.level);
	assert_int_equal(in(f, 2), 0x02);
	out(f, 0, 'i');
	assert_int_equal(read(f->host, got, sizeof(got)), 2);
	assert_string_equal(got, "hi");
	out(f, 1, 0);
	assert_false(f->irq.level);
}

static void receives(void **state)
{
	struct fix *f = *state;
	char text[40], got[40];

	memset(text, 0, sizeof(text));
	for (unsigned i = 0; i < sizeof(text); i++)
		text[i] = (char)(i + 1);
	out(f, 2, 0x81); /* FIFO, trigger 8 */
	out(f, 1, 0x01);
	assert_int_equal(write(f->host, text, sizeof(text)), sizeof(text));
	evloop_turn(f->loop, 100);
	assert_true(f->irq.level);
	assert_int_equal(in(f, 2), 0xc4);
	/* More than a FIFO: the rest comes as it empties, without the loop. */
	for (unsigned i = 0; i < sizeof(text); i++) {
		assert_int_equal(in(f, 5) & 1, 1);
		got[i] = (char)in(f, 0);
	}
	assert_memory_equal(got, text, sizeof(text));
	assert_int_equal(in(f, 5) & 1, 0);
	assert_false(f->irq.level);
	assert_int_equal(serial_feed(f->s, "abc", 3), 3);
	assert_int_equal(in(f, 2), 0xcc); /* fewer than the trigger */
	assert_int_equal(serial_feed(f->s, text, sizeof(text)), 13);
	assert_int_equal(serial_feed(f->s, "x", 1), 0);
	out(f, 2, 0x83);
	assert_int_equal(in(f, 5) & 1, 0);
	out(f, 2, 0);
	assert_int_equal(serial_feed(f->s, "abc", 3), 1); /* no FIFO */
	assert_int_equal(in(f, 0), 'a');
}

static void loops_back(void **state)
{
	struct fix *f = *state;
	char c;

	out(f, 2, 0x01);
	out(f, 4, 0x10);
	for (unsigned i = 0; i < 17; i++)
		out(f, 0, (uint8_t)('A' + i));
	out(f, 1, 0x04);
	assert_int_equal(in(f, 2), 0xc6);
	assert_int_equal(in(f, 5), 0x63); /* data, and one lost */
	assert_int_equal(in(f, 5), 0x61);
	assert_int_equal(in(f, 0), 'A');
	assert_true(read(f->host, &c, 1) < 0); /* nothing got out */
}

/* Nobody reads: the guest goes on, what is too much is dropped, what fits arrives in order later. */
static void floods(void **state)
{
	struct fix *f = *state;
	size_t total = 0;
	uint8_t buf[4096], next = 0;
	ssize_t n;

	for (unsigned i = 0; i < 1 << 20; i++)
		out(f, 0, (uint8_t)i);
	for (unsigned round = 0; round < 64; round++) {
		while ((n = read(f->host, buf, sizeof(buf))) > 0) {
			total += (size_t)n;
			for (ssize_t i = 0; i < n; i++)
				assert_int_equal(buf[i], next++);
		}
		evloop_turn(f->loop, 0);
	}
	assert_true(total >= SINK_SIZE);
	assert_true(total < 1 << 20);
}

static void hosts_that_are_gone(void **state)
{
	struct fix *f = *state;
	struct serial *s;
	int files[2] = { open("/dev/null", O_RDWR | O_CLOEXEC), open("/dev/null", O_RDWR | O_CLOEXEC) };

	close(f->host);
	f->host = -1;
	signal(SIGPIPE, SIG_IGN);
	out(f, 0, 'x');
	out(f, 0, 'y');
	evloop_turn(f->loop, 0);
	assert_int_equal(in(f, 0), 0);
	assert_int_equal(serial_new(&s, -1, -1, f->loop, NULL, NULL), 0);
	serial_ops.write(s, 0, 1, 'x');
	assert_int_equal(serial_ops.read(s, 0, 1), 0);
	serial_free(s);
	assert_int_equal(serial_new(&s, files[0], files[1], f->loop, NULL, NULL), 0);
	serial_ops.write(s, 0, 1, 'x');
	serial_free(s);
	assert_true(fcntl(files[0], F_GETFD) < 0); /* closed */
	assert_int_equal(serial_new(&s, 9999, -1, f->loop, NULL, NULL), -EBADF);
	assert_int_equal(serial_new(&s, -1, 9999, f->loop, NULL, NULL), -EBADF);
}

static void state_moves(void **state)
{
	struct fix *f = *state;
	struct buf one = BUF_INIT(4096), two = BUF_INIT(4096);
	struct snap_w w1 = { .b = &one }, w2 = { .b = &two };
	struct serial *other;
	struct snap_r r;

	out(f, 2, 0x81);
	out(f, 1, 0x03);
	out(f, 7, 0x77);
	assert_int_equal(serial_feed(f->s, "abc", 3), 3);
	assert_int_equal(in(f, 0), 'a');
	serial_save(f->s, &w1, 48);
	assert_int_equal(serial_new(&other, -1, -1, f->loop, NULL, NULL), 0);
	assert_int_equal(snap_r_init(&r, one.data, one.len, NULL), 0);
	assert_int_equal(serial_load(other, &r, 48, NULL), 0);
	serial_save(other, &w2, 48);
	assert_int_equal(one.len, two.len);
	assert_memory_equal(one.data, two.data, one.len);
	assert_int_equal(serial_ops.read(other, 0, 1), 'b');
	for (size_t i = 0; i < one.len; i++)
		for (unsigned bit = 0; bit < 8; bit++) {
			one.data[i] ^= (uint8_t)(1u << bit);
			if (snap_r_init(&r, one.data, one.len, NULL) == 0 &&
			    serial_load(other, &r, 48, NULL) == 0)
				for (unsigned n = 0; n < 20; n++)
					serial_ops.read(other, n % 8, 1);
			one.data[i] ^= (uint8_t)(1u << bit);
		}
	serial_free(other);
	buf_free(&one);
	buf_free(&two);
}

static void debug_port(void **state)
{
	struct fix *f = *state;
	struct debugcon *d;
	char got[4] = "";
	int p[2];

	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	assert_int_equal(debugcon_new(&d, p[1], f->loop, NULL), 0);
	assert_int_equal(debugcon_ops.read(d, 0, 1), 0xe9);
	debugcon_ops.write(d, 0, 1, 'o');
	debugcon_ops.write(d, 0, 1, 'k');
	debugcon_free(d);
	assert_int_equal(read(p[0], got, 3), 2);
	assert_string_equal(got, "ok");
	close(p[0]);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(registers), T(sends), T(receives), T(loops_back), T(floods),
		T(hosts_that_are_gone), T(state_moves), T(debug_port),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
