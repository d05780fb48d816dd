/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One epoll loop. It belongs to the thread that runs it; every function but evloop_post() and
 * evloop_stop() is called on that thread (or before it runs).
 *
 * An evsrc is embedded in its owner and recovered with container_of(). Call evloop_del() before
 * close() of its descriptor, always: epoll knows the open file, not the number.
 */
#ifndef LIB_EVLOOP_H
#define LIB_EVLOOP_H

#include "lib/err.h"

struct evloop;
struct evsrc;

/* @events: EPOLLIN … as epoll(7) reports them. The callback may delete and free its own source or
 * any other; a source deleted in the same round is not called any more. */
typedef void ev_fn(struct evsrc *src, uint32_t events);

struct evsrc {
	int fd;
	ev_fn *fn;
	const char *name; /* for traces; a literal */
	struct evloop *loop; /* set by evloop_add() */
	struct evsrc *next_resting; /* the loop's */
};

struct evtimer {
	struct evsrc src;
	void (*fn)(struct evtimer *t);
};

int evloop_new(struct evloop **ret, struct err *e);
void evloop_free(struct evloop *l);

int evloop_add(struct evloop *l, struct evsrc *src, uint32_t events);
int evloop_mod(struct evsrc *src, uint32_t events);
void evloop_del(struct evsrc *src); /* no-op for a source that is not added */

/* accept4() on a listener that is a source of a loop, with SOCK_CLOEXEC and @flags: the connection or a negative errno. Where
 * there is too little of something to take one (descriptors, memory), the listener would be ready in every turn and the thread
 * do nothing else; it rests for EVLOOP_REST_MS, then is asked for EPOLLIN again. */
#define EVLOOP_REST_MS 100
int evloop_accept(struct evsrc *listener, int flags);

/* Runs until evloop_stop(); returns 0 or a negative errno of epoll itself. */
int evloop_run(struct evloop *l);
/* One wait of at most @timeout_ms (-1: for ever) and its callbacks. */
int evloop_turn(struct evloop *l, int timeout_ms);
/* From any thread and from signal handlers. */
void evloop_stop(struct evloop *l);

/* Runs @fn(@arg) on the loop's thread, in order of posting; from any thread. What is posted meanwhile by those that run has
 * its turn when other sources have had theirs. 0 or -ENOMEM. */
int evloop_post(struct evloop *l, void (*fn)(void *arg), void *arg);
/* The same and waits for it to have run; must not be called on the loop's own thread while it
 * runs (there it runs at once). */
int evloop_call(struct evloop *l, void (*fn)(void *arg), void *arg);
/* Drops posted work whose argument is @arg, before that is freed. On the loop's thread or while it does
 * not run; who posts with @arg must have stopped. */
void evloop_cancel(struct evloop *l, const void *arg);
bool evloop_on_thread(const struct evloop *l);

/* On the loop's thread: @b, a source of it, would rather find more work than find it at once, or not any more. While there is
 * any that would, the thread is of SCHED_BATCH, which takes the processor from nobody when it wakes up. A thread of another
 * policy than that and SCHED_OTHER stays as somebody made it.
 *
 * Who is on says so again with each turn of its work, which costs nothing; where that stops, the loop takes it as over within
 * about a tenth of a second, and puts @b off. @b is in the loop's hands while it is on: off before it is freed. */
struct evbatch {
	bool on;
	/* the loop's */
	bool used; /* since the loop looked */
	struct evbatch *next;
};
void evloop_batch(struct evloop *l, struct evbatch *b, bool on);

/* Timers by timerfd. */
int evtimer_init(struct evloop *l, struct evtimer *t, const char *name,
		 void (*fn)(struct evtimer *t));
int evtimer_set_ns(struct evtimer *t, uint64_t after_ns); /* 0 disarms */
void evtimer_done(struct evtimer *t);

#endif
