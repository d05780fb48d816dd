// SPDX-License-Identifier: Apache-2.0
#include "lib/evloop.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

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
	pthread_mutex_t lock; /* guards posted list */
	struct posted *first, **last;
	/* Sources of the round that is being dispatched; evloop_del() clears entries in it. */
	struct epoll_event round[TURN_EVENTS];
	int round_len;
	unsigned batch; /* sources that want it */
};

static void wake(struct evloop *l)
{
	uint64_t one = 1;
	ssize_t rc = write(l->wake.fd, &one, sizeof(one));

	(void)rc;
}

static struct posted *next_posted(struct evloop *l)
{
	struct posted *p;

	pthread_mutex_lock(&l->lock);
	p = l->first;
	if (p) {
		l->first = p->next;
		if (!l->first)
			l->last = &l->first;
	}
	pthread_mutex_unlock(&l->lock);
	return p;
}

/* Up to a mark that is posted here: work that posts itself again must not keep the loop from its
 * descriptors. */
static void run_posted(struct evsrc *src, uint32_t events)
{
	struct evloop *l = container_of(src, struct evloop, wake);
	struct posted *p, *last;
	uint64_t n;
	ssize_t rc = read(src->fd, &n, sizeof(n));

	(void)rc;
	(void)events;
	pthread_mutex_lock(&l->lock);
	last = l->first ? container_of(l->last, struct posted, next) : NULL;
	pthread_mutex_unlock(&l->lock);
	while (last && (p = next_posted(l))) {
		bool done = p == last;

		p->fn(p->arg);
		free(p);
		if (done)
			break;
	}
	/* What came meanwhile, or stood behind a cancelled mark, has its turn next time. */
	pthread_mutex_lock(&l->lock);
	last = l->first;
	pthread_mutex_unlock(&l->lock);
	if (last)
		wake(l);
}

void evloop_cancel(struct evloop *l, const void *arg)
{
	struct posted **at, *p;

	pthread_mutex_lock(&l->lock);
	for (at = &l->first; (p = *at);) {
		if (p->arg != arg) {
			at = &p->next;
			continue;
		}
		*at = p->next;
		free(p);
	}
	l->last = at;
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
	struct posted *p;

	if (!l)
		return;
	while ((p = l->first)) {
		l->first = p->next;
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

void evloop_del(struct evsrc *src)
{
	struct evloop *l = src->loop;

	if (!l)
		return;
	epoll_ctl(l->epfd, EPOLL_CTL_DEL, src->fd, NULL);
	for (int i = 0; i < l->round_len; i++)
		if (l->round[i].data.ptr == src)
			l->round[i].data.ptr = NULL;
	src->loop = NULL;
}

int evloop_turn(struct evloop *l, int timeout_ms)
{
	int n = epoll_wait(l->epfd, l->round, TURN_EVENTS, timeout_ms);

	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	l->round_len = n;
	for (int i = 0; i < n; i++) {
		struct evsrc *src = l->round[i].data.ptr;

		if (src)
			src->fn(src, l->round[i].events);
	}
	l->round_len = 0;
	return 0;
}

int evloop_run(struct evloop *l)
{
	int rc = 0;

	l->thread = pthread_self();
	atomic_store(&l->running, true);
	while (rc == 0 && !atomic_load(&l->stop))
		rc = evloop_turn(l, -1);
	atomic_store(&l->running, false);
	atomic_store(&l->stop, false);
	/* Whoever waits in evloop_call() must not wait for ever. */
	run_posted(&l->wake, 0);
	return rc;
}

void evloop_stop(struct evloop *l)
{
	atomic_store(&l->stop, true);
	wake(l);
}

void evloop_batch(struct evloop *l, bool on)
{
	const struct sched_param none = { .sched_priority = 0 };
	bool was = l->batch;
	int policy;

	l->batch += on ? 1 : -1u;
	if (was == !!l->batch)
		return;
	policy = sched_getscheduler(0);
	if (policy == SCHED_OTHER || policy == SCHED_BATCH)
		sched_setscheduler(0, on ? SCHED_BATCH : SCHED_OTHER, &none);
}

bool evloop_on_thread(const struct evloop *l)
{
	return atomic_load(&l->running) && pthread_equal(l->thread, pthread_self());
}

int evloop_post(struct evloop *l, void (*fn)(void *arg), void *arg)
{
	struct posted *p = malloc(sizeof(*p));

	if (!p)
		return -ENOMEM;
	*p = (struct posted){ .next = NULL, .fn = fn, .arg = arg };
	pthread_mutex_lock(&l->lock);
	*l->last = p;
	l->last = &p->next;
	pthread_mutex_unlock(&l->lock);
	wake(l);
	return 0;
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
	rc = evloop_post(l, run_waited, &w);
	if (rc == 0) {
		pthread_mutex_lock(&w.lock);
		while (!w.done)
			pthread_cond_wait(&w.cond, &w.lock);
		pthread_mutex_unlock(&w.lock);
	}
	pthread_cond_destroy(&w.cond);
	pthread_mutex_destroy(&w.lock);
	return rc;
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
