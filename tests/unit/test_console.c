// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/check.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/io.h"
#include "tests/lib/until.h"
#include "tests/lib/vdev_suite.h"
#include "vmm/virtio/console_tail.h"

enum { RXQ, TXQ };

static const struct console_cfg none = { .in_fd = -1, .out_fd = -1, .cols = 80, .rows = 25 };

static const void *suite_cfg(void)
{
	return &none;
}

static void suite_work(struct fakedrv *f)
{
	char tail[64];

	assert_int_equal(fdv_request(f, TXQ, "hello\n", 6, NULL, 0), 0);
	assert_true(console_tail(f->d, tail, sizeof(tail)) >= 6);
	assert_non_null(strstr(tail, "hello\n"));
}

static void suite_pend(struct fakedrv *f)
{
	struct fdv_seg seg = { fdv_alloc(f, 64, 8), 64, true };

	assert_true(fdv_add(f, RXQ, &seg, 1) >= 0);
	fdv_kick(f, RXQ);
}

static const struct vdev_suite suite = {
	.cls = &console_class,
	.cfg = suite_cfg,
	.work = suite_work,
	.pend = suite_pend,
	.pops = 1u << TXQ,
	.endless = { .q = TXQ, .out = 4096 },
};

static void begin(struct fakedrv *f, int in, int out)
{
	const struct console_cfg cfg = { .in_fd = in, .out_fd = out, .cols = 132, .rows = 43 };
	const struct fdv_opts o = { .ram_low = MIB(8) };

	fdv_init(f, &o);
	assert_int_equal(fdv_create(f, &console_class, &cfg, NULL), 0);
	fdv_start(f, ~0ull);
}

static void test_text(void **state)
{
	static const struct {
		const char *why, *in;
		size_t size;
		const char *want;
	} rows[] = {
		{ "plain", "one\ntwo\n", 64, "one\ntwo\n" },
		{ "whole lines as far as they fit", "one\ntwo\nthree\n", 11, "two\nthree\n" },
		{ "no piece of a line before whole ones", "one\ntwo\nthree\n", 9, "three\n" },
		{ "no line fits: the end of one", "0123456789", 5, "6789" },
		{ "the only line's end is the last byte", "0123456789\n", 5, "789\n" },
		{ "exactly", "abc\n", 5, "abc\n" },
		{ "room for the NUL alone", "abc\n", 1, "" },
		{ "colours", "\033[1;31mred\033[0m\n", 64, "red\n" },
		{ "a title, ended by BEL", "\033]0;title\007text", 64, "text" },
		{ "a title, ended by ST", "\033]0;title\033\\text", 64, "text" },
		{ "a title that never ends hides one line", "\033]0;title\nnext\n", 64, "\nnext\n" },
		{ "a charset", "\033(Btext", 64, "text" },
		{ "control characters", "a\r\n\001b\tc\177\n", 64, "a\nb\tc\n" },
		{ "bytes beyond ASCII", "\xc3\xa4x\n", 64, "??x\n" },
		{ "an escape at the end", "ab\033", 64, "ab" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct console_ring *r = calloc(1, sizeof(*r));
		char dst[64];
		size_t n;

		memset(dst, 0x7e, sizeof(dst));
		console_ring_init(r);
		console_ring_put(r, rows[i].in, strlen(rows[i].in));
		n = console_ring_text(r, dst, rows[i].size);
		check_row(rows[i].why, n == strlen(rows[i].want) && strcmp(dst, rows[i].want) == 0);
		check_row(rows[i].why, rows[i].size == sizeof(dst) || dst[rows[i].size] == 0x7e);
		assert_int_equal(console_ring_text(r, dst, 0), 0);
		console_ring_done(r);
		free(r);
	}
}

static void test_ring_wraps(void **state)
{
	struct console_ring *r = calloc(1, sizeof(*r));
	static char big[3 * CONSOLE_TAIL], dst[CONSOLE_TAIL + 16];

	(void)state;
	console_ring_init(r);
	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (char)('a' + i % 23);
	console_ring_put(r, "x", 1);
	console_ring_put(r, big, sizeof(big));
	assert_int_equal(console_ring_text(r, dst, sizeof(dst)), CONSOLE_TAIL);
	assert_memory_equal(dst, big + 2 * CONSOLE_TAIL, CONSOLE_TAIL);
	console_ring_put(r, "the end", 7);
	assert_int_equal(console_ring_text(r, dst, sizeof(dst)), CONSOLE_TAIL);
	assert_memory_equal(dst, big + 2 * CONSOLE_TAIL + 7, CONSOLE_TAIL - 7);
	assert_memory_equal(dst + CONSOLE_TAIL - 7, "the end", 7);
	console_ring_done(r);
	free(r);
}

/* One request of @n times the same @len bytes. */
static void put_repeated(struct fakedrv *f, char byte, uint32_t len, unsigned n)
{
	struct fdv_seg seg[64];
	uint16_t head;
	uint32_t used;
	gpa_t at = fdv_alloc(f, len, 8);

	memset(fdv_ptr(f, at, len), byte, len);
	for (unsigned i = 0; i < n; i++)
		seg[i] = (struct fdv_seg){ at, len, false };
	assert_true(fdv_add(f, TXQ, seg, n) >= 0);
	fdv_kick(f, TXQ);
	assert_true(fdv_wait_used(f, TXQ, &head, &used, 1000));
	fdv_free_all(f);
}

static uint64_t drain(struct fakedrv *f, int fd)
{
	static char b[65536];
	uint64_t sum = 0;
	bool idle = false;

	for (;;) {
		ssize_t n = read(fd, b, sizeof(b));

		if (n <= 0 && idle)
			return sum;
		idle = n <= 0 && loop_sleeps(f->loop);
		sum += n > 0 ? (uint64_t)n : 0;
	}
}

/* A reader that never reads: the guest goes on, memory stays bounded, losses are counted exactly. */
static void test_stalled_output(void **state)
{
	uint64_t put = 0, got;
	struct fakedrv f;
	char tail[8];
	int p[2];

	(void)state;
	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	io_set_nonblock(p[0], true);
	begin(&f, -1, p[1]);
	for (unsigned i = 0; i < 100; i++, put += 40000)
		put_repeated(&f, 'a', 4000, 10);
	put_repeated(&f, 'z', 10, 1);
	put += 10;
	assert_true(console_dropped(f.d) > 0);
	assert_int_equal(console_tail(f.d, tail, sizeof(tail)), 7);
	assert_string_equal(tail, "zzzzzzz");
	got = drain(&f, p[0]);
	assert_true(got >= CONSOLE_OUT_BUF);
	assert_int_equal(got + console_dropped(f.d), put);
	/* It reads again: nothing more is lost. */
	put = console_dropped(f.d);
	put_repeated(&f, 'b', 4000, 10);
	assert_int_equal(drain(&f, p[0]), 40000);
	assert_int_equal(console_dropped(f.d), put);
	/* It goes away. */
	close(p[0]);
	put_repeated(&f, 'c', 4000, 1);
	assert_int_equal(console_dropped(f.d), put + 4000);
	put_repeated(&f, 'd', 10, 1);
	assert_int_equal(console_tail(f.d, tail, sizeof(tail)), 7);
	assert_string_equal(tail, "ddddddd");
	fdv_done(&f);
}

/* A request of a GiB costs no more than one of a turn's worth. */
static void test_huge_request(void **state)
{
	uint64_t before = cpu_now_ns();
	struct fakedrv f;

	(void)state;
	begin(&f, -1, -1);
	put_repeated(&f, 'a', 4u << 20, 60);
	assert_true(cpu_now_ns() - before < 2000000000u);
	assert_int_equal(console_dropped(f.d), 60 * MIB(4) - KIB(256));
	assert_false(fdv_needs_reset(&f));
	fdv_done(&f);
}

static void test_regular_file(void **state)
{
	int fd = memfd_create("out", MFD_CLOEXEC), keep = dup(fd);
	struct fakedrv f;
	char b[16] = "";

	(void)state;
	begin(&f, -1, fd);
	assert_int_equal(fdv_request(&f, TXQ, "to a file\n", 10, NULL, 0), 0);
	assert_int_equal(pread(keep, b, sizeof(b), 0), 10);
	assert_string_equal(b, "to a file\n");
	fdv_done(&f);
	close(keep);
}

static void add_input(struct fakedrv *f, uint32_t len, gpa_t *ret)
{
	struct fdv_seg seg = { fdv_alloc(f, len, 8), len, true };

	assert_true(fdv_add(f, RXQ, &seg, 1) >= 0);
	*ret = seg.at;
}

static void test_input(void **state)
{
	struct fakedrv f;
	uint16_t head;
	uint32_t len;
	int sv[2];
	gpa_t a, b;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	assert_int_equal(write(sv[0], "early", 5), 5);
	begin(&f, sv[1], sv[1]); /* one descriptor for both ways */
	/* Without buffers the loop sleeps. */
	assert_true(loop_sleeps(f.loop));
	add_input(&f, 3, &a);
	add_input(&f, 64, &b);
	fdv_kick(&f, RXQ);
	assert_true(fdv_wait_used(&f, RXQ, &head, &len, 1000));
	assert_int_equal(len, 3);
	assert_memory_equal(fdv_ptr(&f, a, 3), "ear", 3);
	assert_true(fdv_wait_used(&f, RXQ, &head, &len, 1000));
	assert_int_equal(len, 2);
	assert_memory_equal(fdv_ptr(&f, b, 2), "ly", 2);
	add_input(&f, 64, &a);
	fdv_kick(&f, RXQ);
	fdv_run(&f, 5);
	assert_false(fdv_used(&f, RXQ, &head, &len));
	assert_int_equal(write(sv[0], "x", 1), 1);
	assert_true(fdv_wait_used(&f, RXQ, &head, &len, 1000));
	assert_int_equal(len, 1);
	assert_true(atomic_load(&f.irqs[RXQ]) > 0);
	/* Output works beside it, and the other side's end spins nothing. */
	assert_int_equal(fdv_request(&f, TXQ, "out", 3, NULL, 0), 0);
	close(sv[0]);
	assert_true(loop_sleeps(f.loop));
	fdv_done(&f);
}

/* What a driver may not put into the receive queue. */
static void test_readable_input(void **state)
{
	struct fdv_seg seg;
	struct fakedrv f;
	int sv[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	assert_int_equal(write(sv[0], "x", 1), 1);
	begin(&f, sv[1], -1);
	seg = (struct fdv_seg){ fdv_alloc(&f, 64, 8), 64, false };
	assert_true(fdv_add(&f, RXQ, &seg, 1) >= 0);
	fdv_kick(&f, RXQ);
	assert_true(fdv_needs_reset(&f));
	assert_int_equal(f.d->vq[RXQ].in_flight, 0);
	fdv_reset(&f);
	fdv_start(&f, ~0ull);
	add_input(&f, 64, &seg.at);
	fdv_kick(&f, RXQ);
	assert_true(until(f.loop, fdv_used_idx(&f, RXQ) == 1));
	fdv_done(&f);
	close(sv[0]);
}

/* --- watchers ------------------------------------------------------------------------------------ */

struct watched {
	struct fakedrv f;
	int sv[2];
};

static void watch(struct watched *w, bool input, bool once)
{
	begin(&w->f, -1, -1);
	assert_int_equal(fdv_request(&w->f, TXQ, "before\n", 7, NULL, 0), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, w->sv), 0);
	io_set_nonblock(w->sv[0], true);
	assert_int_equal(console_attach(w->f.d, w->sv[1], input ? dup(w->sv[1]) : -1, once, NULL), 0);
}

static void reads(int fd, const char *want)
{
	char b[64] = "";

	assert_int_equal(read(fd, b, sizeof(b) - 1), strlen(want));
	assert_string_equal(b, want);
}

static bool ended(int fd)
{
	char b;

	return read(fd, &b, 1) == 0;
}

static void test_watch(void **state)
{
	struct watched w;
	uint16_t head;
	uint32_t len;
	gpa_t a;

	(void)state;
	watch(&w, true, false);
	reads(w.sv[0], "before\n");
	assert_int_equal(fdv_request(&w.f, TXQ, "after\n", 6, NULL, 0), 0);
	reads(w.sv[0], "after\n");
	assert_true(loop_sleeps(w.f.loop));
	/* It writes, too. */
	add_input(&w.f, 64, &a);
	fdv_kick(&w.f, RXQ);
	assert_int_equal(write(w.sv[0], "key", 3), 3);
	assert_true(fdv_wait_used(&w.f, RXQ, &head, &len, 1000));
	assert_int_equal(len, 3);
	assert_memory_equal(fdv_ptr(&w.f, a, 3), "key", 3);
	/* Its input ends, its output goes on; then it goes, and its place is free. */
	assert_int_equal(shutdown(w.sv[0], SHUT_WR), 0);
	fdv_run(&w.f, 5);
	assert_int_equal(fdv_request(&w.f, TXQ, "more\n", 5, NULL, 0), 0);
	reads(w.sv[0], "more\n");
	close(w.sv[0]);
	fdv_run(&w.f, 5);
	assert_int_equal(fdv_request(&w.f, TXQ, "alone\n", 6, NULL, 0), 0);
	assert_true(loop_sleeps(w.f.loop));
	for (unsigned i = 0; i < CONSOLE_WATCHERS; i++) {
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, w.sv), 0);
		assert_int_equal(console_attach(w.f.d, w.sv[1], -1, false, NULL), 0);
		assert_int_equal(recv(w.sv[0], &head, 2, MSG_DONTWAIT), 2);
		if (i + 1 < CONSOLE_WATCHERS) {
			close(w.sv[0]);
			fdv_run(&w.f, 5);
		}
	}
	fdv_done(&w.f);
	close(w.sv[0]);
}

static void test_watch_once(void **state)
{
	struct watched w;

	(void)state;
	watch(&w, false, true);
	reads(w.sv[0], "before\n");
	assert_true(ended(w.sv[0]));
	close(w.sv[0]);
	fdv_done(&w.f);
}

/* The device's end is the watcher's, behind the last byte. */
static void test_watch_end(void **state)
{
	struct watched w;

	(void)state;
	watch(&w, false, false);
	assert_int_equal(fdv_request(&w.f, TXQ, "last\n", 5, NULL, 0), 0);
	fdv_done(&w.f);
	reads(w.sv[0], "before\nlast\n");
	assert_true(ended(w.sv[0]));
	close(w.sv[0]);
}

/* Who does not read misses the middle; the newest CONSOLE_TAIL bytes are there when it reads again, and the
 * guest never waited. */
static void test_watch_stalled(void **state)
{
	static const unsigned requests = 200;
	struct watched w;
	uint64_t got;

	(void)state;
	watch(&w, false, false);
	for (unsigned i = 0; i < requests; i++)
		put_repeated(&w.f, 'a', 4000, 10);
	got = drain(&w.f, w.sv[0]);
	assert_true(got >= CONSOLE_TAIL);
	assert_true(got < requests * UINT64_C(40000));
	put_repeated(&w.f, 'z', 10, 1);
	reads(w.sv[0], "zzzzzzzzzz");
	close(w.sv[0]);
	fdv_done(&w.f);
}

static void test_watchers_full(void **state)
{
	int sv[CONSOLE_WATCHERS + 1][2];
	struct fakedrv f;
	struct err e = ERR_INIT;

	(void)state;
	begin(&f, -1, -1);
	for (unsigned i = 0; i <= CONSOLE_WATCHERS; i++)
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv[i]), 0);
	for (unsigned i = 0; i < CONSOLE_WATCHERS; i++) {
		if (i == 1)
			assert_int_equal(console_attach(f.d, sv[1][1], sv[1][1], false, &e), -EEXIST);
		assert_int_equal(console_attach(f.d, sv[i][1], i == 0 ? dup(sv[i][1]) : -1, false, &e), 0);
	}
	assert_int_equal(console_attach(f.d, sv[CONSOLE_WATCHERS][1], -1, false, &e), -EBUSY);
	close(sv[2][0]);
	fdv_run(&f, 5);
	assert_int_equal(console_attach(f.d, sv[CONSOLE_WATCHERS][1], -1, false, &e), 0);
	fdv_done(&f);
	for (unsigned i = 0; i <= CONSOLE_WATCHERS; i++)
		if (i != 2)
			close(sv[i][0]);
}

static void test_resize(void **state)
{
	uint16_t size[2];
	struct fakedrv f;

	(void)state;
	begin(&f, -1, -1);
	vdev_config_read(f.d, 0, size, sizeof(size));
	assert_int_equal(size[0], 132);
	assert_int_equal(size[1], 43);
	console_resize(f.d, 132, 43);
	assert_int_equal(atomic_load(&f.config_irqs), 0);
	console_resize(f.d, 65535, 1);
	assert_int_equal(atomic_load(&f.config_irqs), 1);
	vdev_config_read(f.d, 0, size, sizeof(size));
	assert_int_equal(size[0], 65535);
	assert_int_equal(size[1], 1);
	fdv_done(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		VDEV_SUITE_TESTS(&suite),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_ring_wraps),
		cmocka_unit_test(test_stalled_output),
		cmocka_unit_test(test_huge_request),
		cmocka_unit_test(test_regular_file),
		cmocka_unit_test(test_input),
		cmocka_unit_test(test_readable_input),
		cmocka_unit_test(test_watch),
		cmocka_unit_test(test_watch_once),
		cmocka_unit_test(test_watch_end),
		cmocka_unit_test(test_watch_stalled),
		cmocka_unit_test(test_watchers_full),
		cmocka_unit_test(test_resize),
	};

	signal(SIGPIPE, SIG_IGN); /* as every program of ours does */
	return cmocka_run_group_tests_name("console", tests, NULL, NULL);
}
