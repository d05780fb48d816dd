/* SPDX-License-Identifier: Apache-2.0 */
/* A proxy's session between a test, which is its husk, and a fake machine and agent. */
#ifndef TESTS_UNIT_PROXY_SETUP_H
#define TESTS_UNIT_PROXY_SETUP_H

#include "tests/unit/check.h"

#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/io.h"
#include "runtime/proxy/client.h"
#include "runtime/proxy/session.h"
#include "tests/lib/fakeworld.h"

#define LAST PROXY_ATTACH_LIFELINE
#define WAIT_MS 15000

/* A proxy in a thread, with the three streams as socket pairs whose other ends are the test's. */
struct bench {
	struct session s;
	struct fakeworld *world;
	pthread_t thread;
	int husk; /* our end of its first connection */
	int stdio[3]; /* our ends */
};

static inline void *proxy(void *arg)
{
	struct bench *b = arg;

	session_attach(&b->s, "request", -1);
	if (!b->s.torn_down)
		evloop_run(b->s.loop);
	return NULL;
}

static int connector = -1; /* for the next bench */
static int listener = -1; /* likewise: the process's descriptor 3, taken */
static int next_preserved = -1; /* likewise, a connected one: what is written to its other end comes back, with plan->echo */

/* What the next proxy gets as its connection to husk-net; -1: none. */
static int next_net = -1;

/* Its end of a follower's connection, which told of one mount at the beginning; -1: none. */
static int next_follower = -1;
/* How long it waits for output that does not end; 0: as ever. */
static unsigned next_stuck_ms;
/* Bytes in the sockets of its streams; 0: as ever. A small one's writer hears of a slow reader's progress often. */
static int next_room;

static inline struct bench *bench_new(const struct fakeworld_plan *plan, uint32_t flags)
{
	struct bench *b = calloc(1, sizeof(*b));
	struct session *s = &b->s;
	int machine, pair[2];

	b->world = fakeworld_new(plan, &machine);
	assert_int_equal(evloop_new(&s->loop, NULL), 0);
	assert_int_equal(ncl_new(&s->machine, machine, NULL), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	b->husk = pair[0];
	assert_int_equal(serve_add(s, pair[1], &s->first), 0);
	if (next_net >= 0)
		network_take(s, next_net);
	next_net = -1;
	s->at.flags = flags;
	s->at.nshares = 2;
	s->at.request_len = 7;
	s->at.timeout_ms = 5000;
	strcpy(s->at.container_id, "c");
	strcpy(s->at.exec_id, "e");
	strcpy(s->at.fs_device, "fs");
	strcpy(s->at.share_prefix, "s");
	s->exit_code = EXIT_LOST;
	if (next_follower >= 0)
		follow_take(s, next_follower, -1, 1, NULL);
	next_follower = -1;
	s->stuck_ms = next_stuck_ms;
	next_stuck_ms = 0;
	if (listener >= 0)
		extra_add(s, &(struct proxy_stream){ .kind = PROXY_STREAM_LISTEN, .token = plan->echo }, listener, NULL);
	listener = -1;
	if (next_preserved >= 0)
		extra_add(s, &(struct proxy_stream){ .kind = PROXY_STREAM_SOCKET, .token = plan->echo }, next_preserved,
			  NULL);
	next_preserved = -1;
	s->sockets.n = connector >= 0;
	s->sockets.src.fd = connector;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
		if (next_room)
			assert_int_equal(setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &next_room, sizeof(next_room)), 0);
		b->stdio[i] = pair[0];
		s->stdio[i] = relay_prepare(pair[1], i != 0);
		s->at.token[i] = (uint64_t)i + 1;
	}
	next_room = 0;
	assert_int_equal(pthread_create(&b->thread, NULL, proxy, b), 0);
	return b;
}

/* Waits for its end; the words of the world's machine. */
static inline const char *bench_end(struct bench *b)
{
	pthread_join(b->thread, NULL);
	ncl_free(b->s.machine);
	agent_client_free(b->s.agent);
	relay_stop(&b->s.in);
	relay_stop(&b->s.out);
	relay_stop(&b->s.err);
	for (unsigned i = 0; i < b->s.nextra; i++) {
		free(b->s.extra[i].in);
		free(b->s.extra[i].out);
	}
	for (size_t i = 0; i < SESSION_MAX_CLIENTS; i++)
		if (b->s.clients[i].s)
			serve_close(&b->s.clients[i]);
	evloop_free(b->s.loop);
	return fakeworld_end(b->world);
}

static inline void bench_free(struct bench *b)
{
	for (int i = 0; i < 3; i++)
		if (b->stdio[i] >= 0)
			close(b->stdio[i]);
	if (b->husk >= 0)
		close(b->husk);
	fakeworld_free(b->world);
	free(b);
}

static inline size_t read_to_end(int fd)
{
	char buf[65536];
	size_t sum = 0;
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0)
		sum += (size_t)n;
	return sum;
}

/* Until the proxy has heard of the container's end. */
static inline void await_ended(struct bench *b)
{
	const uint64_t end = io_now_ns() + WAIT_MS * 1000000ull;
	struct proxy_reply r;

	for (;;) {
		assert_int_equal(proxy_call(b->husk, PROXY_STATUS, &r, WAIT_MS, NULL), 0);
		if (r.state == PROXY_ST_ENDED)
			return;
		assert_true(io_now_ns() < end);
		usleep(10000);
	}
}

/* Until a reader that takes nothing has as much as fits. */
static inline void await_full(int fd)
{
	int was = -1, now = 0;

	while (was != now || now == 0) {
		was = now;
		usleep(300000);
		assert_int_equal(ioctl(fd, FIONREAD, &now), 0);
	}
}

#endif
