// SPDX-License-Identifier: Apache-2.0
#include "lib/evloop.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "lib/evbatch.h"
#include "lib/io.h"

#define TURN_EVENTS 32

struct posted {
	struct posted *next;
	void (*fn)(void *arg);
	void *arg;
};

struct evloop {
	int epfd;
	struct evsrc wake; /* eventfd: posted work or stop */
	atomic_bool stop;
	atomic_bool running;
	pthread_t thread;
	pthread_mutex_t lock; /* guards what is posted, and the end of running */
	struct posted *first, **last;
	struct posted *due; /* of it, what runs now: the thread's own */
	/* Sources of the round that is being dispatched; evloop_del() clears entries in it. */
	struct epoll_event round[TURN_EVENTS];
	int round_len;
	struct evbatches batches;
	struct evsrc *resting; /* listeners, until then */
	uint64_t rest_until_ns;
};

static void wake(struct evloop *l)
{
	uint64_t one = 1;
	ssize_t rc = write(l->wake.fd, &one, sizeof(one));

	(void)rc;
}

/* All that has been posted is due from now on; what comes later has its turn after the descriptors have had theirs, so that
 * work which posts itself again keeps nobody from the loop. */
static void take_posted_locked(struct evloop *l)
{
	struct posted **end = &l->due;

	while (*end)
		end = &(*end)->next;
	*end = l->first;
	l->first = NULL;
	l->last = &l->first;
}

static void run_due(struct evloop *l)
{
	struct posted *p;

	/* Each may cancel others. */
	while ((p = l->due)) {
		l->due = p->next;
		p->fn(p->arg);
		free(p);
	}
}

static void run_posted(struct evsrc *src, uint32_t events)
{
	struct evloop *l = container_of(src, struct evloop, wake);
	uint64_t n;
	ssize_t rc = read(src->fd, &n, sizeof(n));

	(void)rc;
	(void)events;
	pthread_mutex_lock(&l->lock);
	take_posted_locked(l);
	pthread_mutex_unlock(&l->lock);
	run_due(l);
}

/* The end of the list that is left. */
static struct posted **cancel(struct posted **at, const void *arg)
{
	struct posted *p;

	while ((p = *at)) {
		if (p->arg != arg) {
			at = &p->next;
			continue;
		}
		*at = p->next;
		free(p);
	}
	return at;
}

void evloop_cancel(struct evloop *l, const void *arg)
{
	cancel(&l->due, arg);
	pthread_mutex_lock(&l->lock);
	l->last = cancel(&l->first, arg);
	pthread_mutex_unlock(&l->lock);
}

int evloop_new(struct evloop **ret, struct err *e)
{
	struct evloop *l = calloc(1, sizeof(*l));
	int rc;

	if (!l)
		return err_set(e, ENOMEM, "event loop: out of memory");
	l->last = &l->first;
	pthread_mutex_init(&l->lock, NULL);
	l->wake.fd = -1;
	l->epfd = epoll_create1(EPOLL_CLOEXEC);
	if (l->epfd < 0) {
		rc = err_errno(e, errno, "epoll_create1");
		goto fail;
	}
	l->wake.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (l->wake.fd < 0) {
		rc = err_errno(e, errno, "eventfd");
		goto fail;
	}
	l->wake.fn = run_posted;
	l->wake.name = "wake";
	rc = evloop_add(l, &l->wake, EPOLLIN);
	if (rc < 0) {
		rc = err_errno(e, -rc, "epoll_ctl");
		goto fail;
	}
	*ret = l;
	return 0;
fail:
	evloop_free(l);
	return rc;
}

void evloop_free(struct evloop *l)
{
	if (!l)
		return;
	take_posted_locked(l);
	while (l->due) {
		struct posted *p = l->due;

		l->due = p->next;
		free(p);
	}
	if (l->wake.fd >= 0)
		close(l->wake.fd);
	if (l->epfd >= 0)
		close(l->epfd);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

int evloop_add(struct evloop *l, struct evsrc *src, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = src };

	if (epoll_ctl(l->epfd, EPOLL_CTL_ADD, src->fd, &ev) < 0)
		return -errno;
	src->loop = l;
	return 0;
}

int evloop_mod(struct evsrc *src, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = src };

	if (!src->loop)
		return -EINVAL;
	return epoll_ctl(src->loop->epfd, EPOLL_CTL_MOD, src->fd, &ev) < 0 ? -errno : 0;
}

/* Where the list of those that rest has it, or ends. */
static struct evsrc **resting_at(const struct evsrc *src)
{
	struct evsrc **at = &src->loop->resting;

	while (*at && *at != src)
		at = &(*at)->next_resting;
	return at;
}

void evloop_del(struct evsrc *src)
{
	struct evloop *l = src->loop;
	struct evsrc **at;

	if (!l)
		return;
	epoll_ctl(l->epfd, EPOLL_CTL_DEL, src->fd, NULL);
	at = resting_at(src);
	if (*at)
		*at = src->next_resting;
	for (int i = 0; i < l->round_len; i++)
		if (l->round[i].data.ptr == src)
			l->round[i].data.ptr = NULL;
	src->loop = NULL;
}

/* ---- listeners that rest ---------------------------------------------------------------------------------- */

int evloop_accept(struct evsrc *src, int flags)
{
	int fd = accept4(src->fd, NULL, NULL, SOCK_CLOEXEC | flags), why = errno;
	struct evloop *l = src->loop;

	if (fd >= 0)
		return fd;
	if (l && (why == EMFILE || why == ENFILE || why == ENOBUFS || why == ENOMEM) && evloop_mod(src, 0) == 0) {
		if (!*resting_at(src)) {
			src->next_resting = l->resting;
			l->resting = src;
		}
		l->rest_until_ns = io_now_ns() + EVLOOP_REST_MS * UINT64_C(1000000);
	}
	return -why;
}

/* The time that may be waited: none rests beyond its time. */
static int end_rests(struct evloop *l, int timeout_ms)
{
	uint64_t now;
	int left;

	if (!l->resting)
		return timeout_ms;
	now = io_now_ns();
	if (now < l->rest_until_ns) {
		left = (int)((l->rest_until_ns - now) / 1000000) + 1;
		return timeout_ms < 0 ? left : min_t(int, timeout_ms, left);
	}
	for (struct evsrc *src = l->resting; src; src = src->next_resting)
		evloop_mod(src, EPOLLIN);
	l->resting = NULL;
	return timeout_ms;
}

/* ---- turns --------------------------------------------------------------------------------------------- */

void evloop_batch(struct evloop *l, struct evbatch *b, bool on)
{
	evbatches_set(&l->batches, b, on);
}

static int wait_for_events(struct evloop *l, int timeout_ms)
{
	int n;

	if (!l->batches.first || (timeout_ms >= 0 && timeout_ms <= EVBATCH_IDLE_MS))
		return epoll_wait(l->epfd, l->round, TURN_EVENTS, timeout_ms);
	n = epoll_wait(l->epfd, l->round, TURN_EVENTS, EVBATCH_IDLE_MS);
	if (n != 0)
		return n;
	evbatches_end(&l->batches);
	return epoll_wait(l->epfd, l->round, TURN_EVENTS, timeout_ms < 0 ? -1 : timeout_ms - EVBATCH_IDLE_MS);
}

int evloop_turn(struct evloop *l, int timeout_ms)
{
	int n = wait_for_events(l, end_rests(l, timeout_ms));

	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	l->round_len = n;
	for (int i = 0; i < n; i++) {
		struct evsrc *src = l->round[i].data.ptr;

		if (src)
			src->fn(src, l->round[i].events);
	}
	l->round_len = 0;
	evbatches_look(&l->batches);
	return 0;
}

int evloop_run(struct evloop *l)
{
	int rc = 0;

	l->thread = pthread_self();
	atomic_store(&l->running, true);
	while (rc == 0 && !atomic_load(&l->stop))
		rc = evloop_turn(l, -1);
	/* Whoever waits in evloop_call() must not wait for ever: what is posted after this comes to be run by its caller. */
	run_posted(&l->wake, 0);
	pthread_mutex_lock(&l->lock);
	atomic_store(&l->running, false);
	take_posted_locked(l);
	pthread_mutex_unlock(&l->lock);
	run_due(l);
	/* Whoever frees the sources may be another thread, with a policy of its own. */
	evbatches_end(&l->batches);
	atomic_store(&l->stop, false);
	return rc;
}

void evloop_stop(struct evloop *l)
{
	atomic_store(&l->stop, true);
	wake(l);
}

bool evloop_on_thread(const struct evloop *l)
{
	return atomic_load(&l->running) && pthread_equal(l->thread, pthread_self());
}

/* 1: posted; 0: not, as the loop does not run and @running asks for that; -ENOMEM. */
static int post(struct evloop *l, void (*fn)(void *arg), void *arg, bool running)
{
	struct posted *p = malloc(sizeof(*p));
	bool take;

	if (!p)
		return -ENOMEM;
	*p = (struct posted){ .next = NULL, .fn = fn, .arg = arg };
	pthread_mutex_lock(&l->lock);
	take = !running || atomic_load(&l->running);
	if (take) {
		*l->last = p;
		l->last = &p->next;
	}
	pthread_mutex_unlock(&l->lock);
	if (take)
		wake(l);
	else
		free(p);
	return take;
}

int evloop_post(struct evloop *l, void (*fn)(void *arg), void *arg)
{
	return min_t(int, post(l, fn, arg, false), 0);
}

struct waited {
	void (*fn)(void *arg);
	void *arg;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool done;
};

static void run_waited(void *arg)
{
	struct waited *w = arg;

	w->fn(w->arg);
	pthread_mutex_lock(&w->lock);
	w->done = true;
	pthread_cond_signal(&w->cond);
	pthread_mutex_unlock(&w->lock);
}

int evloop_call(struct evloop *l, void (*fn)(void *arg), void *arg)
{
	struct waited w = { .fn = fn, .arg = arg, .done = false };
	int rc;

	if (evloop_on_thread(l) || !atomic_load(&l->running)) {
		fn(arg);
		return 0;
	}
	pthread_mutex_init(&w.lock, NULL);
	pthread_cond_init(&w.cond, NULL);
	rc = post(l, run_waited, &w, true);
	if (rc > 0) {
		pthread_mutex_lock(&w.lock);
		while (!w.done)
			pthread_cond_wait(&w.cond, &w.lock);
		pthread_mutex_unlock(&w.lock);
	}
	pthread_cond_destroy(&w.cond);
	pthread_mutex_destroy(&w.lock);
	/* It has ended meanwhile. */
	if (rc == 0)
		fn(arg);
	return min_t(int, rc, 0);
}

static void timer_fired(struct evsrc *src, uint32_t events)
{
	struct evtimer *t = container_of(src, struct evtimer, src);
	uint64_t n;

	(void)events;
	if (read(src->fd, &n, sizeof(n)) == sizeof(n))
		t->fn(t);
}

int evtimer_init(struct evloop *l, struct evtimer *t, const char *name,
		 void (*fn)(struct evtimer *t))
{
	int rc;

	t->fn = fn;
	t->src = (struct evsrc){ .fn = timer_fired, .name = name };
	t->src.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (t->src.fd < 0)
		return -errno;
	rc = evloop_add(l, &t->src, EPOLLIN);
	if (rc < 0) {
		close(t->src.fd);
		t->src.fd = -1;
	}
	return rc;
}

int evtimer_set_ns(struct evtimer *t, uint64_t after_ns)
{
	struct itimerspec its = { .it_value = { .tv_sec = (time_t)(after_ns / 1000000000u),
						.tv_nsec = (long)(after_ns % 1000000000u) } };

	return timerfd_settime(t->src.fd, 0, &its, NULL) < 0 ? -errno : 0;
}

void evtimer_done(struct evtimer *t)
{
	if (t->src.fd < 0)
		return;
	evloop_del(&t->src);
	close(t->src.fd);
	t->src.fd = -1;
}
