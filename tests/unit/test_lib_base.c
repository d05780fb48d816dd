// SPDX-License-Identifier: Apache-2.0
/* err, buf, io, evloop. */
#include "tests/unit/check.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/cleanup.h"
#include "lib/err.h"
#include "lib/evloop.h"
#include "lib/io.h"

static void err_wraps_and_stays_one_line(void **state)
{
	struct err e = ERR_INIT;
	char big[2000];

	(void)state;
	assert_int_equal(err_set(&e, EINVAL, "bad\nvalue %d", 7), -EINVAL);
	assert_string_equal(e.msg, "bad value 7");
	assert_int_equal(err_wrap(&e, -EINVAL, "file %s", "x"), -EINVAL);
	assert_string_equal(e.msg, "file x: bad value 7");
	assert_int_equal(err_errno(&e, ENOENT, "open"), -ENOENT);
	assert_string_equal(e.msg, "open: No such file or directory");
	memset(big, 'a', sizeof(big) - 1);
	big[sizeof(big) - 1] = 0;
	err_set(&e, EIO, "cause");
	err_wrap(&e, -EIO, "%s", big);
	assert_non_null(strstr(e.msg, ": cause"));
	assert_true(strlen(e.msg) < sizeof(e.msg));
	assert_int_equal(err_set(NULL, EINVAL, "x"), -EINVAL);
	assert_int_equal(err_wrap(NULL, -3, "x"), -3);
}

static void buf_stops_at_its_cap(void **state)
{
	struct buf b = BUF_INIT(10);

	(void)state;
	assert_int_equal(buf_append(&b, "12345", 5), 0);
	assert_int_equal(buf_printf(&b, "%s", "67890"), 0);
	assert_string_equal(buf_cstr(&b), "1234567890");
	assert_true(buf_append(&b, "x", 1) < 0);
	assert_true(b.failed);
	assert_int_equal(b.len, 10);
	buf_free(&b);
	assert_int_equal(buf_append(&b, "abc", 3), 0);
	buf_consume(&b, 1);
	assert_memory_equal(b.data, "bc", 2);
	buf_free(&b);
}

static void descriptors_travel_and_surplus_is_closed(void **state)
{
	int sv[2], fds[2], got[4];
	size_t n;
	char data[8];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv), 0);
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(io_send_fds(sv[0], "hi", 2, fds, 2), 0);
	n = 4;
	assert_int_equal(io_recv_fds(sv[1], data, sizeof(data), got, &n, 0), 2);
	assert_int_equal(n, 2);
	assert_true(fcntl(got[0], F_GETFD) & FD_CLOEXEC);
	close(got[0]);
	close(got[1]);
	assert_int_equal(io_send_fds(sv[0], "hi", 2, fds, 2), 0);
	n = 1;
	assert_int_equal(io_recv_fds(sv[1], data, sizeof(data), got, &n, 0), -EMSGSIZE);
	assert_int_equal(n, 0);
	assert_int_equal(io_send_fds(sv[0], "too long for it", 15, NULL, 0), 0);
	n = 4;
	assert_int_equal(io_recv_fds(sv[1], data, sizeof(data), got, &n, 0), -EMSGSIZE);
	close(sv[0]);
	n = 4;
	assert_int_equal(io_recv_fds(sv[1], data, sizeof(data), got, &n, 0), 0);
	close(sv[1]);
	close(fds[0]);
	close(fds[1]);
}

static void files_are_replaced_whole_and_capped(void **state)
{
	char dir[] = "/tmp/husk-test-XXXXXX";
	_cleanup_close_ int dfd = -1;
	char *text, left[64];
	size_t len;

	(void)state;
	assert_non_null(mkdtemp(dir));
	dfd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(io_write_file(dfd, "f", "hello", 5, 0600), 0);
	assert_int_equal(io_write_file(dfd, "f", "bye", 3, 0600), 0);
	assert_int_equal(io_read_file(dfd, "f", 100, &text, &len), 0);
	assert_int_equal(len, 3);
	assert_string_equal(text, "bye");
	free(text);
	/* What others of this number left when they were killed. */
	for (int i = 0; i < 20; i++) {
		snprintf(left, sizeof(left), "f.%d.%d.tmp", getpid(), i);
		assert_int_equal(mknodat(dfd, left, S_IFREG | 0600, 0), 0);
	}
	assert_int_equal(io_write_file(dfd, "f", "bye", 3, 0600), 0);
	for (int i = 0; i < 20; i++) {
		snprintf(left, sizeof(left), "f.%d.%d.tmp", getpid(), i);
		assert_int_equal(unlinkat(dfd, left, 0), 0);
	}
	assert_int_equal(io_read_file(dfd, "f", 2, &text, &len), -EFBIG);
	assert_int_equal(io_read_file(dfd, "g", 2, &text, &len), -ENOENT);
	assert_int_equal(io_read_file(dfd, ".", 2, &text, &len), -EISDIR);
	assert_int_equal(unlinkat(dfd, "f", 0), 0);
	assert_int_equal(rmdir(dir), 0); /* so no temporary file stayed */
}

struct loop_case {
	struct evloop *loop;
	struct evsrc a, b;
	struct evtimer timer;
	int calls;
	int posted;
};

static void delete_both(struct evsrc *src, uint32_t events)
{
	struct loop_case *c = container_of(src, struct loop_case, a);

	(void)events;
	c->calls++;
	evloop_del(&c->a);
	evloop_del(&c->b);
	evloop_stop(c->loop);
}

static void delete_both_b(struct evsrc *src, uint32_t events)
{
	struct loop_case *c = container_of(src, struct loop_case, b);

	delete_both(&c->a, events);
}

static void a_source_deleted_in_its_round_is_not_called(void **state)
{
	struct loop_case c = { 0 };
	int p[2], q[2];

	(void)state;
	assert_int_equal(evloop_new(&c.loop, NULL), 0);
	assert_int_equal(pipe(p), 0);
	assert_int_equal(pipe(q), 0);
	assert_int_equal(write(p[1], "x", 1), 1);
	assert_int_equal(write(q[1], "x", 1), 1);
	c.a = (struct evsrc){ .fd = p[0], .fn = delete_both, .name = "a" };
	c.b = (struct evsrc){ .fd = q[0], .fn = delete_both_b, .name = "b" };
	assert_int_equal(evloop_add(c.loop, &c.a, EPOLLIN), 0);
	assert_int_equal(evloop_add(c.loop, &c.b, EPOLLIN), 0);
	assert_int_equal(evloop_run(c.loop), 0);
	assert_int_equal(c.calls, 1);
	evloop_free(c.loop);
	for (int i = 0; i < 2; i++) {
		close(p[i]);
		close(q[i]);
	}
}

static void count(void *arg)
{
	struct loop_case *c = arg;

	c->posted++;
}

static void stop(struct evtimer *t)
{
	evloop_stop(container_of(t, struct loop_case, timer)->loop);
}

static void *post_from_outside(void *arg)
{
	struct loop_case *c = arg;

	for (int i = 0; i < 100; i++)
		evloop_post(c->loop, count, c);
	evloop_call(c->loop, count, c);
	evtimer_set_ns(&c->timer, 1);
	return NULL;
}

static void posted_work_runs_on_the_loop(void **state)
{
	struct loop_case c = { 0 };
	pthread_t t;

	(void)state;
	assert_int_equal(evloop_new(&c.loop, NULL), 0);
	assert_int_equal(evtimer_init(c.loop, &c.timer, "t", stop), 0);
	assert_int_equal(pthread_create(&t, NULL, post_from_outside, &c), 0);
	assert_int_equal(evloop_run(c.loop), 0);
	pthread_join(t, NULL);
	assert_int_equal(c.posted, 101);
	evtimer_done(&c.timer);
	evloop_free(c.loop);
}

struct owner {
	struct evloop *loop;
	struct owner *victim;
	int ran;
};

static void run_owner(void *arg)
{
	struct owner *o = arg;

	o->ran++;
	if (o->victim)
		evloop_cancel(o->loop, o->victim);
}

static void stop_loop(void *arg)
{
	evloop_stop(arg);
}

/* Also from within the round in which the cancelled work stood, and at its end. */
static void cancelled_work_does_not_run(void **state)
{
	struct owner a = { 0 }, b = { 0 }, c = { 0 };

	(void)state;
	assert_int_equal(evloop_new(&a.loop, NULL), 0);
	a.victim = &b;
	assert_int_equal(evloop_post(a.loop, run_owner, &a), 0);
	assert_int_equal(evloop_post(a.loop, run_owner, &b), 0);
	assert_int_equal(evloop_post(a.loop, run_owner, &c), 0);
	assert_int_equal(evloop_post(a.loop, run_owner, &b), 0);
	assert_int_equal(evloop_turn(a.loop, 0), 0);
	assert_int_equal(a.ran, 1);
	assert_int_equal(b.ran, 0);
	assert_int_equal(c.ran, 1);
	assert_int_equal(evloop_post(a.loop, run_owner, &c), 0);
	assert_int_equal(evloop_post(a.loop, stop_loop, a.loop), 0);
	assert_int_equal(evloop_run(a.loop), 0);
	assert_int_equal(c.ran, 2);
	evloop_free(a.loop);
}

static void ranges_do_not_overflow(void **state)
{
	static const struct {
		const char *why;
		uint64_t off, len, size;
		bool within;
	} rows[] = {
		{ "whole", 0, 10, 10, true },
		{ "empty at the end", 10, 0, 10, true },
		{ "one beyond", 1, 10, 10, false },
		{ "sum wraps", UINT64_MAX, 2, 10, false },
		{ "length wraps", 1, UINT64_MAX, UINT64_MAX, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check_row(rows[i].why,
			  range_within(rows[i].off, rows[i].len, rows[i].size) == rows[i].within);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(err_wraps_and_stays_one_line),
		cmocka_unit_test(buf_stops_at_its_cap),
		cmocka_unit_test(descriptors_travel_and_surplus_is_closed),
		cmocka_unit_test(files_are_replaced_whole_and_capped),
		cmocka_unit_test(a_source_deleted_in_its_round_is_not_called),
		cmocka_unit_test(posted_work_runs_on_the_loop),
		cmocka_unit_test(cancelled_work_does_not_run),
		cmocka_unit_test(ranges_do_not_overflow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
