// SPDX-License-Identifier: Apache-2.0
/*
 * husk-proxy before a guest that does not answer, does not end what it should, or tells too much: what husk is told comes in
 * time, the container has ended for good, and its machine with it.
 */
#include "tests/unit/proxy_setup.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "agent-proto/proto/forward.h"
#include "runtime/net/wire.h"
#include "runtime/proxy/connector.h"

/* As long as an agent has for an answer, and some. */
#define AGENT_MS (AGENT_DEADLINE_MS + 8000)

/* All at a time: each takes as long as an agent has. */
static void agents_that_never_answer(void **state)
{
	static const struct {
		const char *why;
		const char *mute, *mute_too;
		bool started;
		uint32_t cmd; /* what is asked; 0: SIGTERM; PROXY_EXITED: nothing, its end is awaited */
		int rc;
		const char *said;
		int exit_code;
	} rows[] = {
		{ "a greeting", "Hello", NULL, false, PROXY_EXITED, -EIO, "create wait quit ", EXIT_LOST },
		{ "a start", "Start", NULL, false, PROXY_START, -ETIMEDOUT, "create wait start quit ", EXIT_LOST },
		{ "a signal", "Signal", NULL, true, 0, -ETIMEDOUT, "create wait start signal:15 quit ", EXIT_LOST },
		{ "a pause", "Pause", NULL, true, PROXY_PAUSE, -ETIMEDOUT, "create wait start pause quit ", EXIT_LOST },
		{ "a delete: its end is known by then", "Delete", "Signal", true, PROXY_EXITED, 0,
		  "create wait start delete signal:0 share-remove:s0 share-remove:s1 left ", 7 },
	};
	struct fakeworld_plan plan[ARRAY_SIZE(rows)];
	struct bench *b[ARRAY_SIZE(rows)];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		plan[i] = (struct fakeworld_plan){ .mute = rows[i].mute, .mute_too = rows[i].mute_too, .exit_status = 7 };
		b[i] = bench_new(&plan[i], LAST);
	}
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct proxy_signal sig = { .signo = SIGTERM };
		struct proxy_simple m;

		check_row(rows[i].why, proxy_wait(b[i]->husk, PROXY_ATTACH, NULL, WAIT_MS, NULL) == 0);
		if (rows[i].started)
			check_row(rows[i].why, proxy_call(b[i]->husk, PROXY_START, NULL, WAIT_MS, NULL) == 0);
		if (rows[i].cmd == PROXY_EXITED && rows[i].started)
			shutdown(b[i]->stdio[0], SHUT_WR);
		else if (rows[i].cmd && rows[i].cmd != PROXY_EXITED)
			check_row(rows[i].why, proxy_send(b[i]->husk, rows[i].cmd, &m, sizeof(m), NULL, 0, NULL) == 0);
		else if (!rows[i].cmd)
			check_row(rows[i].why,
				  proxy_send(b[i]->husk, PROXY_SIGNAL, &sig, sizeof(sig), NULL, 0, NULL) == 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct err e = ERR_INIT;
		int rc = proxy_wait(b[i]->husk, rows[i].cmd ? rows[i].cmd : PROXY_SIGNAL, NULL, AGENT_MS, &e);

		if (rc != rows[i].rc || (rc && !strstr(e.msg, "no answer in time")))
			fail_msg("%s: %d %s", rows[i].why, rc, e.msg);
		if (rows[i].cmd != PROXY_EXITED)
			check_row(rows[i].why, proxy_wait(b[i]->husk, PROXY_EXITED, NULL, WAIT_MS, NULL) == -EIO);
	}
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *said = bench_end(b[i]);

		if (strcmp(said, rows[i].said))
			fail_msg("%s: %s", rows[i].why, said);
		check_row(rows[i].why, b[i]->s.exit_code == rows[i].exit_code);
		bench_free(b[i]);
	}
}

/* Its files are written back for longer than an answer may take: as long as others are answered, that is waited for. */
static void a_long_farewell(void **state)
{
	static const struct fakeworld_plan plan = { .delete_ms = AGENT_DEADLINE_MS + 2000, .exit_status = 7 };
	struct bench *b = bench_new(&plan, LAST);
	uint64_t begin;

	(void)state;
	assert_int_equal(proxy_wait(b->husk, PROXY_ATTACH, NULL, WAIT_MS, NULL), 0);
	assert_int_equal(proxy_call(b->husk, PROXY_START, NULL, WAIT_MS, NULL), 0);
	begin = io_now_ns();
	shutdown(b->stdio[0], SHUT_WR);
	assert_int_equal(proxy_wait(b->husk, PROXY_EXITED, NULL, AGENT_MS, NULL), 0);
	assert_in_range(io_now_ns() - begin, plan.delete_ms * UINT64_C(1000000), UINT64_MAX);
	assert_non_null(strstr(bench_end(b), "delete signal:0 signal:0 share-remove:s0 "));
	assert_int_equal(b->s.exit_code, 7);
	bench_free(b);
}

/* The agent is lost, the machine is not, and what it has open stays open. */
static void a_lost_agent_ends_its_machine(void **state)
{
	static const struct {
		const char *why;
		struct fakeworld_plan plan;
		uint32_t flags;
		int rc;
		int exit_code;
	} rows[] = {
		{ "a lie", { .lie_at_wait = true, .streams_stay = true }, LAST, -EIO, EXIT_LOST },
		{ "it hangs up", { .hang_up_at_start = true }, LAST, -EIO, EXIT_LOST },
		{ "a lie to an exec, which leaves the machine alone", { .lie_at_wait = true, .streams_stay = true },
		  PROXY_ATTACH_EXEC, -EIO, EXIT_LOST },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct bench *b = bench_new(&rows[i].plan, rows[i].flags);
		const char *said;
		int rc;

		check_row(rows[i].why, proxy_wait(b->husk, PROXY_ATTACH, NULL, WAIT_MS, NULL) == 0);
		if (rows[i].flags == LAST)
			proxy_call(b->husk, PROXY_START, NULL, WAIT_MS, NULL);
		shutdown(b->stdio[0], SHUT_WR);
		rc = proxy_wait(b->husk, PROXY_EXITED, NULL, WAIT_MS, NULL);
		check_row(rows[i].why, rc == rows[i].rc);
		said = bench_end(b);
		check_row(rows[i].why, strstr(said, rows[i].flags == LAST ? "quit " : "lost "));
		check_row(rows[i].why, b->s.exit_code == rows[i].exit_code);
		bench_free(b);
	}
}

/* It has ended, says the guest, but its output never does: that is given up when nothing comes any more. */
static void output_that_never_ends(void **state)
{
	static const struct fakeworld_plan plan = { .streams_stay = true, .exit_status = 7, .last_words = 100000 };
	struct bench *b;

	(void)state;
	next_stuck_ms = 1000;
	b = bench_new(&plan, LAST);
	assert_int_equal(proxy_wait(b->husk, PROXY_ATTACH, NULL, WAIT_MS, NULL), 0);
	assert_int_equal(proxy_call(b->husk, PROXY_START, NULL, WAIT_MS, NULL), 0);
	shutdown(b->stdio[0], SHUT_WR);
	/* What it did say is not lost. */
	assert_int_equal(read_to_end(b->stdio[2]), 100000);
	assert_int_equal(proxy_wait(b->husk, PROXY_EXITED, NULL, WAIT_MS, NULL), 0);
	assert_string_equal(bench_end(b), "create wait start delete share-remove:s0 share-remove:s1 left ");
	assert_int_equal(b->s.exit_code, 7);
	bench_free(b);
}

/* A reader that takes its time is no guest that holds back. */
static void a_slow_reader_is_waited_for(void **state)
{
	static const struct fakeworld_plan plan = { .exit_status = 7, .last_words = 4 << 20 };
	struct bench *b;

	(void)state;
	next_stuck_ms = 1000;
	b = bench_new(&plan, LAST);
	assert_int_equal(proxy_wait(b->husk, PROXY_ATTACH, NULL, WAIT_MS, NULL), 0);
	assert_int_equal(proxy_call(b->husk, PROXY_START, NULL, WAIT_MS, NULL), 0);
	shutdown(b->stdio[0], SHUT_WR);
	usleep(2500000);
	assert_int_equal(read_to_end(b->stdio[2]), 4 << 20);
	assert_int_equal(proxy_wait(b->husk, PROXY_EXITED, NULL, WAIT_MS, NULL), 0);
	bench_end(b);
	assert_int_equal(b->s.exit_code, 7);
	bench_free(b);
}

/* But who kills the process means its end, whoever reads: before that has come, and after. */
static void a_killed_process_waits_for_no_reader(void **state)
{
	static const struct {
		const char *why;
		size_t words;
		int rc, exit_code; /* of the kill; what is told */
	} rows[] = {
		{ "more than there is room for", 4 << 20, 0, 7 },
		{ "all of it is here, and it has ended", 400000, -ESRCH, 7 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct fakeworld_plan plan = { .exit_status = 7, .last_words = rows[i].words };
		struct bench *b = bench_new(&plan, LAST);
		struct proxy_signal kill = { .signo = SIGKILL };
		uint64_t begin;

		assert_int_equal(proxy_wait(b->husk, PROXY_ATTACH, NULL, WAIT_MS, NULL), 0);
		assert_int_equal(proxy_call(b->husk, PROXY_START, NULL, WAIT_MS, NULL), 0);
		shutdown(b->stdio[0], SHUT_WR);
		if (rows[i].rc < 0)
			await_ended(b);
		await_full(b->stdio[2]);
		begin = io_now_ns();
		/* The one that is still at its last words does not answer: what counts is that it was asked. */
		if (rows[i].rc < 0)
			check_row(rows[i].why, proxy_signal(b->husk, SIGKILL, false, WAIT_MS, NULL) == rows[i].rc);
		else
			assert_int_equal(proxy_send(b->husk, PROXY_SIGNAL, &kill, sizeof(kill), NULL, 0, NULL), 0);
		/* Nobody reads. What was taken before does not count. */
		check_row(rows[i].why, proxy_wait(b->husk, PROXY_EXITED, NULL, 30000, NULL) == 0);
		check_row(rows[i].why, io_now_ns() - begin < UINT64_C(3500000000));
		bench_end(b);
		check_row(rows[i].why, b->s.exit_code == rows[i].exit_code);
		bench_free(b);
	}
}

/* An end that nothing began, and a second one: the first word counts, and the container has ended. */
static void ends_out_of_turn(void **state)
{
	static const struct {
		const char *why;
		struct fakeworld_plan plan;
	} rows[] = {
		{ "before the start", { .exit_status = 7, .wait_at_once = true } },
		{ "twice", { .exit_status = 7, .wait_twice = true } },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct err e = ERR_INIT;
		struct bench *b;
		int rc;

		/* Nobody ends the output of what never ran: so long there is a proxy to be asked. */
		next_stuck_ms = 4000;
		b = bench_new(&rows[i].plan, LAST);
		assert_int_equal(proxy_wait(b->husk, PROXY_ATTACH, NULL, WAIT_MS, NULL), 0);
		if (rows[i].plan.wait_at_once) {
			await_ended(b);
			rc = proxy_call(b->husk, PROXY_START, NULL, WAIT_MS, &e);
			check_row(rows[i].why, rc == -ESRCH && !strcmp(e.msg, "container not running"));
		} else {
			assert_int_equal(proxy_call(b->husk, PROXY_START, NULL, WAIT_MS, NULL), 0);
			shutdown(b->stdio[0], SHUT_WR);
		}
		check_row(rows[i].why, proxy_wait(b->husk, PROXY_EXITED, NULL, WAIT_MS, NULL) == 0);
		check_row(rows[i].why, strstr(bench_end(b), "left "));
		check_row(rows[i].why, b->s.exit_code == 7);
		bench_free(b);
	}
}

/* As many processes as may be told at once reach a husk that does not read before all are there. */
static void many_processes(void **state)
{
	static const struct {
		unsigned n;
		int rc;
	} rows[] = { { 500, 0 }, { AGENT_MAX_PROCESSES, 0 }, { AGENT_MAX_PROCESSES + 1, -EPROTO } };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct fakeworld_plan plan = { .processes = rows[i].n };
		struct bench *b = bench_new(&plan, LAST);
		struct proxy_simple m;
		struct proxy_ps p;
		unsigned n = 0;

		assert_int_equal(proxy_wait(b->husk, PROXY_ATTACH, NULL, WAIT_MS, NULL), 0);
		for (unsigned times = 0; times < 2 && rows[i].rc == 0; times++) {
			assert_int_equal(proxy_send(b->husk, PROXY_PS, &m, sizeof(m), NULL, 0, NULL), 0);
			usleep(200000); /* a husk that was not given the processor */
			for (n = 0; recv(b->husk, &p, sizeof(p), 0) == sizeof(p) && p.more; n++)
				assert_int_equal(p.pid, 100 + n);
			assert_int_equal(n, rows[i].n);
			assert_int_equal(p.more, 0);
			assert_int_equal(p.hdr.rc, 0);
		}
		if (rows[i].rc)
			assert_int_equal(proxy_ps(b->husk, NULL, NULL, WAIT_MS, NULL), rows[i].rc);
		else
			assert_int_equal(proxy_signal(b->husk, SIGKILL, false, WAIT_MS, NULL), 0);
		bench_end(b);
		bench_free(b);
	}
}

struct added {
	struct session *s;
	int sock, rc;
};

static void add(void *arg)
{
	struct added *a = arg;

	a->rc = serve_add(a->s, a->sock, NULL);
}

/* One who asks for much and never reads, or goes away, holds nobody up. */
static void a_husk_that_does_not_read(void **state)
{
	static const struct fakeworld_plan plan = { .processes = AGENT_MAX_PROCESSES };
	struct bench *b = bench_new(&plan, LAST);
	int pair[2][2];
	struct proxy_simple m;
	struct added a;

	(void)state;
	assert_int_equal(proxy_wait(b->husk, PROXY_ATTACH, NULL, WAIT_MS, NULL), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair[i]), 0);
		a = (struct added){ .s = &b->s, .sock = pair[i][1] };
		assert_int_equal(evloop_call(b->s.loop, add, &a), 0);
		assert_int_equal(a.rc, 0);
		for (int n = 0; n < 3; n++)
			proxy_send(pair[i][0], PROXY_PS, &m, sizeof(m), NULL, 0, NULL);
	}
	usleep(200000);
	close(pair[1][0]);
	assert_int_equal(proxy_call(b->husk, PROXY_STATUS, NULL, WAIT_MS, NULL), 0);
	assert_int_equal(proxy_signal(b->husk, SIGKILL, false, WAIT_MS, NULL), 0);
	assert_true(strstr(bench_end(b), "left "));
	close(pair[0][0]);
	bench_free(b);
}

/* The guest tells of the OOM killer without a pause: ten a second come through, and commands between them. */
static void a_storm_of_events(void **state)
{
	static const struct fakeworld_plan plan = { .oom_storm = true };
	struct bench *b = bench_new(&plan, LAST);
	struct agent_stats s;
	uint64_t begin;
	int rc;

	(void)state;
	assert_int_equal(proxy_wait(b->husk, PROXY_ATTACH, NULL, WAIT_MS, NULL), 0);
	begin = io_now_ns();
	assert_int_equal(proxy_watch(b->husk, WAIT_MS, NULL), 0);
	for (unsigned n = 0; n < 10; n++)
		assert_int_equal(proxy_event(b->husk, &s, &rc, WAIT_MS, NULL), PROXY_OOM);
	/* The first comes at once. */
	assert_true(io_now_ns() - begin >= 880000000u);
	assert_int_equal(proxy_call(b->husk, PROXY_STATUS, NULL, WAIT_MS, NULL), 0);
	assert_int_equal(proxy_signal(b->husk, SIGKILL, false, WAIT_MS, NULL), 0);
	bench_end(b);
	assert_int_equal(b->s.exit_code, 128 + SIGKILL);
	bench_free(b);
}

/* What the agent says of a failure reaches husk as data. */
static void words_of_a_refusal(void **state)
{
	static const struct fakeworld_plan plan = { .create_rc = -EINVAL,
						    .create_text = "%s%n\n{\"level\":\"info\"}\033[2J" };
	struct bench *b = bench_new(&plan, LAST);
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(proxy_wait(b->husk, PROXY_ATTACH, NULL, WAIT_MS, &e), -EINVAL);
	assert_string_equal(e.msg, "%s%n\\x0a{\"level\":\"info\"}\\x1b[2J");
	bench_end(b);
	bench_free(b);
}

/* ---- mounts that come and go ------------------------------------------------------------------------- */

static struct bench *bench_following(const struct fakeworld_plan *plan, int *ret_follower)
{
	struct bench *b;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	next_follower = pair[1];
	b = bench_new(plan, LAST);
	b->s.follow->wait_ms = plan->mute ? 500 : 0; /* a guest that answers has the time that there is */
	assert_int_equal(proxy_wait(b->husk, PROXY_ATTACH, NULL, WAIT_MS, NULL), 0);
	assert_int_equal(proxy_call(b->husk, PROXY_START, NULL, WAIT_MS, NULL), 0);
	*ret_follower = pair[0];
	return b;
}

/* The answer's number; 1: there is none, for the proxy has hung up. */
static int tell(int follower, const struct follow_event *ev)
{
	struct pollfd p = { .fd = follower, .events = POLLIN };
	int fd = open("/", O_PATH | O_CLOEXEC);
	struct follow_answer a;

	assert_true(io_send_fds(follower, ev, sizeof(*ev), &fd, ev->kind == FOLLOW_HERE) >= 0);
	close(fd);
	assert_int_equal(poll(&p, 1, WAIT_MS), 1);
	if (io_recv_fds(follower, &a, sizeof(a), NULL, NULL, 0) != sizeof(a))
		return 1;
	assert_int_equal(a.slot, ev->slot);
	return a.rc;
}

static void end_following(struct bench *b, int follower, const char *said)
{
	shutdown(b->stdio[0], SHUT_WR);
	assert_string_equal(bench_end(b), said);
	assert_int_equal(b->s.exit_code, 0);
	bench_free(b);
	close(follower);
}

static void mounts_of_the_host(void **state)
{
	const struct follow_event here = { .kind = FOLLOW_HERE, .slot = 5, .bind = 1, .parent = 1, .path = "a/b" };
	const struct follow_event file = { .kind = FOLLOW_HERE, .slot = 6, .is_file = 1, .path = "f" };
	const struct follow_event first_gone = { .kind = FOLLOW_GONE, .slot = 0 }, full = { .kind = FOLLOW_FULL };
	struct fakeworld_plan plan = { .exit_status = 0 };
	int follower;
	struct bench *b = bench_following(&plan, &follower);

	(void)state;
	assert_int_equal(tell(follower, &here), 0);
	assert_true(io_send_fds(follower, &full, sizeof(full), NULL, 0) >= 0);
	assert_int_equal(tell(follower, &file), 0);
	assert_int_equal(tell(follower, &first_gone), 0);
	/* What is left goes with the container. */
	end_following(b, follower,
		      "create wait start share-add:sm5 mount:5:1:1:a/b:sm5 file-add:sm6 mount:6:0:0:f:sm6 unmount:0:0:0::sm0 "
		      "share-remove:sm0 delete share-remove:sm5 share-remove:sm6 share-remove:s0 share-remove:s1 left ");
}

static void a_guest_that_refuses(void **state)
{
	const struct follow_event here = { .kind = FOLLOW_HERE, .slot = 5, .path = "a" };
	const struct follow_event gone = { .kind = FOLLOW_GONE, .slot = 0 };
	struct fakeworld_plan plan = { .mount_rc = -EIO };
	int follower;
	struct bench *b = bench_following(&plan, &follower);

	(void)state;
	assert_int_equal(tell(follower, &here), -EIO);
	/* The host has its file system back all the same. */
	assert_int_equal(tell(follower, &gone), -EIO);
	end_following(b, follower, "create wait start share-add:sm5 mount:5:0:0:a:sm5 share-remove:sm5 unmount:0:0:0::sm0 "
				   "share-remove:sm0 delete share-remove:s0 share-remove:s1 left ");
}

static void a_guest_that_does_not_answer(void **state)
{
	const struct follow_event here = { .kind = FOLLOW_HERE, .slot = 5, .path = "a" };
	const struct follow_event gone = { .kind = FOLLOW_GONE, .slot = 0 };
	struct fakeworld_plan plan = { .mute = "ChangeMount" };
	int follower;
	struct bench *b = bench_following(&plan, &follower);

	(void)state;
	assert_int_equal(tell(follower, &here), -ETIMEDOUT);
	/* It is not asked any more, and the host has what is its own. */
	assert_int_equal(tell(follower, &gone), -EBUSY);
	assert_int_equal(tell(follower, &here), -EBUSY);
	end_following(b, follower, "create wait start share-add:sm5 mount:5:0:0:a:sm5 share-remove:sm5 share-remove:sm0 "
				   "delete share-remove:s0 share-remove:s1 left ");
}

static void a_follower_that_is_none(void **state)
{
	static const struct {
		const char *why;
		struct follow_event ev;
	} rows[] = {
		{ "no kind", { .kind = 0, .slot = 1 } },
		{ "an end", { .kind = FOLLOW_END, .slot = 1 } },
		{ "a slot too far", { .kind = FOLLOW_GONE, .slot = FOLLOW_MAX_MOUNTS } },
		{ "a bind mount too far", { .kind = FOLLOW_HERE, .bind = FOLLOW_MAX_BINDS } },
		{ "a parent too far", { .kind = FOLLOW_HERE, .parent = FOLLOW_MAX_MOUNTS + 1 } },
		{ "neither file nor folder", { .kind = FOLLOW_HERE, .is_file = 2 } },
	};
	struct fakeworld_plan plan = { .exit_status = 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int follower;
		struct bench *b = bench_following(&plan, &follower);

		check_row(rows[i].why, tell(follower, &rows[i].ev) == 1);
		end_following(b, follower, "create wait start delete share-remove:sm0 share-remove:s0 share-remove:s1 left ");
	}
}

/* ---- connections that the guest does not answer -------------------------------------------------------------- */

static int bind_unix(struct sockaddr_un *at, const char *name)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	at->sun_family = AF_UNIX;
	snprintf(at->sun_path, sizeof(at->sun_path), "/tmp/husk-hostile-%d-%s", getpid(), name);
	assert_int_equal(bind(fd, (struct sockaddr *)at, sizeof(*at)), 0);
	assert_int_equal(chmod(at->sun_path, 0666), 0);
	assert_int_equal(listen(fd, 8), 0);
	return fd;
}

/* What husk-net sends first: where connections to the namespace arrive. Returns where that is. */
static struct sockaddr_in namespace_listener(int net)
{
	struct net_simple m = { .hdr = { .version = NET_VERSION, .cmd = NET_LISTEN, .size = sizeof(m) } };
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	assert_int_equal(listen(fd, 64), 0);
	assert_int_equal(io_send_fds(net, &m, sizeof(m), &fd, 1), 0);
	close(fd);
	return at;
}

static void start_with_net(struct bench *b, int net)
{
	struct net_state list = { .hdr = { .version = NET_VERSION, .cmd = NET_STATE, .size = sizeof(list) }, .number = 1 };
	struct proxy_simple start;
	struct net_sync m;

	assert_int_equal(proxy_send(b->husk, PROXY_START, &start, sizeof(start), NULL, 0, NULL), 0);
	assert_int_equal(recv(net, &m, sizeof(m), 0), sizeof(m));
	list.token = m.token;
	assert_int_equal(send(net, &list, sizeof(list), 0), sizeof(list));
	assert_int_equal(proxy_wait(b->husk, PROXY_START, NULL, WAIT_MS, NULL), 0);
}

static unsigned times(const char *all, const char *word)
{
	unsigned n = 0;

	for (; (all = strstr(all, word)); all += strlen(word))
		n++;
	return n;
}

/* Each kind of them, while the proxy goes on with what husk wants of it; and none outlives the container. */
static void connections_that_are_never_answered(void **state)
{
	static const struct fakeworld_plan plan = { .deaf = true, .echo = 77 };
	const struct connector_ids anybody = { .n_uids = 0 };
	struct sockaddr_un socket_at, listener_at;
	struct sockaddr_in namespace_at;
	int net[2], server = bind_unix(&socket_at, "s"), preserved = bind_unix(&listener_at, "l"), path, fd[3];
	struct bench *b;
	uint64_t begin;

	(void)state;
	path = open(socket_at.sun_path, O_PATH | O_CLOEXEC);
	assert_int_equal(connector_start(open("/proc", O_PATH | O_CLOEXEC), &path, 1, &anybody, &connector, NULL), 0);
	listener = preserved;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, net), 0);
	next_net = net[1];
	namespace_at = namespace_listener(net[0]);
	b = bench_new(&plan, LAST);
	connector = -1;
	assert_int_equal(proxy_wait(b->husk, PROXY_ATTACH, NULL, WAIT_MS, NULL), 0);
	start_with_net(b, net[0]);
	begin = io_now_ns();
	/* The container's own; one to it that was accepted; one to its namespace. */
	fd[0] = accept(server, NULL, NULL);
	assert_true(fd[0] >= 0);
	fd[1] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd[1], (struct sockaddr *)&listener_at, sizeof(listener_at)), 0);
	fd[2] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd[2], (struct sockaddr *)&namespace_at, sizeof(namespace_at)), 0);
	for (unsigned i = 0; i < 20; i++) {
		assert_int_equal(proxy_call(b->husk, PROXY_STATUS, NULL, WAIT_MS, NULL), 0);
		assert_int_equal(proxy_call(b->husk, PROXY_PAUSE, NULL, WAIT_MS, NULL), 0);
		assert_int_equal(proxy_call(b->husk, PROXY_RESUME, NULL, WAIT_MS, NULL), 0);
		usleep(10000);
	}
	assert_in_range(io_now_ns() - begin, 0, 60000000000);
	/* Its kernel's word is waited for for a second, and two more for the machine's. */
	assert_int_equal(read_to_end(fd[2]), 0);
	assert_in_range(io_now_ns() - begin, 2900000000, UINT64_MAX);
	assert_int_equal(proxy_signal(b->husk, SIGKILL, false, WAIT_MS, NULL), 0);
	assert_int_equal(read_to_end(fd[1]), 0);
	/* What was written to it may come still, for SESSION_SOCKETS_DRAIN_NS. */
	assert_int_equal(read_to_end(fd[0]), 0);
	assert_int_equal(proxy_wait(b->husk, PROXY_EXITED, NULL, WAIT_MS, NULL), 0);
	/* Other calls come by another connection: in which order the world hears of them is its own affair. */
	assert_int_equal(times(bench_end(b), "dial "), 3);
	assert_int_equal(b->s.exit_code, 128 + SIGKILL);
	bench_free(b);
	for (int i = 0; i < 3; i++)
		close(fd[i]);
	close(net[0]);
	close(server);
	close(path);
	unlink(socket_at.sun_path);
	unlink(listener_at.sun_path);
}

/* Connections to a published port: what is beyond the limit waits for others to end, and none is lost. */
static void many_forwards(void **state)
{
	enum { MORE = 20 };
	static const struct fakeworld_plan plan = { .exit_status = 0 };
	static int fd[SESSION_MAX_FORWARDS + MORE];
	struct rlimit files = { .rlim_cur = 16384, .rlim_max = 16384 };
	struct forward_head head;
	struct sockaddr_in at;
	struct bench *b;
	int net[2];
	char c;

	(void)state;
	if (setrlimit(RLIMIT_NOFILE, &files) < 0)
		skip();
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, net), 0);
	next_net = net[1];
	at = namespace_listener(net[0]);
	b = bench_new(&plan, LAST);
	assert_int_equal(proxy_wait(b->husk, PROXY_ATTACH, NULL, WAIT_MS, NULL), 0);
	start_with_net(b, net[0]);
	for (size_t i = 0; i < ARRAY_SIZE(fd); i++) {
		struct timeval patience = { .tv_sec = 10 };

		fd[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		assert_int_equal(setsockopt(fd[i], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
		assert_int_equal(connect(fd[i], (struct sockaddr *)&at, sizeof(at)), 0);
		assert_int_equal(send(fd[i], "x", 1, 0), 1);
		if (i < SESSION_MAX_FORWARDS) {
			assert_int_equal(recv(fd[i], &head, sizeof(head), MSG_WAITALL), sizeof(head));
			assert_int_equal(recv(fd[i], &c, 1, 0), 1);
		}
	}
	usleep(50000);
	for (size_t i = SESSION_MAX_FORWARDS; i < ARRAY_SIZE(fd); i++)
		assert_int_equal(recv(fd[i], &c, 1, MSG_DONTWAIT), -1);
	for (size_t i = 0; i < MORE; i++)
		close(fd[i]);
	for (size_t i = SESSION_MAX_FORWARDS; i < ARRAY_SIZE(fd); i++) {
		assert_int_equal(recv(fd[i], &head, sizeof(head), MSG_WAITALL), sizeof(head));
		assert_int_equal(recv(fd[i], &c, 1, 0), 1);
		assert_int_equal(c, 'x');
	}
	assert_int_equal(proxy_signal(b->husk, SIGKILL, false, WAIT_MS, NULL), 0);
	assert_int_equal(proxy_wait(b->husk, PROXY_EXITED, NULL, WAIT_MS, NULL), 0);
	bench_end(b);
	bench_free(b);
	for (size_t i = MORE; i < ARRAY_SIZE(fd); i++)
		close(fd[i]);
	close(net[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mounts_of_the_host),
		cmocka_unit_test(a_guest_that_refuses),
		cmocka_unit_test(a_guest_that_does_not_answer),
		cmocka_unit_test(a_follower_that_is_none),
		cmocka_unit_test(agents_that_never_answer), cmocka_unit_test(a_long_farewell),
		cmocka_unit_test(a_lost_agent_ends_its_machine),
		cmocka_unit_test(output_that_never_ends),   cmocka_unit_test(a_slow_reader_is_waited_for),
		cmocka_unit_test(a_killed_process_waits_for_no_reader),
		cmocka_unit_test(ends_out_of_turn),	    cmocka_unit_test(many_processes),
		cmocka_unit_test(a_husk_that_does_not_read),
		cmocka_unit_test(connections_that_are_never_answered),
		cmocka_unit_test(many_forwards),
		cmocka_unit_test(a_storm_of_events),	    cmocka_unit_test(words_of_a_refusal),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
