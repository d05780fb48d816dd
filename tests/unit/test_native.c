// SPDX-License-Identifier: Apache-2.0
/* Both ends of the native control protocol: the server against hostile packets, the client against hostile
 * replies, and the two together. */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/evloop.h"
#include "lib/io.h"
#include "tests/unit/check.h"
#include "vmm/control/native_client.h"
#include "vmm/control/server.h"

static unsigned lifelines_lost, lifelines_left, pings, kept_fd_calls;

static int do_ping(void *arg, struct control_request *r, struct err *e)
{
	(void)arg;
	(void)e;
	assert_int_equal(r->nfds, 0);
	pings++;
	return 0;
}

static int do_fail(void *arg, struct control_request *r, struct err *e)
{
	(void)arg;
	(void)r;
	return err_set(e, EBUSY, "not now");
}

static int do_fds(void *arg, struct control_request *r, struct err *e)
{
	(void)arg;
	(void)e;
	close(r->fds[0]);
	r->fds[0] = -1;
	kept_fd_calls++;
	return 0;
}

static int do_give(void *arg, struct control_request *r, struct err *e)
{
	struct nc_simple ok;
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	(void)arg;
	(void)e;
	control_reply(r->ctl, &r->token, &ok, sizeof(ok), fd);
	close(fd);
	return CONTROL_REPLIED;
}

static const struct control_cmd cmds[] = {
	{ NC_RESUME, sizeof(struct nc_simple), 0, 0, NC_MAY_RUN, do_ping },
	{ NC_PAUSE, sizeof(struct nc_simple), 0, 0, NC_MAY_RUN, do_fail },
	{ NC_SHARE_ADD, sizeof(struct nc_share), 1, 2, NC_MAY_SHARE, do_fds },
	{ NC_CONNECT, sizeof(struct nc_connect), 0, 0, NC_MAY_CONNECT, do_give },
};

static void on_lifeline_lost(void *arg, bool left)
{
	lifelines_left += left;
	(void)arg;
	lifelines_lost++;
}

static const struct control_ops ops = { cmds, ARRAY_SIZE(cmds), on_lifeline_lost };

struct fix {
	struct evloop *loop;
	struct control *ctl;
	int sock; /* the client's end */
	unsigned fds_before;
};

static unsigned open_fds(void)
{
	unsigned n = 0;

	for (int i = 0; i < 256; i++)
		n += fcntl(i, F_GETFD) >= 0;
	return n;
}

static int add_client(struct fix *f, uint32_t mask)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(control_add_client(f->ctl, pair[1], mask, NULL), 0);
	return pair[0];
}

static int setup(void **state)
{
	struct fix *f = calloc(1, sizeof(*f));

	f->fds_before = open_fds();
	lifelines_lost = lifelines_left = pings = kept_fd_calls = 0;
	assert_int_equal(evloop_new(&f->loop, NULL), 0);
	assert_int_equal(control_new(&f->ctl, f->loop, &ops, f, NULL), 0);
	f->sock = add_client(f, NC_MAY_ALL | NC_LIFELINE);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fix *f = *state;

	control_free(f->ctl);
	evloop_free(f->loop);
	if (f->sock >= 0)
		close(f->sock);
	assert_int_equal(open_fds(), f->fds_before); /* no descriptor that came in was lost */
	free(f);
	return 0;
}

static void turn(struct fix *f)
{
	for (int i = 0; i < 4; i++)
		assert_int_equal(evloop_turn(f->loop, 0), 0);
}

/* A packet of @size bytes that says it has @claimed, with @nfds descriptors. */
static void send_packet(int sock, uint16_t version, uint16_t cmd, int32_t rc, size_t size,
			uint32_t claimed, size_t nfds)
{
	union {
		struct nc_hdr h;
		uint8_t bytes[sizeof(struct nc_create)];
	} p;
	int fds[IO_MAX_FDS];

	memset(&p, 0, sizeof(p));
	p.h = (struct nc_hdr){ .version = version, .cmd = cmd, .id = 7, .rc = rc, .size = claimed };
	for (size_t i = 0; i < nfds; i++)
		fds[i] = STDERR_FILENO;
	assert_int_equal(io_send_fds(sock, &p, size, fds, nfds), 0);
}

/* rc of the reply; 1 when the connection was closed; 2 when nothing came. */
static int reply_of(int sock, uint16_t cmd)
{
	struct nc_error e;
	ssize_t n = recv(sock, &e, sizeof(e), MSG_DONTWAIT);

	if (n == 0 || (n < 0 && errno == ECONNRESET))
		return 1;
	if (n < 0)
		return 2;
	assert_int_equal(e.hdr.cmd, cmd | NC_REPLY);
	assert_int_equal(e.hdr.id, 7);
	assert_int_equal(e.hdr.size, n);
	if (e.hdr.rc < 0) {
		assert_int_equal(n, sizeof(struct nc_error));
		assert_true(e.text[0]);
	}
	return e.hdr.rc;
}

#define S sizeof(struct nc_simple)
#define CLOSED 1

static void hostile_packets(void **state)
{
	static const struct {
		const char *why;
		uint16_t version, cmd;
		int32_t rc;
		size_t size;
		uint32_t claimed;
		size_t nfds;
		int want;
	} rows[] = {
		{ "well-formed", NC_VERSION, NC_RESUME, 0, S, S, 0, 0 },
		{ "a failing command says why", NC_VERSION, NC_PAUSE, 0, S, S, 0, -EBUSY },
		{ "unknown command", NC_VERSION, 999, 0, S, S, 0, -ENOSYS },
		{ "command 0", NC_VERSION, 0, 0, S, S, 0, -ENOSYS },
		{ "an event", NC_VERSION, NC_EVENT, 0, S, S, 0, -ENOSYS },
		{ "one byte too long", NC_VERSION, NC_RESUME, 0, S + 1, S + 1, 0, -EBADMSG },
		{ "too short for its command", NC_VERSION, NC_CONNECT, 0, S, S, 0, -EBADMSG },
		{ "a descriptor too many", NC_VERSION, NC_RESUME, 0, S, S, 1, -EBADMSG },
		{ "no descriptor", NC_VERSION, NC_SHARE_ADD, 0, sizeof(struct nc_share),
		  sizeof(struct nc_share), 0, -EBADMSG },
		{ "three descriptors of two", NC_VERSION, NC_SHARE_ADD, 0, sizeof(struct nc_share),
		  sizeof(struct nc_share), 3, -EBADMSG },
		{ "the second descriptor is closed", NC_VERSION, NC_SHARE_ADD, 0,
		  sizeof(struct nc_share), sizeof(struct nc_share), 2, 0 },
		{ "claims another size", NC_VERSION, NC_RESUME, 0, S, S + 4, 0, CLOSED },
		{ "shorter than a header", NC_VERSION, NC_RESUME, 0, S - 1, S - 1, 0, CLOSED },
		{ "another version", NC_VERSION + 1, NC_RESUME, 0, S, S, 0, CLOSED },
		{ "a request with a result", NC_VERSION, NC_RESUME, -1, S, S, 0, CLOSED },
		{ "a reply", NC_VERSION, NC_RESUME | NC_REPLY, 0, S, S, 0, -ENOSYS },
		{ "descriptors with a bad header", NC_VERSION + 1, NC_RESUME, 0, S, S, 3, CLOSED },
		{ "more descriptors than any command takes", NC_VERSION, NC_RESUME, 0, S, S,
		  NC_MAX_FDS + 1, CLOSED },
	};
	struct fix *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int sock = add_client(f, NC_MAY_ALL), got;

		send_packet(sock, rows[i].version, rows[i].cmd, rows[i].rc, rows[i].size,
			    rows[i].claimed, rows[i].nfds);
		turn(f);
		got = reply_of(sock, rows[i].cmd);
		if (got != rows[i].want)
			fail_msg("%s: %d, not %d", rows[i].why, got, rows[i].want);
		close(sock);
		turn(f);
	}
	assert_int_equal(pings, 1);
	assert_int_equal(kept_fd_calls, 1);
	assert_int_equal(lifelines_lost, 0);
}

static void masks(void **state)
{
	static const struct {
		const char *why;
		uint32_t mask;
		uint16_t cmd;
		size_t size;
		int want;
	} rows[] = {
		{ "run", NC_MAY_RUN, NC_RESUME, S, 0 },
		{ "not run", NC_MAY_ALL & ~NC_MAY_RUN, NC_RESUME, S, -EPERM },
		{ "not connect", NC_MAY_RUN, NC_CONNECT, sizeof(struct nc_connect), -EPERM },
		{ "not watch", NC_MAY_RUN, NC_SUBSCRIBE, S, -EPERM },
		{ "hello is free", 0, NC_HELLO, sizeof(struct nc_hello), 0 },
		{ "a lifeline alone may nothing", NC_LIFELINE, NC_RESUME, S, -EPERM },
	};
	struct fix *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int sock = add_client(f, rows[i].mask);

		send_packet(sock, NC_VERSION, rows[i].cmd, 0, rows[i].size, (uint32_t)rows[i].size, 0);
		turn(f);
		check_row(rows[i].why, reply_of(sock, rows[i].cmd) == rows[i].want);
		close(sock);
		turn(f);
	}
}

static void lifeline_rule(void **state)
{
	struct fix *f = *state;
	int second = add_client(f, NC_MAY_WATCH | NC_LIFELINE);
	int other = add_client(f, NC_MAY_ALL);

	close(f->sock);
	f->sock = -1;
	turn(f);
	assert_int_equal(lifelines_lost, 0); /* there is another one */
	close(other);
	turn(f);
	assert_int_equal(lifelines_lost, 0); /* that was none */
	close(second);
	turn(f);
	assert_int_equal(lifelines_lost, 1);
}

static void leaving(void **state)
{
	struct fix *f = *state;
	int second = add_client(f, NC_LIFELINE), none = add_client(f, NC_MAY_ALL);
	struct nc_leave_reply r;
	const struct {
		int sock;
		int want; /* others, or what the refusal is */
	} rows[] = { { none, -EPERM }, { second, 1 }, { second, -EPERM }, { f->sock, 0 } };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		send_packet(rows[i].sock, NC_VERSION, NC_LEAVE, 0, S, S, 0);
		turn(f);
		if (rows[i].want < 0) {
			assert_int_equal(reply_of(rows[i].sock, NC_LEAVE), rows[i].want);
			continue;
		}
		assert_int_equal(lifelines_lost, rows[i].want == 0);
		assert_int_equal(recv(rows[i].sock, &r, sizeof(r), MSG_DONTWAIT), sizeof(r));
		assert_int_equal(r.left, rows[i].want);
	}
	assert_int_equal(lifelines_left, 1);
	close(second);
	close(none);
	turn(f);
}

static void too_many_clients(void **state)
{
	struct fix *f = *state;
	int socks[CONTROL_MAX_CLIENTS], pair[2];
	struct err e = ERR_INIT;

	for (int i = 0; i < CONTROL_MAX_CLIENTS - 1; i++)
		socks[i] = add_client(f, 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	assert_int_equal(control_add_client(f->ctl, pair[1], 0, &e), -EMFILE);
	close(pair[0]);
	close(pair[1]);
	for (int i = 0; i < CONTROL_MAX_CLIENTS - 1; i++)
		close(socks[i]);
	turn(f);
	close(add_client(f, 0)); /* there is room again */
	turn(f);
}

static void client_that_does_not_read(void **state)
{
	struct fix *f = *state;
	int sock = add_client(f, NC_MAY_ALL);
	struct nc_event *ev = calloc(1, sizeof(*ev));
	unsigned lost = 0;

	send_packet(sock, NC_VERSION, NC_SUBSCRIBE, 0, S, S, 0);
	turn(f);
	for (int i = 0; i < 4000 && !lost; i++)
		lost = control_event(f->ctl, ev, 0) == 0;
	assert_true(lost); /* and nothing blocked */
	free(ev);
	close(sock);
	turn(f);
}

/* Events that a client has not read, as many as there can be, cost it no reply and no last word. */
static void events_leave_room(void **state)
{
	struct fix *f = *state;
	struct nc_event *ev = calloc(1, sizeof(*ev));
	unsigned events = 0, replies = 0, last = 0;

	send_packet(f->sock, NC_VERSION, NC_SUBSCRIBE, 0, S, S, 0);
	turn(f);
	assert_int_equal(reply_of(f->sock, NC_SUBSCRIBE), 0);
	ev->kind = NC_EV_HOST_PORT;
	while (control_event(f->ctl, ev, NC_MAY_RUN) == 1)
		events++;
	assert_in_range(events, 4, 1000);
	for (int i = 0; i < 20; i++) {
		send_packet(f->sock, NC_VERSION, i < 10 ? NC_RESUME : NC_PAUSE, 0, S, S, 0);
		turn(f);
		assert_int_equal(control_event(f->ctl, ev, NC_MAY_RUN), 0);
	}
	ev->kind = NC_EV_END;
	assert_int_equal(control_event(f->ctl, ev, 0), 1);
	assert_int_equal(lifelines_lost, 0);
	while (recv(f->sock, ev, sizeof(*ev), MSG_DONTWAIT) > 0) {
		events -= ev->hdr.cmd == NC_EVENT && ev->kind == NC_EV_HOST_PORT;
		last += ev->hdr.cmd == NC_EVENT && ev->kind == NC_EV_END;
		replies += ev->hdr.cmd != NC_EVENT;
	}
	assert_int_equal(events, 0);
	assert_int_equal(last, 1);
	assert_int_equal(replies, 20);
	/* And there is room again. */
	ev->kind = NC_EV_HOST_PORT;
	assert_int_equal(control_event(f->ctl, ev, NC_MAY_RUN), 1);
	free(ev);
}

/* --- client and server together: the server's loop on a thread ----------------------------------------- */

static void *serve(void *arg)
{
	struct fix *f = arg;

	evloop_run(f->loop);
	return NULL;
}

static int listening_socket(struct sockaddr_un *a)
{
	static unsigned serial;
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	*a = (struct sockaddr_un){ .sun_family = AF_UNIX };
	/* abstract: leaves no file */
	snprintf(a->sun_path + 1, sizeof(a->sun_path) - 1, "husk-test-%d-%u", getpid(), serial++);
	assert_int_equal(bind(fd, (struct sockaddr *)a, sizeof(*a)), 0);
	assert_int_equal(listen(fd, 4), 0);
	return fd;
}

static void conversation(void **state)
{
	struct fix *f = *state;
	struct err e = ERR_INIT;
	struct sockaddr_un a;
	struct ncl *c, *second;
	uint32_t mask;
	pthread_t t;
	int fd, lsock, sock;

	pthread_create(&t, NULL, serve, f);
	assert_int_equal(ncl_new(&c, dup(f->sock), NULL), 0);
	assert_int_equal(ncl_hello(c, &mask, 2000, &e), 0);
	assert_int_equal(mask, NC_MAY_ALL | NC_LIFELINE);
	assert_int_equal(ncl_command(c, NC_RESUME, 2000, &e), 0);
	assert_int_equal(ncl_command(c, NC_PAUSE, 2000, &e), -EBUSY);
	assert_string_equal(e.msg, "not now");
	assert_int_equal(ncl_connect(c, 5, 100, &fd, &e), 0);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	close(fd);
	assert_int_equal(ncl_share_add(c, "fs", "", STDERR_FILENO, 0, 0, 2000, &e), -EINVAL);
	assert_int_equal(ncl_share_add(c, "fs", "x", STDERR_FILENO, 0, 0, 2000, &e), 0);

	lsock = listening_socket(&a);
	assert_int_equal(ncl_client_add(c, lsock, NC_MAY_WATCH, true, 2000, &e), 0);
	assert_int_equal(ncl_client_add(c, lsock, NC_MAY_WATCH, false, 2000, &e), -EINVAL);
	assert_int_equal(ncl_client_add(c, STDERR_FILENO, NC_MAY_WATCH, false, 2000, &e), -EINVAL);
	close(lsock);
	sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(sock, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(ncl_new(&second, sock, NULL), 0);
	assert_int_equal(ncl_hello(second, &mask, 2000, &e), 0);
	assert_int_equal(mask, NC_MAY_WATCH);
	assert_int_equal(ncl_command(second, NC_RESUME, 2000, &e), -EPERM);
	assert_int_equal(ncl_client_add(second, STDERR_FILENO, 0, false, 2000, &e), -EPERM);

	evloop_stop(f->loop);
	pthread_join(t, NULL);
	assert_int_equal(ncl_command(c, NC_RESUME, 50, &e), -ETIMEDOUT); /* nobody serves */
	ncl_free(second);
	ncl_free(c);
}

/* What a client must not fall for: a machine that its guest has taken over. */
static void hostile_replies(void **state)
{
	static const struct {
		const char *why;
		uint16_t version, cmd;
		uint32_t id;
		int32_t rc;
		size_t size;
		uint32_t claimed;
		size_t nfds;
		int want;
	} rows[] = {
		{ "well-formed", NC_VERSION, NC_RESUME | NC_REPLY, 1, 0, S, S, 0, 0 },
		{ "another id", NC_VERSION, NC_RESUME | NC_REPLY, 2, 0, S, S, 0, -ETIMEDOUT },
		{ "another command", NC_VERSION, NC_PAUSE | NC_REPLY, 1, 0, S, S, 0, -ETIMEDOUT },
		{ "a late reply with descriptors", NC_VERSION, NC_RESUME | NC_REPLY, 9, 0, S, S, 3,
		  -ETIMEDOUT },
		{ "no reply but a command", NC_VERSION, NC_RESUME, 1, 0, S, S, 0, -EPROTO },
		{ "a result above 0", NC_VERSION, NC_RESUME | NC_REPLY, 1, 5, S, S, 0, -EPROTO },
		{ "an error without its text", NC_VERSION, NC_RESUME | NC_REPLY, 1, -5, S, S, 0,
		  -EPROTO },
		{ "an error that is none", NC_VERSION, NC_RESUME | NC_REPLY, 1, INT32_MIN,
		  sizeof(struct nc_error), sizeof(struct nc_error), 0, -EPROTO },
		{ "a size that is not its own", NC_VERSION, NC_RESUME | NC_REPLY, 1, 0, S, 99, 0,
		  -EPROTO },
		{ "too long", NC_VERSION, NC_RESUME | NC_REPLY, 1, 0, S + 8, S + 8, 0, -EPROTO },
		{ "an unwanted descriptor", NC_VERSION, NC_RESUME | NC_REPLY, 1, 0, S, S, 1, -EPROTO },
		{ "another version", 2, NC_RESUME | NC_REPLY, 1, 0, S, S, 0, -EPROTO },
		{ "a short event", NC_VERSION, NC_EVENT, 0, 0, S, S, 0, -EPROTO },
		{ "shorter than a header", NC_VERSION, NC_RESUME | NC_REPLY, 1, 0, 3, 3, 0, -EPROTO },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		unsigned before = open_fds();
		struct err e = ERR_INIT;
		struct nc_error p;
		int pair[2], fds[IO_MAX_FDS], rc;
		struct ncl *c;

		memset(&p, 'A', sizeof(p)); /* the text is not terminated */
		p.hdr = (struct nc_hdr){ rows[i].version, rows[i].cmd, rows[i].id, rows[i].rc,
					 rows[i].claimed };
		for (size_t n = 0; n < rows[i].nfds; n++)
			fds[n] = STDERR_FILENO;
		assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
		assert_int_equal(io_send_fds(pair[1], &p, rows[i].size, fds, rows[i].nfds), 0);
		assert_int_equal(ncl_new(&c, pair[0], NULL), 0);
		rc = ncl_command(c, NC_RESUME, 20, &e);
		if (rc != rows[i].want)
			fail_msg("%s: %d (%s), not %d", rows[i].why, rc, e.msg, rows[i].want);
		ncl_free(c);
		close(pair[1]);
		check_row(rows[i].why, open_fds() == before);
	}
}

static void events_are_kept(void **state)
{
	struct nc_event *ev = calloc(1, sizeof(*ev));
	struct nc_simple ok = { .hdr = { NC_VERSION, NC_RESUME | NC_REPLY, 1, 0, sizeof(ok) } };
	struct err e = ERR_INIT;
	struct ncl *c;
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	assert_int_equal(ncl_new(&c, pair[0], NULL), 0);
	memset(ev->text, 'x', sizeof(ev->text));
	ev->hdr = (struct nc_hdr){ NC_VERSION, NC_EVENT, 0, 0, sizeof(*ev) };
	for (ev->value = 0; ev->value < 3; ev->value++)
		assert_int_equal(io_send_fds(pair[1], ev, sizeof(*ev), NULL, 0), 0);
	assert_int_equal(io_send_fds(pair[1], &ok, sizeof(ok), NULL, 0), 0);
	assert_int_equal(ncl_command(c, NC_RESUME, 1000, &e), 0);
	assert_int_equal(io_send_fds(pair[1], ev, sizeof(*ev), NULL, 0), 0);
	for (uint32_t i = 0; i < 4; i++) {
		assert_int_equal(ncl_event(c, ev, 0, &e), 1);
		assert_int_equal(ev->value, i);
		assert_int_equal(strlen(ev->text), sizeof(ev->text) - 1);
	}
	assert_int_equal(ncl_event(c, ev, 0, &e), 0);
	close(pair[1]);
	assert_int_equal(ncl_event(c, ev, 0, &e), -EPIPE);
	ncl_free(c);
	free(ev);
}

/* ---- connections that are not waited for ------------------------------------------------------------- */

struct dialled {
	struct ncl_connecting k;
	unsigned done;
	int rc;
	int fd;
	struct ncl *c;
	struct dialled *other; /* cancelled from within */
};

static void dialled(struct ncl_connecting *k, int rc, int fd)
{
	struct dialled *d = container_of(k, struct dialled, k);

	d->done++;
	d->rc = rc;
	d->fd = fd;
	if (d->other)
		ncl_connect_cancel(d->c, &d->other->k);
}

static void begin_dial(struct ncl *c, struct dialled *d)
{
	*d = (struct dialled){ .k.done = dialled, .c = c, .fd = -1 };
	assert_int_equal(ncl_connect_begin(c, 1024, 1000, &d->k, NULL), 0);
}

/* The machine's end: the id of the next request. */
static uint32_t asked(int machine)
{
	struct nc_connect m;

	assert_int_equal(recv(machine, &m, sizeof(m), 0), sizeof(m));
	assert_int_equal(m.hdr.cmd, NC_CONNECT);
	assert_int_equal(m.port, 1024);
	assert_int_equal(m.timeout_ms, 1000);
	return m.hdr.id;
}

static void answer(int machine, uint16_t cmd, uint32_t id, size_t nfds)
{
	const struct nc_simple m = { .hdr = { NC_VERSION, cmd | NC_REPLY, id, 0, sizeof(m) } };
	const int fds[] = { STDERR_FILENO, STDERR_FILENO };

	assert_int_equal(io_send_fds(machine, &m, sizeof(m), fds, nfds), 0);
}

static void count_kept(void *arg)
{
	++*(unsigned *)arg;
}

/* In whatever order they are answered, or in the middle of a command. */
static void connections_without_waiting(void **state)
{
	unsigned before = open_fds(), kept = 0;
	uint64_t begun;
	struct nc_event ev, *sent = calloc(1, sizeof(*sent));
	struct dialled a, b, none = { .rc = 0 };
	uint32_t first, second;
	struct ncl *c;
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	assert_int_equal(ncl_new(&c, pair[0], NULL), 0);
	ncl_on_kept(c, count_kept, &kept);
	assert_int_equal(ncl_connect_deadline(c), 0);
	begun = io_now_ns();
	begin_dial(c, &a);
	assert_in_range(a.k.deadline_ns, begun + 2000000000, io_now_ns() + 3000000000);
	begin_dial(c, &b);
	assert_int_equal(ncl_connect_deadline(c), a.k.deadline_ns);
	first = asked(pair[1]);
	second = asked(pair[1]);
	ncl_look(c);
	assert_int_equal(a.done + b.done, 0);
	answer(pair[1], NC_CONNECT, second, 1);
	answer(pair[1], NC_CONNECT, 4711, 1);
	ncl_look(c);
	assert_int_equal(a.done, 0);
	assert_int_equal(b.done, 1);
	assert_int_equal(b.rc, 0);
	assert_int_equal(close(b.fd), 0);
	assert_int_equal(kept, 0);
	/* An event and an answer come before a command's own reply. */
	sent->hdr = (struct nc_hdr){ NC_VERSION, NC_EVENT, 0, 0, sizeof(*sent) };
	sent->value = 5;
	assert_int_equal(io_send_fds(pair[1], sent, sizeof(*sent), NULL, 0), 0);
	answer(pair[1], NC_CONNECT, first, 1);
	answer(pair[1], NC_RESUME, second + 1, 0);
	assert_int_equal(ncl_command(c, NC_RESUME, 1000, NULL), 0);
	assert_int_equal(kept, 1);
	assert_int_equal(a.done, 0);
	ncl_look(c);
	assert_int_equal(a.done, 1);
	assert_int_equal(a.rc, 0);
	assert_int_equal(close(a.fd), 0);
	assert_int_equal(ncl_connect_deadline(c), 0);
	assert_int_equal(ncl_event(c, &ev, 0, NULL), 1);
	assert_int_equal(ev.value, 5);
	/* The same while an event is looked for; one that is cancelled then leaves nothing. */
	recv(pair[1], &ev, sizeof(ev), 0);
	begin_dial(c, &a);
	begin_dial(c, &b);
	first = asked(pair[1]);
	answer(pair[1], NC_CONNECT, first, 1);
	assert_int_equal(ncl_event(c, &ev, 0, NULL), 0);
	assert_int_equal(kept, 2);
	ncl_connect_cancel(c, &a.k);
	ncl_connect_cancel(c, &a.k);
	ncl_connect_cancel(c, &none.k);
	ncl_connect_cancel(c, &b.k);
	answer(pair[1], NC_CONNECT, asked(pair[1]), 1);
	ncl_look(c);
	assert_int_equal(a.done + b.done, 0);
	/* One cancels the next, which has its answer; one is under way at the end. */
	begin_dial(c, &a);
	begin_dial(c, &b);
	a.other = &b;
	begin_dial(c, &none);
	answer(pair[1], NC_CONNECT, asked(pair[1]), 1);
	answer(pair[1], NC_CONNECT, asked(pair[1]), 1);
	ncl_look(c);
	assert_int_equal(a.done, 1);
	assert_int_equal(b.done, 0);
	close(a.fd);
	answer(pair[1], NC_CONNECT, asked(pair[1]), 1);
	assert_int_equal(ncl_event(c, &ev, 0, NULL), 0);
	ncl_free(c);
	assert_int_equal(none.done, 0);
	close(pair[1]);
	free(sent);
	assert_int_equal(open_fds(), before);
}

/* Of a machine that lies, is late, or goes; each has one word, and no descriptor is left. */
static void connections_that_fail(void **state)
{
	enum { LATE, GONE, MALFORMED, REFUSED, TWO_FDS, NO_FD, TWICE };
	static const struct {
		const char *why;
		int how, rc, other_rc;
		bool other_done;
	} rows[] = {
		{ "late", LATE, -ETIMEDOUT, 0, false },
		{ "the machine goes", GONE, -EPIPE, -EPIPE, true },
		{ "a packet that is none", MALFORMED, -EPROTO, -EPROTO, true },
		{ "refused", REFUSED, -ECONNREFUSED, 0, false },
		{ "two descriptors", TWO_FDS, -EPROTO, 0, false },
		{ "no descriptor", NO_FD, -EPROTO, 0, false },
		{ "a second answer", TWICE, 0, 0, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		unsigned before = open_fds();
		struct nc_error no = { .hdr = { NC_VERSION, NC_CONNECT | NC_REPLY, 0, -ECONNREFUSED, sizeof(no) } };
		struct dialled a, b;
		struct ncl *c;
		int pair[2];

		assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
		assert_int_equal(ncl_new(&c, pair[0], NULL), 0);
		begin_dial(c, &a);
		begin_dial(c, &b);
		no.hdr.id = asked(pair[1]);
		switch (rows[i].how) {
		case LATE:
			a.k.deadline_ns = io_now_ns();
			break;
		case GONE:
			close(pair[1]);
			pair[1] = -1;
			break;
		case MALFORMED:
			assert_int_equal(send(pair[1], "x", 1, 0), 1);
			break;
		case REFUSED:
			assert_int_equal(send(pair[1], &no, sizeof(no), 0), sizeof(no));
			break;
		case TWO_FDS:
		case NO_FD:
			answer(pair[1], NC_CONNECT, no.hdr.id, rows[i].how == TWO_FDS ? 2 : 0);
			break;
		case TWICE:
			answer(pair[1], NC_CONNECT, no.hdr.id, 1);
			answer(pair[1], NC_CONNECT, no.hdr.id, 1);
			break;
		}
		ncl_look(c);
		check_row(rows[i].why, a.done == 1 && a.rc == rows[i].rc && (a.fd >= 0) == (a.rc == 0));
		check_row(rows[i].why, b.done == rows[i].other_done && b.rc == rows[i].other_rc);
		if (a.fd >= 0)
			close(a.fd);
		ncl_free(c);
		if (pair[1] >= 0)
			close(pair[1]);
		check_row(rows[i].why, open_fds() == before);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(hostile_packets, setup, teardown),
		cmocka_unit_test_setup_teardown(masks, setup, teardown),
		cmocka_unit_test_setup_teardown(lifeline_rule, setup, teardown),
		cmocka_unit_test_setup_teardown(leaving, setup, teardown),
		cmocka_unit_test_setup_teardown(too_many_clients, setup, teardown),
		cmocka_unit_test_setup_teardown(client_that_does_not_read, setup, teardown),
		cmocka_unit_test_setup_teardown(events_leave_room, setup, teardown),
		cmocka_unit_test_setup_teardown(conversation, setup, teardown),
		cmocka_unit_test(hostile_replies),
		cmocka_unit_test(events_are_kept),
		cmocka_unit_test(connections_without_waiting),
		cmocka_unit_test(connections_that_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
