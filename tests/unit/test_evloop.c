// SPDX-License-Identifier: Apache-2.0
/* The loop's turns: posted work beside descriptors, its end, and the policy of its thread. */
#include "tests/unit/check.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/evloop.h"
#include "lib/io.h"
#include "tests/unit/sched_seen.h"

/* ---- what is posted ----------------------------------------------------------------------------------- */

#define AGAIN_MAX 1000

struct work {
	struct evloop *l;
	const void *victim; /* cancelled */
	unsigned ran;
	unsigned saw; /* what @other had run by then */
	const struct work *other;
};

static void again(void *arg)
{
	struct work *w = arg;

	if (++w->ran < AGAIN_MAX)
		evloop_post(w->l, again, w);
}

static void cancel(void *arg)
{
	struct work *w = arg;

	w->ran++;
	evloop_cancel(w->l, w->victim);
}

static void note(void *arg)
{
	struct work *w = arg;

	w->ran++;
	w->saw = w->other->ran;
}

static void on_fd(struct evsrc *src, uint32_t events)
{
	(void)events;
	assert_int_equal(read(src->fd, &(char){ 0 }, 1), 1);
	src->fd = -src->fd;
}

/* Work that posts itself again has one turn of the loop's, whatever becomes of what stood behind it. */
static void a_turn_is_what_was_posted_before(void **state)
{
	struct work self = { 0 }, canceller = { 0 }, gone = { 0 }, last = { .other = &self };
	struct evsrc fd = { .fn = on_fd, .name = "fd" };
	int p[2];

	(void)state;
	assert_int_equal(evloop_new(&self.l, NULL), 0);
	assert_int_equal(pipe(p), 0);
	canceller.l = gone.l = last.l = self.l;
	canceller.victim = &gone;
	gone.other = &self;
	for (unsigned round = 0; round < 2; round++) {
		/* The last one of the turn is cancelled, or there. */
		self.ran = canceller.ran = last.ran = 0;
		assert_int_equal(evloop_post(self.l, again, &self), 0);
		assert_int_equal(evloop_post(self.l, cancel, &canceller), 0);
		assert_int_equal(evloop_post(self.l, note, round ? &last : &gone), 0);
		assert_int_equal(evloop_turn(self.l, 0), 0);
		assert_int_equal(self.ran, 1);
		assert_int_equal(canceller.ran, 1);
		assert_int_equal(gone.ran, 0);
		assert_int_equal(last.ran, round);
		if (round)
			assert_int_equal(last.saw, 1);
		/* A descriptor has its turn. */
		fd.fd = p[0];
		assert_int_equal(evloop_add(self.l, &fd, EPOLLIN), 0);
		assert_int_equal(write(p[1], "x", 1), 1);
		assert_int_equal(evloop_turn(self.l, 0), 0);
		assert_int_equal(fd.fd, -p[0]);
		assert_int_equal(self.ran, 2);
		fd.fd = p[0];
		evloop_del(&fd);
		evloop_cancel(self.l, &self);
		evloop_turn(self.l, 0);
	}
	evloop_free(self.l);
	close(p[0]);
	close(p[1]);
}

/* Somebody calls the loop, finds it running, and is held up until it has ended: the call is run all the same. */
static struct evloop *ending;
static pthread_t its_thread;

int pthread_cond_init(pthread_cond_t *c, const pthread_condattr_t *a)
{
	struct evloop *l = ending;

	assert_null(a);
	*c = (pthread_cond_t)PTHREAD_COND_INITIALIZER;
	ending = NULL;
	if (l) {
		evloop_stop(l);
		pthread_join(its_thread, NULL);
	}
	return 0;
}

static void *run_loop(void *arg)
{
	evloop_run(arg);
	return NULL;
}

static void says_so(void *arg)
{
	atomic_store((atomic_bool *)arg, true);
}

static void add_one(void *arg)
{
	++*(unsigned *)arg;
}

static void a_call_at_the_end_is_run(void **state)
{
	atomic_bool runs = false;
	unsigned ran = 0;
	struct evloop *l;

	(void)state;
	assert_int_equal(evloop_new(&l, NULL), 0);
	assert_int_equal(pthread_create(&its_thread, NULL, run_loop, l), 0);
	assert_int_equal(evloop_post(l, says_so, &runs), 0);
	while (!atomic_load(&runs))
		usleep(1000);
	ending = l;
	alarm(60); /* it would be waited for for ever */
	assert_int_equal(evloop_call(l, add_one, &ran), 0);
	alarm(0);
	assert_null(ending);
	assert_int_equal(ran, 1);
	evloop_free(l);
}

/* ---- the policy --------------------------------------------------------------------------------------- */

struct beat {
	struct evloop *l;
	struct evtimer timer;
	struct evbatch *used; /* by each beat; NULL: none */
	unsigned left;
};

#define BEAT_NS 5000000u

static void beat(struct evtimer *t)
{
	struct beat *b = container_of(t, struct beat, timer);

	if (b->used)
		evloop_batch(b->l, b->used, true);
	if (--b->left)
		evtimer_set_ns(t, BEAT_NS);
	else
		evloop_stop(b->l);
}

/* Runs the loop for @n beats of somebody in it. */
static void run_beats(struct evloop *l, unsigned n, struct evbatch *used)
{
	struct beat b = { .l = l, .used = used, .left = n };

	assert_int_equal(evtimer_init(l, &b.timer, "beat", beat), 0);
	assert_int_equal(evtimer_set_ns(&b.timer, BEAT_NS), 0);
	while (b.left)
		assert_int_equal(evloop_turn(l, 1000), 0);
	evloop_turn(l, 0);
	evtimer_done(&b.timer);
}

static void begin(struct evloop **l)
{
	policy = SCHED_OTHER;
	changes = 0;
	assert_int_equal(evloop_new(l, NULL), 0);
}

static void nothing_comes_any_more(void **state)
{
	struct evbatch a = { .on = false }, b = { .on = false };
	struct evloop *l;
	uint64_t before;

	(void)state;
	begin(&l);
	for (unsigned i = 1; i <= 3; i++) {
		evloop_batch(l, &a, true);
		evloop_batch(l, &b, true);
		evloop_batch(l, &a, true);
		assert_int_equal(policy, SCHED_BATCH);
		before = io_now_ns();
		assert_int_equal(evloop_turn(l, 300), 0);
		/* The wait is as long as it was to be. */
		assert_in_range(io_now_ns() - before, 290000000, UINT64_MAX);
		assert_false(a.on || b.on);
		assert_int_equal(policy, SCHED_OTHER);
		assert_int_equal(changes, 2 * i);
	}
	evloop_free(l);
}

/* Other sources of the loop do not keep it so. */
static void others_go_on(void **state)
{
	struct evbatch a = { .on = false }, b = { .on = false };
	struct evloop *l;

	(void)state;
	begin(&l);
	evloop_batch(l, &a, true);
	evloop_batch(l, &b, true);
	run_beats(l, 60, &b);
	assert_false(a.on);
	assert_true(b.on);
	assert_int_equal(policy, SCHED_BATCH);
	assert_int_equal(changes, 1);
	run_beats(l, 60, NULL);
	assert_false(b.on);
	assert_int_equal(policy, SCHED_OTHER);
	assert_int_equal(changes, 2);
	evloop_free(l);
}

static void in_any_order(void **state)
{
	struct evbatch v[3] = { { .on = false } };
	static const unsigned order[][3] = { { 0, 1, 2 }, { 2, 1, 0 }, { 1, 0, 2 }, { 1, 2, 0 } };
	struct evloop *l;

	(void)state;
	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		begin(&l);
		evloop_batch(l, &v[0], false);
		assert_int_equal(changes, 0);
		for (unsigned k = 0; k < 3; k++)
			evloop_batch(l, &v[k], true);
		for (unsigned k = 0; k < 3; k++) {
			assert_int_equal(policy, SCHED_BATCH);
			evloop_batch(l, &v[order[i][k]], false);
			assert_false(v[order[i][k]].on);
		}
		assert_int_equal(policy, SCHED_OTHER);
		assert_int_equal(changes, 2);
		evloop_free(l);
	}
}

/* Sources are freed on whatever thread, when the loop has ended: it leaves none behind that is on. */
static void the_loop_ends(void **state)
{
	struct evbatch a = { .on = false };
	struct evloop *l;

	(void)state;
	begin(&l);
	evloop_batch(l, &a, true);
	evloop_stop(l);
	assert_int_equal(evloop_run(l), 0);
	assert_false(a.on);
	assert_int_equal(policy, SCHED_OTHER);
	assert_int_equal(changes, 2);
	evloop_batch(l, &a, false);
	assert_int_equal(changes, 2);
	evloop_free(l);
}

/* ---- listeners ----------------------------------------------------------------------------------------- */

struct listener {
	struct evsrc src;
	unsigned asked;
	int rc; /* of the last time */
};

static void on_connection(struct evsrc *src, uint32_t events)
{
	struct listener *a = container_of(src, struct listener, src);

	(void)events;
	a->asked++;
	a->rc = evloop_accept(src, SOCK_NONBLOCK);
}

/* A socket that listens at an address of the kernel's choice, and one that has connected to it. */
static int connected(struct listener *a)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	socklen_t len = sizeof(at);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	*a = (struct listener){ .src = { .fn = on_connection } };
	a->src.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(a->src.fd, (struct sockaddr *)&at, sizeof(sa_family_t)), 0);
	assert_int_equal(listen(a->src.fd, 4), 0);
	assert_int_equal(getsockname(a->src.fd, (struct sockaddr *)&at, &len), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&at, len), 0);
	return fd;
}

/* Without a descriptor for a connection the thread does not spin; when there is one again the connection is had, of a listener
 * that was taken away meanwhile nothing is. */
static void a_listener_without_descriptors_rests(void **state)
{
	struct rlimit before, few;
	struct listener a, gone;
	struct evloop *l;
	uint64_t begin, end;
	unsigned most;
	int clients[2];

	(void)state;
	assert_int_equal(evloop_new(&l, NULL), 0);
	clients[0] = connected(&a);
	clients[1] = connected(&gone);
	assert_int_equal(evloop_add(l, &a.src, EPOLLIN), 0);
	assert_int_equal(evloop_add(l, &gone.src, EPOLLIN), 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	few = (struct rlimit){ .rlim_cur = 3, .rlim_max = before.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	begin = io_now_ns();
	end = begin + 2 * EVLOOP_REST_MS * UINT64_C(1000000);
	alarm(60); /* the turns have no end of their own */
	while (a.asked < 2 || gone.asked < 2 || io_now_ns() < end)
		evloop_turn(l, -1);
	alarm(0);
	assert_int_equal(a.rc, -EMFILE);
	/* 4, or as many more as the test was late. */
	most = (unsigned)((io_now_ns() - begin) / (EVLOOP_REST_MS * UINT64_C(1000000))) + 2;
	assert_in_range(a.asked, 2, most);
	assert_in_range(gone.asked, 2, most);
	/* Asked directly, it rests once. */
	assert_int_equal(evloop_accept(&a.src, 0), -EMFILE);
	assert_int_equal(evloop_accept(&a.src, 0), -EMFILE);
	evloop_del(&gone.src);
	gone.asked = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	for (end = io_now_ns() + 200 * EVLOOP_REST_MS * UINT64_C(1000000); a.rc < 0 && io_now_ns() < end;)
		evloop_turn(l, 10);
	assert_true(a.rc >= 0);
	assert_int_equal(gone.asked, 0);
	evloop_del(&a.src);
	close(a.rc);
	close(a.src.fd);
	close(gone.src.fd);
	close(clients[0]);
	close(clients[1]);
	evloop_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_turn_is_what_was_posted_before),
		cmocka_unit_test(a_call_at_the_end_is_run),
		cmocka_unit_test(nothing_comes_any_more),
		cmocka_unit_test(others_go_on),
		cmocka_unit_test(in_any_order),
		cmocka_unit_test(the_loop_ends),
		cmocka_unit_test(a_listener_without_descriptors_rests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
